# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the two daemons take and are allowed: memory, privileges, files."""
import re

import pytest
from mesh import BUS_PATH, MANAGER, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice]\n',
    'services/web.yaml': 'service: web\naddress: 127.71.0.10:80\nendpoints: ["127.0.1.1:8080"]\n',
}
SERVERS = [('python', 'a', '127.0.1.1')]
UNITS = ('slicemeshd.service', 'slicemesh-relay.service')
IDLE_KIB = 20 * 1024


@pytest.fixture(scope='module', autouse=True)
def relay(mesh):
    wait_until(lambda: mesh.get(BUS_PATH, MANAGER, 'RelayState') == 'running', 'the relay')


def status(mesh, unit):
    pid = mesh.unit(unit, 'MainPID')
    lines = mesh.output('cat', f'/proc/{pid}/status').splitlines()
    return {key: value.split() for key, _, value in (line.partition(':') for line in lines)}


def test_idle_memory(mesh):
    assert mesh.memory(*UNITS) < IDLE_KIB


def test_idle_memory_after_use(mesh):
    mesh.spread('http://127.71.0.10', 2000)
    assert mesh.memory(*UNITS) < IDLE_KIB


def test_relay_has_no_privilege(mesh):
    fields = status(mesh, 'slicemesh-relay.service')
    uid = mesh.output('id', '-u', 'slicemesh-relay').strip()
    assert fields['Uid'] == [uid] * 4 and uid != '0'
    assert all(int(fields[f'Cap{s}'][0], 16) == 0 for s in ('Inh', 'Prm', 'Eff', 'Bnd', 'Amb'))
    assert fields['NoNewPrivs'] == ['1'] and fields['Seccomp'] == ['2']


def test_relay_sees_no_files(mesh):
    pid = mesh.unit('slicemesh-relay.service', 'MainPID')
    for path in ('/etc/slicemesh', '/etc/passwd', '/home', '/root', '/usr/bin', '/var/lib', '/run/dbus'):
        assert not mesh.path(f'/proc/{pid}/root{path}').exists(), path


def test_daemon_has_three_capabilities(mesh):
    fields = status(mesh, 'slicemeshd.service')
    net_admin, perfmon, bpf = 12, 38, 39
    assert int(fields['CapEff'][0], 16) == 1 << net_admin | 1 << perfmon | 1 << bpf
    assert fields['NoNewPrivs'] == ['1'] and fields['Seccomp'] == ['2']


@pytest.mark.parametrize('unit,limit', [('slicemesh-relay.service', 1.5), ('slicemeshd.service', 2.2)])
def test_exposure(mesh, unit, limit):
    text = mesh.output('systemd-analyze', 'security', '--no-pager', unit)
    assert float(re.search(r'exposure level for \S+: ([\d.]+)', text)[1]) < limit


def test_idle_is_idle(mesh):
    """Neither wakes up without a reason: in a second of nothing, less than 30 ms of processor time."""
    def used():
        return sum(int(mesh.unit(unit, 'CPUUsageNSec')) for unit in UNITS)
    if not mesh.unit(UNITS[0], 'CPUUsageNSec').isdigit():
        pytest.skip('systemd knows no processor time here')
    before = used()
    mesh.output('sleep', '1')
    assert used() - before < 30_000_000


def test_nothing_is_logged_as_an_error(mesh):
    mesh.spread('http://127.71.0.10', 10)
    errors = mesh.journal('--priority=warning', '--output=cat', *(f'--unit={u}' for u in UNITS))
    assert errors.replace('-- No entries --', '').strip() == ''
