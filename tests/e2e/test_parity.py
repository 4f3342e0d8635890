# SPDX-License-Identifier: LGPL-2.1-or-later
"""With the fast path on, off, and switching at random, the bytes that clients and servers get are the same,
and the counters say which way they went."""
import collections
import json
import re

import pytest
from corpus import CASES, DYING, SMALL
from mesh import HERE, PYTHON, TOP, wait_until

# The same routes, so that what is sent on does not differ. Those by X-Route are of
# routed_cases().
SERVICE = '''
service: {}
address: {}
endpoints: ["{}"]
paths: {{normalize: never}}
routes:
  - {{match: {{path: {{prefix: /timed-out}}}}, to: default, timeout: 200ms}}
  - {{match: {{headers: {{x-route: regex}}, path: {{regex: "a{{2}}b$"}}}}, to: default}}
  - {{match: {{headers: {{x-route: body}}, body: {{contains: needle, first: 16K}}}}, to: default}}
  - {{match: {{headers: {{x-route: action}}}}, to: default, rewrite: {{host: parity.example}}}}
  - {{match: {{host: parity.example}}, to: default}}
'''
SLICES = ['shop.slice', 'server.slice']
OWN_MODE = True

# name: (address of the service, of its endpoint, what the server is started with)
SERVICES = {
    'near': ('127.71.0.10:80', '127.0.1.1:8080', {}),
    'unmanaged': ('127.71.0.11:80', '127.0.1.2:8080', {'slice_': 'far.slice'}),
    'remote': ('127.71.0.12:80', '198.18.0.2:8080', {'properties': ['NetworkNamespacePath=/run/netns/far']}),
}
POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/all.yaml': '---'.join(SERVICE.format(name, address, endpoint)
                                    for name, (address, endpoint, _) in SERVICES.items()),
}
# What a request may count under at any time, if who has answered the one before is not through yet.
LATE = {'not-in-step', 'no-upstream'}
TRIES = 5
CLIENT = [PYTHON, '-B', HERE / 'clients/script.py']
SWITCH = [PYTHON, '-B', HERE / 'switch.py']


@pytest.fixture(scope='module')
def servers(mesh):
    mesh.make_namespace('far', '198.18.0.1', '198.18.0.2')
    for name, (_, endpoint, options) in SERVICES.items():
        address, port = endpoint.split(':')
        mesh.start(f'script-{name}', PYTHON, '-B', HERE / 'servers/script.py', name, address, port,
                   f'/run/{name}.log', **options)
    for address in ('127.0.1.1', '127.0.1.2'):
        wait_until(lambda: mesh.listening(address, 8080), 'the servers')
    wait_until(lambda: mesh.run('curl', '-s', 'http://198.18.0.2:8080/small/', slice_='far.slice',
                                check=False).returncode == 0, 'the remote one')
    return mesh


class Run:
    """The corpus in one mode: {case: what the client got}, {case: [(length, hash) that the server got]}."""

    def __init__(self, mesh, service, mode):
        address, endpoint, _ = SERVICES[service]
        log = mesh.path(f'/run/{service}.log')
        start = log.stat().st_size
        if mode == 'random':
            mesh.start('switch', *SWITCH, slice_='system.slice')
        elif mode != 'direct':
            mesh.set_fast_path(mode == 'on')
        direct = mode == 'direct'
        output = mesh.run(*CLIENT, endpoint if direct else address, '-' if direct else service,
                          1 if mode == 'off' else TRIES)
        if mode == 'random':
            assert mesh.unit('switch.service', 'ActiveState') == 'active'
            mesh.stop('switch.service')
        self.client = {(line := json.loads(text))['case']: line for text in output.splitlines()}
        self.server = collections.defaultdict(list)
        with log.open() as lines:
            lines.seek(start)
            for target, length, digest, _ in map(json.loads, lines):
                self.server[target].append((length, digest))

    def seen(self, name):
        """What must not depend on the way."""
        client = self.client[name]
        got = {key: client[key] for key in ('lengths', 'sha256', 'after', 'left')}
        got['ended'] = bool(client['end'])
        targets = {m.decode() for s in CASES[name].send if isinstance(s, bytes)
                   for m in re.findall(rb'[A-Z]+ (\S+) HTTP/1.1\r\n', s)}
        got['server'] = {target: sorted(set(self.server[target])) for target in targets}
        return got


