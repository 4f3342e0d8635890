# SPDX-License-Identifier: LGPL-2.1-or-later
"""`slicemeshctl explain` says of the requests of tests/routing/cases what is expected to become of them."""
import json
import os
import pathlib
import subprocess

import cases
import generator
import pytest

CASES = {case.name: case for case in cases.load()}
# What `way` says of a moment, or of how the bytes come, an explanation does not know.
OF_THE_MOMENT = {'split'}


@pytest.fixture(scope='module')
def policy(tmp_path_factory):
    directory = tmp_path_factory.mktemp('policy')
    (directory / 'services').mkdir()
    (directory / 'mesh.yaml').write_text('slices: [shop.slice, shop-web.slice, ops.slice, server.slice]\n')
    for name, case in CASES.items():
        (directory / f'services/{name}.yaml').write_text(f'{generator.to_yaml(case.service)}\n')
    return directory


def explain(policy, case, request):
    text, caller = request.text, request.caller
    method, _, target = text['send'].partition(' ')
    fields = [('Host', text.get('host', 'routing.example')), *cases.as_pairs(text.get('headers', {}))]
    if 'chunked' in text:
        fields.append(('Transfer-Encoding', 'chunked'))
    if 'expect' in text:
        fields.append(('Expect', '100-continue'))
    command = [pathlib.Path(os.environ['SLICEMESH_BUILD']) / 'src/ctl/slicemeshctl', 'explain', '--json',
               '--offline', policy, '--from', f'{caller["slice"]}/{caller["unit"]}',
               '--user', caller['user'], '--source', caller['source'], method, f'http://{case.name}{target}']
    for name, value in fields:
        command += ['--header', f'{name}: {value}']
    if 'body' in text or method in ('POST', 'PUT'):
        command += ['--body', text.get('body', '')]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def outcomes(found):
    """{name of the route, or None: what becomes of the request}, of all that are possible."""
    def name(i):
        return None if i is None else found['routes'][i]['name']
    return {name(found['route']): found, **{name(o['route']): o for o in found['possible']}}


def action(outcome, name):
    return [a for a in outcome['actions'] if a['action'] == name and a['chance'] == '100%']


def check_answer(text, outcome):
    answers = [a for name in ('abort', 'redirect', 'respond') for a in action(outcome, name)]
    if outcome['reason'] == 'none' or answers:
        assert str(answers[0]['status'] if answers else 200) == text.get('status', '200')
    if 'reason' in text:
        assert outcome['reason'] == text['reason']
    location = dict(cases.as_pairs(text.get('client', {}).get('headers', {}))).get('location')
    if location:
        assert [a['value'] for a in answers] == [location]


def check_request(text, found, outcome):
    """Where it is sent, and as what."""
    reached = {subset['name'] for o in outcomes(found).values() for subset in o['subsets']
               if subset['share-permille'] > 0}
    if 'to' in text:
        assert set(text['to'] if isinstance(text['to'], list) else [text['to']]) <= reached
    else:
        assert not outcome['subsets'] or outcome['reason'] != 'none'
    mirrored = [a['value'] for a in action(outcome, 'mirror')]
    assert mirrored == [text['mirrored']] if 'mirrored' in text else not mirrored
    path, _, query = text['send'].partition(' ')[2].partition('?')
    target = (found['path'] or path) + (f'?{query}' if query else '')
    target = next((a['value'] for a in action(outcome, 'rewrite-path')), target)
    assert target == text.get('server', {}).get('target', target)


@pytest.mark.parametrize('name', CASES)
def test_case(policy, name):
    for request in CASES[name].requests:
        if 'raw' in request.text:
            continue
        text, found = request.text, explain(policy, CASES[name], request)
        of_route = outcomes(found)
        assert text.get('route') in of_route, request.id
        outcome = of_route[text.get('route')]
        shadows = [r['name'] for r in found['routes'] if r['shadow'] and r['matched']]
        assert shadows == text.get('shadows', []), request.id
        ways = set(request.listed('way', 'fast'))
        if not ways & OF_THE_MOMENT:
            assert outcome['fast-path']['slow'].replace('none', 'fast') in ways, request.id
        check_answer(text, outcome)
        check_request(text, found, outcome)
