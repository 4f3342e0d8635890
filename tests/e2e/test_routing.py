# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cases of tests/routing/cases, with the fast path off, on and switching at random: what is expected
becomes of each request, the same bytes arrive whichever way they went, what can be fast is fast, and explain
says it all beforehand."""
import collections
import json
import re
import shlex
import sys
import time

import pytest
from mesh import HERE, PYTHON, SERVICE, TOP, wait_until

sys.path.insert(0, str(TOP / 'tests/routing'))

import cases as routing_cases  # noqa: E402
import generator  # noqa: E402
import reference  # noqa: E402

CASES = {case.name: case for case in routing_cases.load()}
SLICES = ['shop.slice', 'shop-web.slice', 'ops.slice', 'server.slice']
POLICY = {f'services/{name}.yaml': f'{generator.to_yaml(case.service)}\n' for name, case in CASES.items()}
POLICY['mesh.yaml'] = f'slices: [{", ".join(SLICES)}]\n'
OWN_MODE = True
MODES = ('off', 'on', 'random')
LOG = '/run/echo.log'
# What a request may count under at any time, if who has answered the one before is not through yet.
LATE = {'not-in-step', 'no-upstream'}


def fields_of(head):
    """{name in lower case: [values]}"""
    found = collections.defaultdict(list)
    for line in head.split('\r\n')[1:]:
        name, _, value = line.partition(':')
        found[name.lower()].append(value.strip())
    return found


class Message:
    def __init__(self, text):
        self.text = text
        while True:
            self.head, _, self.body = text.partition('\r\n\r\n')
            if not self.head.startswith('HTTP/1.1 1'):
                break
            text = self.body  # an interim one
        self.start = self.head.split('\r\n')[0].split(' ')
        self.fields = fields_of(self.head)

    def check(self, expected, what):
        for name, values in routing_cases.as_pairs(expected.get('headers', {})):
            values = values if isinstance(values, list) else [values]
            assert self.fields.get(name.lower(), []) == values, f'{what}: {name}\n{self.text}'
        for name in expected.get('absent', []):
            assert name.lower() not in self.fields, f'{what}: {name}\n{self.text}'
        if 'body' in expected:
            assert self.body == expected['body'], what
        for number, key in enumerate(('method', 'target')):
            if key in expected:
                assert self.start[number] == expected[key], what


class Run:
    """All cases in one mode: {id: [what the client saw]}, {id: [(subset, what the server saw)]}."""

    def __init__(self, mesh, mode):
        self.mesh, self.mode = mesh, mode
        self.in_force = {name for name, *_ in mesh.services()}  # an error in one shall not hide the others
        log = mesh.path(LOG)
        start = log.stat().st_size
        if mode == 'random':
            mesh.start('switch', PYTHON, '-B', HERE / 'switch.py', slice_='system.slice')
        else:
            mesh.set_fast_path(mode == 'on')
        self.client = {}
        before = self.shadows()
        for identity, items in self.plans().items():
            self.play(identity, items)
        if mode == 'random':
            assert mesh.unit('switch.service', 'ActiveState') == 'active'
            mesh.stop('switch.service')
        after = self.shadows()
        self.shadowed = {key: after[key] - before.get(key, 0) for key in after}
        patience = time.monotonic() + 5
        while self.awaited(log, start) and time.monotonic() < patience:
            time.sleep(0.02)

    def awaited(self, log, start):
        """Copies that have not arrived yet."""
        self.server = collections.defaultdict(list)
        with log.open() as lines:
            lines.seek(start)
            for subset, text in map(json.loads, lines):
                for name in fields_of(text.partition('\r\n\r\n')[0]).get('x-case', ()):
                    self.server[name].append((subset, text))
        return [r.id for name in self.in_force for r in CASES[name].requests if 'mirrored' in r.text and
                r.text['mirrored'] not in {subset for subset, _ in self.server[r.id]}]

    def shadows(self):
        """{(service, route): how often a shadow route has matched}"""
        found = {}
        for name in self.in_force:
            for route in self.mesh.get(self.mesh.service_path(name), SERVICE, 'Routes'):
                found[name, route[0]] = route[-1]
        return found

    def plans(self):
        """{(slice, unit, user): what it sends}"""
        plans = collections.defaultdict(list)
        for case in [case for case in CASES.values() if case.name in self.in_force]:
            for request in case.requests:
                caller = request.caller
                identity = caller['slice'], caller['unit'], caller['user']
                plans[identity].append({
                    'id': request.id, 'service': case.name, 'address': case.address,
                    'source': caller['source'], 'send': request.steps(),
                    'bodiless': request.steps()[0].startswith('HEAD '),
                    'ways': request.listed('way', 'fast'), 'times': int(request.text.get('times', 1))})
        return plans

    def play(self, identity, items):
        slice_, unit, user = identity
        mesh = self.mesh
        mesh.path('/run/plan.json').write_text(json.dumps(items))
        properties = [f'User={user}', 'StandardOutput=truncate:/run/plan.out',
                      'StandardError=truncate:/run/plan.err']
        mesh.start(unit.removesuffix('.service'), PYTHON, '-B', HERE / 'clients/routing.py',
                   '/run/plan.json', self.mode, slice_=slice_, properties=properties)
        wait_until(lambda: mesh.unit(unit, 'ActiveState') in ('inactive', 'failed'), f'{unit} to end', 120)
        output, errors = (mesh.path(f'/run/plan.{end}').read_text() for end in ('out', 'err'))
        assert not errors, errors
        for line in output.splitlines():
            seen = json.loads(line)
            self.client[seen[0]['id']] = seen
        assert all(item['id'] in self.client for item in items)


@pytest.fixture(scope='module')
def echo(mesh):
    mesh.start('echo', PYTHON, '-B', HERE / 'servers/echo.py', LOG,
               *(f'{name}={where}' for name, where in routing_cases.SUBSETS.items()))
    for where in routing_cases.SUBSETS.values():
        wait_until(lambda w=where: mesh.listening(w.partition(':')[0], 8080), 'the servers')
    return mesh


@pytest.fixture(scope='module')
def runs(echo):
    """runs(mode, case): what has been run once is not run again."""
    done = {}

    def get(mode, name):
        if mode not in done:
            done[mode] = Run(echo, mode)
        assert name in done[mode].in_force
        return done[mode]
    return get


def test_policy_is_in_force(mesh):
    assert mesh.reload() == []


def check_client(request, answer):
    status = request.text.get('status', '200')
    assert answer.start[:2] == ['HTTP/1.1', status], answer.text
    subsets = answer.fields.get('x-subset', [])
    if 'to' in request.text:
        assert subsets and subsets[0] in request.listed('to', None), answer.text
    else:
        assert not subsets, answer.text
    if 'reason' in request.text:
        assert answer.fields.get('x-slicemesh') == [request.text['reason']], answer.text
    answer.check(request.text.get('client', {}), 'client')


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('name', CASES)
def test_case(runs, name, mode):
    run = runs(mode, name)
    for request in CASES[name].requests:
        seen, arrived = run.client[request.id], run.server[request.id]
        for one in seen:
            check_client(request, Message(one['answer']))
            assert not one['left'], one
        least = float(request.text.get('client', {}).get('least-seconds', 0))
        assert min(one['seconds'] for one in seen) >= least, request.id
        if 'spread' in request.text:
            spread = collections.Counter(Message(one['answer']).fields['x-subset'][0]
                                         for one in seen[:int(request.text['times'])])
            assert spread == {k: int(n) for k, n in request.text['spread'].items()}, request.id
        if 'same-side' in request.text:
            assert len({Message(one['answer']).fields['x-subset'][0] for one in seen}) == 1, request.id
        copies = [text for subset, text in arrived if subset == request.text.get('mirrored')]
        assert len(copies) == (len(seen) if 'mirrored' in request.text else 0), request.id
        if 'raw' not in request.text:
            assert len(arrived) == (len(seen) if 'to' in request.text else 0) + len(copies), request.id
        for _, text in arrived:
            Message(text).check(request.text.get('server', {}), 'server')


@pytest.mark.parametrize('mode', ['on', 'random'])
@pytest.mark.parametrize('name', CASES)
def test_same_bytes(runs, name, mode):
    """Whichever way it went; but for the subset where that is a matter of turn."""
    def client(run, request):
        return {re.sub(r'\r\nX-Subset: .*', '', one['answer']) for one in run.client[request.id]}

    def server(run, request):
        return {text for _, text in run.server[request.id]}
    run, off = runs(mode, name), runs('off', name)
    for request in CASES[name].requests:
        assert client(run, request) == client(off, request), request.id
        assert server(run, request) == server(off, request), request.id


@pytest.mark.parametrize('name', CASES)
def test_way(runs, name):
    """What can be fast was, and the others were not for the reason that is expected."""
    wrong = {}
    for request in CASES[name].requests:
        ways = set(request.listed('way', 'fast'))
        seen = [set(one['paths']) for one in runs('on', name).client[request.id]]
        if not seen[-1] & ways or set().union(*seen) - ways - LATE:
            wrong[request.id] = seen
        off = [one['paths'] for one in runs('off', name).client[request.id]]
        assert all(set(paths) == {'off'} for paths in off), off
    assert not wrong


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('name', CASES)
def test_shadows(runs, name, mode):
    """Each is counted once for each request that it matches."""
    run, expected = runs(mode, name), collections.Counter()
    for request in CASES[name].requests:
        for route in request.text.get('shadows', ()):
            expected[route] += len(run.client[request.id])
    for route in CASES[name].service['routes']:
        if route.get('shadow') == 'true':
            assert run.shadowed[name, route['name']] == expected[route['name']], route['name']


@pytest.mark.parametrize('name', CASES)
def test_reference(name):
    """The evaluator that random requests are compared with agrees with what the cases expect."""
    case = CASES[name]
    for request in case.requests:
        if 'raw' in request.text or not case.decidable():
            continue
        decision = reference.decide(case.service, request.plain())
        route = request.text.get('route')
        assert decision.route == (case.route_index(route) if route else None), request.id
        assert decision.shadows == request.text.get('shadows', []), request.id


# Explain


def explain_command(case, request):
    plain, caller = request.plain(), request.caller
    words = ['slicemeshctl', 'explain', '--json', f'--from={caller["slice"]}/{caller["unit"]}',
             f'--user={caller["user"]}', f'--source={caller["source"]}']
    for name, value in [('Host', plain.host), *plain.fields]:
        words += ['-H', f'{name}: {value}']
    if plain.body:
        words.append(f'--body={plain.body}')
    return shlex.join([*words, plain.method, f'http://{case.name}{plain.target}'])


@pytest.fixture(scope='module')
def explained(echo, runs):
    """{id: explanation} of all requests, asked for in one go, with the fast path on."""
    for mode in MODES:
        runs(mode, 'order')
    echo.set_fast_path(True)
    asked = [(r.id, explain_command(case, r)) for case in CASES.values() for r in case.requests
             if 'raw' not in r.text]
    echo.path('/run/explain.sh').write_text(''.join(f'{command} || echo null\n' for _, command in asked))
    output = echo.run('sh', '/run/explain.sh', slice_='system.slice')
    decoder, found, at = json.JSONDecoder(), {}, 0
    for id_, _ in asked:
        found[id_], end = decoder.raw_decode(output[at:].lstrip())
        at = len(output) - len(output[at:].lstrip()) + end
    assert not output[at:].strip()
    return found


def told_status(told):
    """Of the answer, as far as explain can know it."""
    for action in told['actions']:
        if action['action'] in ('abort', 'respond', 'redirect') and action['chance'] == '100%':
            return str(action['status'])
    return '200'


@pytest.mark.parametrize('name', CASES)
def test_explain(explained, name):
    """What it says would become of a request is what did."""
    case = CASES[name]
    for request in case.requests:
        if 'raw' in request.text:
            continue
        told = explained[request.id]
        expected = request.text
        shadows = [route['name'] for route in told['routes'] if route['shadow'] and route['matched']]
        assert shadows == expected.get('shadows', []), told
        if case.decidable():
            index = told['route']
            route = told['routes'][index]['name'] if index is not None else None
            assert route == expected.get('route'), told
            subsets = {s['name'] for s in told['subsets'] if s['share-permille']}
            status = told_status(told)
            assert status != '200' or subsets == set(request.listed('to', [])), told
            if told['reason'] == 'none':
                assert status == expected.get('status', '200'), told
            else:
                assert told['reason'] == expected.get('reason'), told
        if not {'chunked', 'later', 'expect'} & set(expected):  # of which it is not told
            ways = request.listed('way', 'fast')
            assert {'none': 'fast'}.get(told['fast-path']['slow'], told['fast-path']['slow']) in ways, told
