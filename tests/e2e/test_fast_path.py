# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the fast path is used: what slicemeshd attaches for it and when, who switches it, what is said."""
import base64
import contextlib

import modes
from mesh import BUS_PATH, ENDPOINT, HERE, MANAGER, PYTHON, Mesh, wait_until

WEB = 'http://127.71.0.10'
SERVICE = 'service: web\naddress: 127.71.0.10:80\nendpoints: ["127.0.1.1:8080"]\n'
ALL = {'requests', 'servers', 'replies', 'answers'}
RELAY = 'slicemesh-relay.service'


@contextlib.contextmanager
def host(mesh_yaml='slices: [shop.slice]\n', **options):
    with Mesh({'mesh.yaml': mesh_yaml, 'services/web.yaml': SERVICE}, **options) as booted:
        yield booted


def features(h):
    return set(h.get(BUS_PATH, MANAGER, 'FastPathFeatures'))


def problem(h):
    return h.get(BUS_PATH, MANAGER, 'FastPathProblem')


def await_all(h):
    wait_until(lambda: features(h) == ALL, 'the fast path to be in use')
    assert problem(h) == ''


def watched(h):
    """Cgroups outside of the slices that something is attached to: where relays' connections are watched."""
    return [group for group, _ in h.attached() if group.endswith('.service')]


def pins(h):
    return sorted(path.name for path in h.path('/sys/fs/bpf/slicemesh').glob('*/fast/*'))


def test_restarts():
    """Nothing is attached twice or left over, whoever of the two is started anew, or dies."""
    with host() as h:
        h.manage('shop.slice')
        h.start_python('a', '127.0.1.1')
        await_all(h)
        before = pins(h)
        for unit in ('slicemeshd.service', RELAY):
            for command in (('restart',), ('kill', '--signal=KILL')):
                h.systemctl(*command, unit)
                wait_until(lambda: h.run('busctl', 'status', 'io.slicemesh.Mesh1', slice_='system.slice',
                                         check=False).returncode == 0, 'slicemeshd to be back')
                await_all(h)
                wait_until(lambda: len(watched(h)) == 1, 'one relay to be watched')
                assert watched(h) == [f'/system.slice/{RELAY}']
                assert pins(h) == before
                assert h.curl(f'{WEB}/echo?x') == 'a x\n'
        h.systemctl('stop', 'slicemeshd.service')
        assert watched(h) == [] and pins(h) == []


def test_without_a_relay():
    with host() as h:
        await_all(h)
        h.systemctl('mask', '--runtime', RELAY)
        h.systemctl('stop', RELAY)
        wait_until(lambda: not features(h), 'it to be noticed')
        assert problem(h) == 'The relay is not running.'
        h.systemctl('unmask', '--runtime', RELAY)
        h.systemctl('start', RELAY)
        await_all(h)


def test_relay_within_a_managed_slice():
    """What is attached to a slice is not mixed with what watches the relay."""
    with host(prepare=[modes.drop_in(RELAY, '50-test', '[Service]', 'Slice=shop.slice')]) as h:
        h.manage('shop.slice')
        h.start_python('a', '127.0.1.1')
        assert h.curl(f'{WEB}/echo?x', slice_='shop.slice') == 'a x\n'
        assert features(h) == set()
        assert 'outside of the managed slices' in problem(h)
        assert watched(h) == []


def test_who_spoke_last():
    off = 'slices: [shop.slice]\nfast-path: {enabled: false}\n'
    with host(off) as h:
        assert 'mesh.yaml' in problem(h) and features(h) == set()
        h.set_fast_path(True)
        await_all(h)
        h.systemctl('restart', 'slicemeshd.service')
        await_all(h)
        h.write_policy('mesh.yaml', 'slices: [shop.slice]\n')
        h.reload()
        assert features(h) == ALL
        h.write_policy('mesh.yaml', off)
        h.reload()
        assert 'mesh.yaml' in problem(h) and features(h) == set()
        h.write_policy('mesh.yaml', 'slices: [shop.slice]\n')
        h.reload()
        h.set_fast_path(False)
        assert 'administrator' in problem(h)
        h.systemctl('restart', 'slicemeshd.service')
        wait_until(lambda: h.get(BUS_PATH, MANAGER, 'RelayState') == 'running', 'the relay to be known')
        assert 'administrator' in problem(h) and features(h) == set()
        h.systemctl('stop', 'slicemeshd.service')  # forgets, as nothing outlives that
        h.systemctl('start', 'slicemeshd.service')
        await_all(h)


def test_other_sizes():
    """A restart with other sizes starts over with new maps; nothing of the old ones stays."""
    with host() as h:
        await_all(h)
        h.write_policy('mesh.yaml', 'slices: [shop.slice]\nfast-path: {connections: 100, upstreams: 50}\n')
        h.reload()
        assert set(h.problems()) == {'restart-needed'}
        h.systemctl('restart', 'slicemeshd.service')
        await_all(h)
        assert len(list(h.path('/sys/fs/bpf/slicemesh').iterdir())) == 1
        h.start_python('a', '127.0.1.1')
        h.manage('shop.slice')
        assert h.curl(f'{WEB}/echo?x') == 'a x\n'


def test_node_server():
    """It says Keep-Alive in every response and sends chunks with one call: the kernel does as the relay."""
    with host('slices: [shop.slice, server.slice]\n') as h:
        for name in ('shop.slice', 'server.slice'):
            h.manage(name)
        h.start_node('a', '127.0.1.1')
        await_all(h)

        def ask(what):
            command = f'curl -si --raw --max-time 20 "{WEB}/{what}" | grep -av ^Date: | base64'
            answers = base64.b64decode(h.run('sh', '-c', command))
            assert answers.count(b'HTTP/1.1 200 OK\r\n') == 50
            assert answers.count(b'X-Server: a\r\n') == 50 and b'\nKeep-Alive:' not in answers
            return answers

        for what in ('echo?[1-50]', 'chunked/small?[1-50]'):
            h.set_fast_path(False)
            expected, before = ask(what), h.paths('web')
            h.set_fast_path(True)
            assert ask(what) == expected
            paths = h.paths('web') - before
            assert paths['fast'] >= 45, paths


def test_server_that_had_not_read_everything():
    """When it had answered first: its connection is let in when it has."""
    with host('slices: [shop.slice, server.slice]\n') as h:
        for name in ('shop.slice', 'server.slice'):
            h.manage(name)
        h.start_server('late', '127.0.1.1', 8080, 'server.slice', PYTHON, HERE / 'servers/late.py')
        await_all(h)
        assert h.curl(f'{WEB}/?[1-20]', '--data', 'body', '--write-out', '\\n').split() == ['late'] * 20
        paths = h.paths('web')
        assert paths.total() == 20 and paths['remote'] == 1 and paths['fast'] == 18, paths
        assert h.get(h.endpoint_path('web', '127.0.1.1:8080'), ENDPOINT, 'Answers') == 'direct'
