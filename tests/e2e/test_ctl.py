# SPDX-License-Identifier: LGPL-2.1-or-later
"""slicemeshctl against a running mesh."""
import json
import re

import modes
import pytest
from mesh import ENDPOINT, background, kill, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice]\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
subsets:
  stable: {endpoints: ["127.0.1.1:8080", {address: "127.0.1.2:8080", weight: 2}]}
  canary: {endpoints: ["127.0.1.2:8080"]}
routes:
  - {name: canary, match: {path: {prefix: /v2}}, to: canary}
  - {name: rest, to: stable}
''',
}
SERVERS = [('python', 'a', '127.0.1.1'), ('python', 'b', '127.0.1.2')]


def ctl(mesh, *arguments, check=True):
    return mesh.run('slicemeshctl', *arguments, slice_='system.slice', check=check)


@pytest.mark.parametrize('arguments', [['status'], ['list'], ['show', 'web']])
def test_json(mesh, arguments):
    assert json.loads(ctl(mesh, *arguments, '--json'))


def test_status(mesh):
    assert 'running' in ctl(mesh, 'status')


def test_list_and_show(mesh):
    assert '127.71.0.10:80' in ctl(mesh, 'list')
    text = ctl(mesh, 'show', 'web')
    for word in ('127.0.1.1:8080', '127.0.1.2:8080', 'stable', 'canary', 'rest'):
        assert word in text


def test_set_weight_drain_enable(mesh):
    ctl(mesh, 'set-weight', 'web', '127.0.1.1:8080', '4')
    assert mesh.spread('http://127.71.0.10', 60) == {'a': 40, 'b': 20}
    ctl(mesh, 'drain', 'web', '127.0.1.1:8080')
    assert mesh.spread('http://127.71.0.10', 10) == {'b': 10}
    ctl(mesh, 'enable', 'web', '127.0.1.1:8080')
    ctl(mesh, 'set-weight', 'web', '127.0.1.1:8080', '1')
    assert mesh.spread('http://127.71.0.10', 30) == {'a': 10, 'b': 20}


def fast_path(mesh):
    return json.loads(ctl(mesh, 'status', '--json'))['fast-path']


@pytest.mark.skipif(modes.MODE != 'on', reason='something else switches the fast path')
def test_fast_path(mesh):
    before = fast_path(mesh)
    ctl(mesh, 'fast-path', 'off')
    assert fast_path(mesh) == {'state': 'off', 'features': [],
                               'problem': 'An administrator has switched it off.'}
    explained = json.loads(ctl(mesh, 'explain', '--json', 'http://127.71.0.10/'))['fast-path']
    assert (explained['slow'], explained['sentence']) == ('off', 'An administrator has switched it off.')
    mesh.curl('http://127.71.0.10/', '--output', '/dev/null')
    assert re.search(r'1  off +The fast path is switched off\.', ctl(mesh, 'show', 'web'))
    assert json.loads(ctl(mesh, 'show', 'shop.slice', '--json'))['paths']['slow']['off'] == 1
    ctl(mesh, 'fast-path', 'on')
    assert fast_path(mesh) == before


@pytest.mark.skipif(modes.MODE != 'on', reason='the fast path may be off')
def test_answers(mesh):
    """The servers are in a slice that is not managed."""
    mesh.spread('http://127.71.0.10', 6)
    endpoints = json.loads(ctl(mesh, 'list', 'endpoints', '--json'))
    assert {e['answers'] for e in endpoints if e['subset'] == 'stable'} == {'unmanaged'}


def test_fast_path_limits(mesh):
    found = json.loads(ctl(mesh, 'explain', '--json', 'http://127.71.0.10/'))
    assert found['fast-path']['slow'] in {'on': ['none'], 'off': ['off']}.get(modes.MODE, ['none', 'off'])
    assert [limit['limit'] for limit in found['fast-path']['limits']] == ['blocking'], 'both are local'
    assert all(c['local'] for s in found['subsets'] for c in s['candidates'])


def test_explain_says_what_happens(mesh):
    text = ctl(mesh, 'explain', 'http://127.71.0.10/v2/x')
    assert all(word in text for word in ('canary', 'web.yaml:8', '127.0.1.2:8080'))
    assert '127.0.1.1:8080' not in text
    assert 'X-Server: b' in mesh.curl('http://127.71.0.10/v2', '--output', '/dev/null', '--dump-header', '-')


def test_reload_and_check(mesh):
    ctl(mesh, 'reload')
    ctl(mesh, 'check')
    mesh.write_policy('services/bad.yaml', 'service: bad\nendpoints: ["127.0.1.1:99999"]\nwait: 1\n')
    for verb in ('check', 'reload'):
        done = ctl(mesh, verb, check=False)
        assert done.returncode != 0
        assert 'bad.yaml:2:13' in done.stdout + done.stderr and 'bad.yaml:3:1' in done.stdout + done.stderr
    mesh.remove_policy('services/bad.yaml')
    ctl(mesh, 'reload')


def test_monitor(mesh):
    monitor = background(mesh.enter('stdbuf', '-oL', 'slicemeshctl', 'monitor'))
    try:
        wait_until(lambda: 'slicemeshctl' in mesh.output('busctl', 'list', '--no-legend'),
                   'it to be connected')
        path = mesh.endpoint_path('web', '127.0.1.1:8080')
        mesh.call(path, ENDPOINT, 'SetWeight', 'ub', 7, 'false')
        for line in monitor.stdout:
            if '127.0.1.1:8080' in line and '7' in line:
                break
        else:
            raise AssertionError('the change was not seen')
        mesh.call(path, ENDPOINT, 'SetWeight', 'ub', 1, 'false')
    finally:
        kill(monitor)


def test_without_a_daemon(mesh):
    """A sentence and a status, not a stack of bus errors."""
    mesh.systemctl('stop', 'slicemeshd.service')
    done = ctl(mesh, 'status', check=False)
    mesh.systemctl('start', 'slicemeshd.service')
    assert done.returncode not in (0, 255) and 'slicemeshd' in done.stdout + done.stderr
