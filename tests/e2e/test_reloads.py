# SPDX-License-Identifier: LGPL-2.1-or-later
"""While policies alternate under load no request is lost, and none is decided by two of them: what is a
subset's or route's number in one is another's in the other."""
import bisect
import json
import math
import sys
import time

import pytest
from mesh import HERE, LONG, PYTHON, SERVICE, TOP, kill, wait_until

sys.path.insert(0, str(TOP / 'tests/routing'))

from cases import SUBSETS  # noqa: E402

HEAD = 'service: shop\naddress: 127.71.0.10:80\n'
ONE = f'''{HEAD}
subsets:
  stable: {{endpoints: ["{SUBSETS['stable']}"]}}
  canary: {{endpoints: ["{SUBSETS['canary']}"]}}
routes:
  - {{match: {{path: /stable}}, to: stable}}
  - {{match: {{path: /canary}}, to: canary}}
  - {{match: {{path: {{prefix: /blue}}}}, to: canary}}
  - {{split: {{stable: 1, canary: 1}}}}
'''
OTHER = f'''{HEAD}
subsets:
  blue: {{endpoints: ["{SUBSETS['blue']}"]}}
  canary: {{endpoints: ["{SUBSETS['canary']}"]}}
  green: {{endpoints: ["{SUBSETS['green']}"]}}
  stable: {{endpoints: ["{SUBSETS['stable']}"]}}
routes:
  - {{match: {{path: {{prefix: /canary}}}}, to: canary}}
  - {{match: {{path: {{prefix: /blue}}}}, to: blue}}
  - {{match: {{path: /stable}}, to: stable}}
  - {{split: {{green: 1, blue: 1}}}}
'''
COLOURS = f'''{HEAD}
subsets:
  blue: {{endpoints: ["{SUBSETS['blue']}"]}}
  green: {{endpoints: ["{SUBSETS['green']}"]}}
routes:
  - {{name: preview, match: {{path: /preview}}, to: green}}
  - {{name: live, to: blue}}
'''
SHARES = f'''{HEAD}
subsets:
  stable: {{endpoints: ["{SUBSETS['stable']}"]}}
  canary: {{endpoints: ["{SUBSETS['canary']}"]}}
routes:
  - {{name: all, split: {{stable: 1, canary: 0}}}}
'''
TARGETS = ('/stable=stable', '/canary=canary', '/blue/x=canary,blue', '/x=stable,canary,blue,green')
POLICY = {'mesh.yaml': 'slices: [shop.slice, server.slice]\n', 'services/shop.yaml': ONE}
SLICES = ['shop.slice', 'server.slice']
CONNECTIONS = 32
TIMES = 1000 if LONG else 60
STOP, LOG = '/tmp/stop-routed', '/tmp/routed.log'


@pytest.fixture(scope='module')
def shop(mesh):
    mesh.start('echo', PYTHON, '-B', HERE / 'servers/echo.py', '/dev/null',
               *(f'{name}={where}' for name, where in SUBSETS.items()), slice_='server.slice')
    for where in SUBSETS.values():
        wait_until(lambda w=where: mesh.listening(w.partition(':')[0], 8080), 'the servers')
    return mesh


class Load:
    """In the background while the block runs; `result` is what became of it."""

    def __init__(self, mesh, *targets):
        self.mesh, self.targets = mesh, targets
        self.result = None
        self.changes = []  # (when it was begun, when it was done, subsets that get requests from then on)

    def requests(self):
        return self.mesh.get(self.mesh.service_path('shop'), SERVICE, 'Requests')

    def __enter__(self):
        self.mesh.path(STOP).unlink(missing_ok=True)
        self.process = self.mesh.popen(PYTHON, '-B', HERE / 'clients/routed.py', '127.71.0.10', 80,
                                       CONNECTIONS, STOP, LOG, *self.targets)
        self.step(CONNECTIONS)
        return self

    def __exit__(self, exception, *_):
        self.mesh.path(STOP).touch()
        if exception:
            kill(self.process)
            return
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        self.result = json.loads(output)
        assert not self.result['failed'] and not self.result['wrong'], self.result

    def change(self, subsets, method, *arguments):
        """By a method of the service, which says when it is done."""
        start = time.monotonic()
        self.mesh.call(self.mesh.service_path('shop'), SERVICE, method, *arguments)
        self.changes.append((start, time.monotonic(), subsets))

    def check_changes(self):
        """What was sent after a change and answered before the next one went where that says."""
        starts = [start for start, _, _ in self.changes] + [math.inf]
        sure = 0
        for sent, answered, subset in json.loads(self.mesh.path(LOG).read_text()):
            last = bisect.bisect(starts, sent) - 1
            if last >= 0 and sent > self.changes[last][1] and answered < starts[last + 1]:
                assert subset in self.changes[last][2], (sent, answered, subset)
                sure += 1
        assert sure > len(self.changes) * 5, sure

    def step(self, n):
        """Waits until it has made some more requests."""
        aim = self.requests() + n
        wait_until(lambda: self.requests() >= aim, f'{n} more requests', 60)


def test_reloads(shop):
    with Load(shop, *TARGETS) as load:
        for number in range(TIMES):
            shop.write_policy('services/shop.yaml', ONE if number % 2 else OTHER)
            assert shop.reload() == []
            load.step(20)
    answers = load.result['answers']
    assert set(answers) == {'stable', 'canary', 'blue', 'green'}, answers
    shop.idle('shop')


def test_swap(shop):
    """Two subsets change places at once: none is left behind, and none goes to a side that is none's."""
    shop.write_policy('services/shop.yaml', COLOURS)
    assert shop.reload() == []
    with Load(shop, '/x=blue,green') as load:
        for number in range(TIMES):
            load.change({'blue'} if number % 2 else {'green'}, 'Swap', 'ssb', 'blue', 'green', 'false')
            load.step(100)
    load.check_changes()
    shop.idle('shop')


def test_shift(shop):
    """Shares move, also from and to nothing."""
    shop.write_policy('services/shop.yaml', SHARES)
    assert shop.reload() == []
    shares = ((0, 1), (50, 50), (1, 0), (90, 10))
    with Load(shop, '/x=stable,canary') as load:
        for number in range(TIMES):
            stable, canary = shares[number % len(shares)]
            subsets = {name for name, share in (('stable', stable), ('canary', canary)) if share}
            load.change(subsets, 'SetSplit', 'sa(su)b', 'all', 2, 'stable', stable, 'canary', canary,
                        'false')
            load.step(100)
    load.check_changes()
    shop.idle('shop')
