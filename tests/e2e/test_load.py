# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many requests at once: none is lost, none gets another one's answer, whatever happens meanwhile."""
import json

import pytest
from mesh import BUS_PATH, ENDPOINT, LONG, MANAGER, SERVICE, kill, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080", {address: "127.0.1.2:8080", weight: 2}, "127.0.1.3:8080"]
''',
}
# The last is in no managed slice, so that its answers come by way of the relay whatever else is fast.
SERVERS = [('nginx', 'a', '127.0.1.1'), ('nginx', 'b', '127.0.1.2'),
           ('nginx', 'c', '127.0.1.3', 'far.slice')]
SLICES = ['shop.slice', 'server.slice']

WEB = 'http://127.71.0.10'
CONCURRENCY = 256
REQUESTS = 1_000_000 if LONG else 100_000
ROUNDS = 20 if LONG else 3


def requests(mesh):
    return mesh.get(mesh.service_path('web'), SERVICE, 'Requests')


class Load:
    """A load in the background while the block runs; `result` is what became of it."""

    STOP = '/tmp/stop-load'

    def __init__(self, mesh, load):
        self.mesh = mesh
        self.mesh.path(self.STOP).unlink(missing_ok=True)
        self.process = mesh.popen(*load, WEB, self.STOP, CONCURRENCY)
        self.result = None

    def __enter__(self):
        self.step()
        return self

    def __exit__(self, exception, *_):
        self.mesh.path(self.STOP).touch()
        if exception:
            kill(self.process)
            return
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        self.result = json.loads(output)

    def step(self, n=2000):
        """Waits until it has made some more requests."""
        aim = requests(self.mesh) + n
        wait_until(lambda: requests(self.mesh) >= aim, f'{n} more requests', 60)


@pytest.fixture
def under_load(mesh, load):
    return Load(mesh, load)


def test_nothing_is_lost_or_mixed_up(mesh, load):
    before = requests(mesh)
    result = json.loads(mesh.run(*load, WEB, REQUESTS, CONCURRENCY))
    assert result['failed'] == 0, result
    assert result['servers'] == {'a': REQUESTS // 4, 'b': REQUESTS // 2, 'c': REQUESTS // 4}
    assert requests(mesh) - before == REQUESTS
    wait_until(lambda: mesh.get(mesh.service_path('web'), SERVICE, 'ActiveRequests') == 0, 'all to be over')


def test_drain_loses_nothing(mesh, under_load):
    path = mesh.endpoint_path('web', '127.0.1.3:8080')
    with under_load as background:
        for _ in range(ROUNDS):
            background.step()
            mesh.call(path, ENDPOINT, 'Drain', 'b', 'false')
            wait_until(lambda: mesh.get(path, ENDPOINT, 'State') == 'drained', 'it to be drained')
            drained = mesh.get(path, ENDPOINT, 'Requests')
            background.step()
            assert mesh.get(path, ENDPOINT, 'Requests') == drained
            mesh.call(path, ENDPOINT, 'Enable', 'b', 'false')
    assert background.result['failed'] == 0, background.result


def test_changes_and_reloads_lose_nothing(mesh, under_load):
    path = mesh.endpoint_path('web', '127.0.1.1:8080')
    with under_load as background:
        for number in range(ROUNDS * 5):
            background.step(500)
            mesh.call(path, ENDPOINT, 'SetWeight', 'ub', number % 7 + 1, 'false')
            mesh.reload()
    mesh.call(path, ENDPOINT, 'SetWeight', 'ub', 1, 'false')
    assert background.result['failed'] == 0, background.result


def test_restarts_of_the_daemon_lose_nothing(mesh, under_load):
    with under_load as background:
        for _ in range(ROUNDS):
            background.step()
            mesh.systemctl('reset-failed', 'slicemeshd.service')  # or systemd finds it too often
            mesh.systemctl('restart', 'slicemeshd.service')
    assert background.result['failed'] == 0, background.result


def test_killing_the_daemon_loses_nothing(mesh, under_load):
    with under_load as background:
        for _ in range(ROUNDS):
            background.step()
            old = mesh.unit('slicemeshd.service', 'MainPID')
            mesh.systemctl('reset-failed', 'slicemeshd.service')
            mesh.systemctl('kill', '--signal=KILL', 'slicemeshd.service')
            wait_until(lambda: mesh.unit('slicemeshd.service', 'MainPID', 'ActiveState') not in
                       ([old, 'active'], ['0', 'activating']) and
                       mesh.unit('slicemeshd.service', 'ActiveState') == 'active', 'slicemeshd to be back')
    assert background.result['failed'] == 0, background.result
    assert mesh.spread(WEB, 40) == {'a': 10, 'b': 20, 'c': 10}


def test_stopping_the_relay_loses_nothing(mesh, under_load):
    """It finishes what it has; new connections wait in the listeners that slicemeshd holds."""
    with under_load as background:
        mesh.systemctl('restart', 'slicemesh-relay.service')
        background.step()
    assert background.result['failed'] == 0, background.result


def test_killing_the_relay_breaks_only_what_it_had(mesh, under_load):
    old = mesh.get(BUS_PATH, MANAGER, 'RelayPID')
    with under_load as background:
        mesh.systemctl('kill', '--signal=KILL', 'slicemesh-relay.service')
        wait_until(lambda: mesh.get(BUS_PATH, MANAGER, 'RelayState', 'RelayPID') not in
                   (['running', old], ['down', 0], ['starting', 0]) and
                   mesh.get(BUS_PATH, MANAGER, 'RelayState') == 'running', 'the relay to be back')
        background.step()
    assert background.result['failed'] <= CONCURRENCY, background.result
    assert mesh.spread(WEB, 40) == {'a': 10, 'b': 20, 'c': 10}
    assert 'relay-down' not in mesh.problems()


def test_a_server_that_dies_breaks_only_what_it_had(mesh, under_load):
    with under_load as background:
        mesh.kill_server('b')
        background.step()
    result = background.result
    assert result['failed'] <= CONCURRENCY, result
    mesh.start_nginx('b', '127.0.1.2')
    wait_until(lambda: mesh.spread(WEB, 8)['b'], 'the server to be tried again', seconds=60)
