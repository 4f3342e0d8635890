# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes to no endpoint is answered in the same way, and counts the same, whether the relay does it or
the kernel."""
import collections
import json

import pytest
from mesh import HERE, PYTHON, SERVICE, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/all.yaml': '''
service: routed
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080"]
routes: [{match: {path: {prefix: /small}}, to: default}]
---
service: drained
address: 127.71.0.11:80
endpoints: [{address: "127.0.1.1:8080", state: drain}]
---
service: disabled
address: 127.71.0.12:80
subsets:
  none: {endpoints: [{address: "127.0.1.1:8080", state: disabled}]}
  some: {endpoints: ["127.0.1.1:8080"]}
routes: [{match: {path: {prefix: /small}}, to: some}, {to: none}]
''',
}
SLICES = ['shop.slice', 'server.slice']
OWN_MODE = True

ADDRESSES = {'routed': '127.71.0.10:80', 'drained': '127.71.0.11:80', 'disabled': '127.71.0.12:80'}
REASONS = {'routed': 'no-route', 'drained': 'no-endpoint', 'disabled': 'no-endpoint'}
ROUNDS = 40


class Run:
    """The responses, and what was counted meanwhile."""

    def __init__(self, mesh, service, mode):
        if mode == 'random':
            mesh.start('switch', PYTHON, '-B', HERE / 'switch.py', slice_='system.slice')
        else:
            mesh.set_fast_path(mode == 'on')
        before = self.counts(mesh, service)
        output = mesh.run(PYTHON, '-B', HERE / 'clients/refused.py', ADDRESSES[service], ROUNDS)
        self.responses = json.loads(output)
        if mode == 'random':
            mesh.stop('switch.service')
        path = mesh.service_path(service)
        wait_until(lambda: mesh.get(path, SERVICE, 'ActiveRequests') == 0, 'all to be over')
        after = self.counts(mesh, service)
        self.counted = {what: dict(after[what] - before[what]) for what in after}

    @staticmethod
    def counts(mesh, service):
        requests, responses, reasons, paths = mesh.get(mesh.service_path(service), SERVICE, 'Requests',
                                                       'Responses', 'Reasons', 'Paths')
        return {'requests': collections.Counter(requests=requests), 'paths': collections.Counter(paths),
                'responses': collections.Counter(responses), 'reasons': collections.Counter(reasons)}


@pytest.fixture(scope='module')
def runs(mesh):
    mesh.start('script', PYTHON, '-B', HERE / 'servers/script.py', 'script', '127.0.1.1', 8080, '/dev/null')
    wait_until(lambda: mesh.listening('127.0.1.1', 8080), 'the server')
    assert 'answers' in mesh.get('/io/slicemesh/Mesh1', 'io.slicemesh.Mesh1.Manager', 'FastPathFeatures')
    done = {(service, mode): Run(mesh, service, mode) for service in ADDRESSES
            for mode in ('off', 'on', 'random')}
    mesh.set_fast_path(True)
    return done


@pytest.mark.parametrize('mode', ['on', 'random'])
@pytest.mark.parametrize('service', ADDRESSES)
def test_as_the_relay(runs, service, mode):
    expected, got = runs[service, 'off'], runs[service, mode]
    assert got.responses == expected.responses
    assert {**got.counted, 'paths': {}} == {**expected.counted, 'paths': {}}


@pytest.mark.parametrize('service', ADDRESSES)
def test_what_it_is(runs, service):
    run = runs[service, 'off']
    n = len(run.responses)
    assert run.counted['requests'] == {'requests': n}
    assert run.counted['paths'] == {'off': n}
    refused = ROUNDS * (6 if service == 'drained' else 5)
    assert run.counted['reasons'] == {REASONS[service]: refused}
    assert sum(f'\r\nX-Slicemesh: {REASONS[service]}\r\n' in text for text in run.responses) == refused


@pytest.mark.parametrize('service', ADDRESSES)
def test_by_the_kernel(runs, service):
    """But for a connection's first request, and those to the server until there is an idle connection."""
    run = runs[service, 'on']
    assert run.counted['paths']['fast'] >= 0.9 * len(run.responses), run.counted
    assert set(run.counted['paths']) <= {'fast', 'not-in-step', 'no-upstream'}, run.counted
