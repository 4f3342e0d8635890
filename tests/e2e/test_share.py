# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many of many requests take the fast path, and what those cost the daemons."""
import pathlib
import re
import time

import pytest

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/soak.yaml': '''
service: steady
address: 127.71.0.11:80
endpoints: ["127.0.1.4:8080"]
---
service: far
address: 127.71.0.12:80
endpoints: ["127.0.1.5:8080"]
''',
}
SLICES = ['shop.slice', 'server.slice']
UNITS = ('slicemeshd.service', 'slicemesh-relay.service')
CONNECTIONS = 32


@pytest.fixture(scope='module', autouse=True)
def servers(mesh):
    mesh.start_soak('steady', '127.0.1.4')
    mesh.start_soak('far', '127.0.1.5', 'far.slice')


def test_share(mesh):
    """Of requests that the kernel can take, it takes nearly all, also from many connections at once."""
    for service, address, path in (('steady', '127.71.0.11', 'fast'), ('far', '127.71.0.12', 'remote')):
        before = mesh.paths(service)
        mesh.soak(address, 20_000, 50, 8000)
        mesh.idle(service)
        paths = mesh.paths(service) - before
        assert paths.total() == 20_000
        assert paths[path] >= 0.95 * 20_000, paths


def switches(mesh):
    """How often the threads of the two daemons have slept or given way."""
    total = 0
    for unit in UNITS:
        group = mesh.unit(unit, 'ControlGroup')
        pids = mesh.path(f'/sys/fs/cgroup{group}/cgroup.procs').read_text().split()
        for status in (f for pid in pids for f in pathlib.Path(f'/proc/{pid}/task').glob('*/status')):
            total += sum(map(int, re.findall(r'ctxt_switches:\s+(\d+)', status.read_text())))
    return total


def test_the_fast_path_wakes_nobody(mesh, capsys):
    """Neither daemon, but for what did not take it, and for new connections."""
    mesh.soak('127.71.0.11', 2000, 100, 2000)
    before_paths, before = mesh.paths('steady'), switches(mesh)
    result = mesh.soak('127.71.0.11', 100_000, 100, 2000)
    woken = switches(mesh) - before
    slow = 100_000 - (mesh.paths('steady') - before_paths)['fast']
    before = switches(mesh)
    time.sleep(result['seconds'])
    resting = switches(mesh) - before
    with capsys.disabled():
        print(f'# {woken} context switches of both daemons in 100000 requests, {slow} of them slow; '
              f'{resting} in as many seconds of nothing')
    assert slow <= 1000
    assert woken <= resting + 4 * (slow + CONNECTIONS) + 100