@pytest.fixture(scope='module')
def runs(servers):
    """runs(service, mode): what has been run once is not run again."""
    done = {}

    def get(service, mode):
        if (service, mode) not in done:
            done[service, mode] = Run(servers, service, mode)
        return done[service, mode]
    return get


def assert_same(expected, got, names):
    wrong = [f'{name}: {a}\n   not: {b}\n   got: {got.client[name]}' for name in names
             if (a := expected.seen(name)) != (b := got.seen(name))]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('service', SERVICES)
def test_off_is_as_without_a_mesh(runs, service):
    names = [name for name, case in CASES.items() if case.same and name != 'caller-gone']
    assert_same(runs(service, 'direct'), runs(service, 'off'), names)


@pytest.mark.parametrize('mode', ['on', 'random'])
@pytest.mark.parametrize('service', SERVICES)
def test_same_bytes(runs, service, mode):
    assert_same(runs('near', 'off'), runs(service, mode), [n for n in CASES if n != 'caller-gone'])


@pytest.mark.parametrize('mode', ['off', 'on', 'random'])
@pytest.mark.parametrize('service', SERVICES)
def test_once(runs, service, mode):
    """No request reaches the server twice, but for one that a dying server has not answered."""
    run = runs(service, mode)
    for name, case in CASES.items():
        if name.startswith('answer-') and name.removeprefix('answer-') not in DYING:
            answer = case.send[0].split(b' ')[1].decode()
            assert len(run.server[answer]) == run.client[name]['runs'], name


@pytest.mark.parametrize('service', SERVICES)
def test_streams_go_on(runs, service):
    """After whatever a connection has been through, the next request on it is answered by its answer."""
    for name, line in runs(service, 'on').client.items():
        assert line['left'] == 0 and line['after'].encode() in (b'', SMALL), (name, line)
        assert line['after'] or line['end'] or CASES[name].gone, (name, line)


@pytest.fixture(scope='module')
def features(servers):
    """What this kernel can do."""
    servers.set_fast_path(True)
    return wait_until(servers.features, 'the fast path')


def expected(features, service, case):
    """Under what its requests may count."""
    if service == 'near' and 'servers' in features:
        return set(case.near)
    if 'answers' not in features:  # what is fast there is answered by nobody else
        return {'refused' if path == 'fast' else path for path in case.far}
    return set(case.far)


@pytest.mark.parametrize('service', SERVICES)
def test_counted_rightly(runs, features, service):
    """Each case went the way that it was made for."""
    wrong = {}
    for name, line in runs(service, 'on').client.items():
        wanted, paths = expected(features, service, CASES[name]), set(line['paths'])
        if not paths & wanted or paths - wanted - LATE:
            wrong[name] = (line['paths'], f'expected {wanted}')
    assert not wrong, '\n'.join(f'{name}: {what}' for name, what in wrong.items())


@pytest.mark.parametrize('service', SERVICES)
def test_off_is_off(runs, service):
    wrong = {name: line['paths'] for name, line in runs(service, 'off').client.items()
             if set(line['paths']) != {'off'}}
    assert not wrong


def test_every_reason_has_a_case(runs, features):
    """But for those of connections, which test_slow.py has, of traces, which test_shift.py has, and on a
    kernel that cannot reach servers those that say what became of that."""
    text = (TOP / 'src/abi/abi-slow.h').read_text()
    requests = text[text.index('/* the request */'):text.index('enum sm_slow')]
    reasons = set(re.findall(r'X\(\w+,\s*"([^"]+)"', requests))
    if 'servers' not in features:
        sure = (expected(features, 'near', case) for case in CASES.values())
        reasons &= set().union(*(paths for paths in sure if len(paths) == 1))
    found = {path for mode in ('on', 'random') for line in runs('near', mode).client.values()
             for path in line['paths']}
    assert reasons - found - LATE == {'traced'}
