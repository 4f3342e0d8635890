# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many requests of all sizes while servers and clients are killed, and close at every moment: each answer is
that of its request, whole and once, and what cannot be answered ends with an error."""
import json
import random
import time

import modes
import pytest
from mesh import LONG, SLOW, SOAK_CLIENT

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/soak.yaml': '''
service: soak
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080", "127.0.1.3:8080"]
---
service: answer
address: 127.71.0.13:80
endpoints: ["127.0.1.6:8080"]
---
service: reset
address: 127.71.0.14:80
endpoints: ["127.0.1.7:8080"]
---
service: request
address: 127.71.0.15:80
endpoints: ["127.0.1.8:8080"]
''',
}
SLICES = ['shop.slice', 'server.slice']

# One is in no managed slice, so that its answers come by way of the relay.
SOAKED = {'one': ('127.0.1.1', 'server.slice'), 'two': ('127.0.1.2', 'server.slice'),
          'three': ('127.0.1.3', 'far.slice')}
CLIENTS, CONNECTIONS = 4, 32
BATCH = 20_000 // SLOW  # requests of one client: so few that most end before they are killed
REQUESTS = (10_000_000 if LONG else 200_000 if modes.MODE == 'on' else 50_000) // SLOW
CLOSED = 10_000 // SLOW  # times that a server closes at the moment of reuse
EVERY = 2        # answers


class Clients:
    """Some soak-clients at a time, until all requests are made."""

    def __init__(self, mesh):
        self.mesh, self.left, self.running, self.results = mesh, REQUESTS, [], []
        self.number = 0

    def start(self):
        n = min(self.left, BATCH)
        self.left -= n
        if n:
            self.number += 1
            unit = f'soak-client-{self.number}'
            self.mesh.start(unit, SOAK_CLIENT, '127.71.0.10', 80, CONNECTIONS, n, 70, 200_000, 1,
                            slice_='shop.slice', properties=[f'StandardOutput=file:/run/{unit}.out',
                                                             f'StandardError=file:/run/{unit}.err'])
            self.running.append(unit)

    def kill_one(self):
        """Nobody knows how many of its requests are done; half of them are left to others."""
        victim = random.choice(self.running)
        try:
            self.mesh.kill_unit(victim)
        except RuntimeError:
            return  # it has just ended
        self.running.remove(victim)
        self.left += BATCH // 2
        self.start()

    def collect(self):
        """Whether some are still running."""
        for unit in list(self.running):
            if self.mesh.unit(f'{unit}.service', 'ActiveState') in ('inactive', 'failed'):
                output, errors = (self.mesh.path(f'/run/{unit}.{end}').read_bytes().decode(errors='replace')
                                  for end in ('out', 'err'))
                assert not errors, errors[:3000]
                self.results.append(json.loads(output))
                self.running.remove(unit)
                self.start()
        return bool(self.running)


def test_nothing_is_lost_repeated_or_crossed(mesh, capsys):
    for name, (address, slice_) in SOAKED.items():
        mesh.start_soak(name, address, slice_)
    clients = Clients(mesh)
    for _ in range(CLIENTS):
        clients.start()
    kills = 0
    while clients.collect():
        time.sleep(random.uniform(0.1, 0.6))
        if random.random() < 0.2:
            clients.kill_one()
        name = random.choice(list(SOAKED))
        mesh.kill_unit(f'soak-{name}')
        time.sleep(random.uniform(0, 0.2))
        mesh.start_soak(name, *SOAKED[name])
        kills += 1
    total = {key: sum(r[key] for r in clients.results)
             for key in ('ok', 'abandoned', 'broken', 'wrong', 'lost')}
    total['5xx'] = sum(r['status']['5xx'] for r in clients.results)
    with capsys.disabled():
        print(f'# {total} with {kills} kills of servers; {dict(mesh.paths("soak"))}')
    assert total['wrong'] == total['lost'] == 0 and not any(r['status']['4xx'] for r in clients.results)
    assert total['broken'] + total['5xx'] <= kills * CLIENTS * CONNECTIONS * 2
    assert total['ok'] > REQUESTS * 0.3
    mesh.idle('soak')


@pytest.mark.parametrize('manner,address', [('answer', '127.0.1.6'), ('reset', '127.0.1.7'),
                                            ('request', '127.0.1.8')])
def test_servers_that_close_at_the_moment_of_reuse(mesh, manner, address):
    """No client sees an error: what may be sent again is, and what was answered is answered."""
    mesh.start_soak(manner, address, 'server.slice', manner, EVERY)
    service = f'127.71.0.{int(address.rpartition(".")[2]) + 7}'
    result = mesh.soak(service, CLOSED * EVERY, 100, 2000, connections=8)
    assert result['ok'] == CLOSED * EVERY, result
    mesh.idle(manner)
