# SPDX-License-Identifier: LGPL-2.1-or-later
"""What keeps a connection, or all of them, from the fast path: it works as ever, and everybody says why."""
import json
import re

import pytest
from mesh import BUILD, BUS_PATH, ENDPOINT, HERE, MANAGER, PYTHON, SERVICE, SLICE, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\nfast-path: {connections: 2}\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080"]
---
service: other
address: 127.71.0.11:80
endpoints: ["127.0.1.2:8080"]
''',
}
SLICES = ['shop.slice', 'server.slice']
SERVERS = [('nginx', 'a', '127.0.1.1')]
OWN_MODE = True

WEB, OTHER = '127.71.0.10', '127.71.0.11'
SOCKMAP_USER = BUILD / 'tests/e2e/sockmap-user'
MANY = [PYTHON, '-B', HERE / 'clients/many.py']
SYSTEM = '/sys/fs/cgroup/system.slice'


def ctl(mesh, *words):
    return mesh.output('slicemeshctl', *words)


def expect_told(mesh, reason, n, before):
    """So many more requests for this reason: on the bus and to people; of service, slice and all."""
    wait_until(lambda: mesh.get(mesh.service_path('web'), SERVICE, 'ActiveRequests') == 0, 'all to be over')
    assert (mesh.paths('web') - before)[reason] == n
    in_all = mesh.paths('web')[reason]
    assert mesh.get(mesh.slice_path('shop.slice'), SLICE, 'Paths')[reason] == in_all
    sentence = next(r['sentence'] for r in json.loads(ctl(mesh, 'reasons', '--json'))
                    if (r['reason'], r['kind']) == (reason, 'slow'))
    for words in (['status'], ['show', 'web'], ['show', 'shop.slice']):
        assert json.loads(ctl(mesh, *words, '--json'))['paths']['slow'][reason] == in_all
        assert re.search(rf'\b{in_all} +{reason} +{re.escape(sentence)}', ctl(mesh, *words))


def test_full(mesh):
    """Of more connections than there is room for, those that were first are fast, and the others served."""
    before = mesh.paths('web')
    answers = mesh.run(*MANY, WEB, 5, 20)
    assert answers.splitlines() == [f'a {i}' for i in range(20) for _ in range(5)]
    expect_told(mesh, 'full', 60, before)
    assert (mesh.paths('web') - before)['fast'] >= 36
    before = mesh.paths('web')
    assert len(mesh.run(*MANY, WEB, 2, 20).split()) == 80
    assert (mesh.paths('web') - before)['fast'] >= 36, 'there is room again'


def test_busy_caller(mesh):
    """Its socket is in somebody else's map, with a program, before it would get into ours."""
    before = mesh.paths('web')
    answers = mesh.run(SOCKMAP_USER, '.', *MANY, WEB, 2, 10)
    assert answers.splitlines() == [f'a {i}' for i in range(10) for _ in range(2)]
    expect_told(mesh, 'busy', 20, before)


def test_busy_server(mesh):
    """The kernel sends requests to it, and its responses come by way of the relay."""
    mesh.start_server('b', '127.0.1.2', 8080, 'server.slice', SOCKMAP_USER, '.', 'node',
                      HERE / 'servers/server.js')
    assert mesh.spread(f'http://{OTHER}', 20) == {'b': 20}
    assert mesh.paths('other')['remote'] >= 18
    assert mesh.get(mesh.endpoint_path('other', '127.0.1.2:8080'), ENDPOINT, 'Answers') == 'busy'
    assert re.search(r'127\.0\.1\.2:8080 .* busy', ctl(mesh, 'show', 'other'))


@pytest.fixture
def unavailable(mesh):
    """slicemeshd finds that somebody else has a program on its probes' sockets, as on all of their slice."""
    mesh.start('sockmap-user', SOCKMAP_USER, SYSTEM, 'sleep', 'infinity', slice_='other.slice')
    wait_until(lambda: '/system.slice' in dict(mesh.attached()), 'it to be attached')
    mesh.systemctl('restart', 'slicemeshd.service')
    yield
    mesh.stop('sockmap-user')
    mesh.systemctl('restart', 'slicemeshd.service')
    wait_until(lambda: mesh.fast_path() == (True, ''), 'the fast path to be back')


def test_unavailable(mesh, unavailable):
    problem = wait_until(lambda: mesh.get(BUS_PATH, MANAGER, 'FastPathProblem'), 'the problem to be told')
    assert problem.startswith('The kernel has failed these probes: fionread, ')
    before = mesh.paths('web')
    answers = mesh.run(*MANY, WEB, 2, 10)
    assert answers.splitlines() == [f'a {i}' for i in range(10) for _ in range(2)]
    expect_told(mesh, 'unavailable', 20, before)
    assert re.search(r'unavailable.*failed these probes', ctl(mesh, 'status'), re.DOTALL)
