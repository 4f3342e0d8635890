# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which processes are governed: those of managed slices, as these come and go, and nobody else."""
import contextlib
import time

import pytest
from mesh import BUS_PATH, MANAGER, PYTHON, SERVICE, SLICE, Failed, kill, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice]\n',
    'services/web.yaml': 'service: web\naddress: 127.71.0.10:80\nendpoints: ["127.0.1.1:8080"]\n',
    'services/pay.yaml': '''
service: pay
address: 127.71.0.11:80
callers: [pay.slice]
endpoints: ["127.0.1.1:8080"]
''',
    'services/raw.yaml': '''
service: raw
address: 127.71.0.12:80
protocol: tcp
callers: [pay.slice]
endpoints: ["127.0.1.1:8080"]
''',
    'services/real.yaml': '''
service: real
address: 127.0.5.5:8080
callers: [shop.slice]
endpoints: ["127.0.1.1:8080"]
''',
}
SERVERS = [('python', 'a', '127.0.1.1'), ('python', 'real', '127.0.5.5')]

# Captured connections go to the address that they asked for.
DIRECT = '''
service: direct
address: 127.0.5.6:8080
protocol: tcp
callers: [early.slice]
endpoints: ["127.0.5.6:8080"]
'''
KEEP_ASKING = '''
import http.client, time
connection = http.client.HTTPConnection('127.0.5.6', 8080)
while True:
    connection.request('GET', f'/echo?{time.monotonic_ns()}')
    print(connection.getresponse().read().decode(), end='', flush=True)
    time.sleep(0.1)
'''

WEB, PAY, RAW = (f'http://127.71.0.{n}' for n in (10, 11, 12))
REAL = 'http://127.0.5.5:8080'
REFUSED = 7  # curl: could not connect


def groups(mesh):
    """What is captured. The other hooks outlive that one: they follow connections which are still open."""
    return {group for group, kind in mesh.attached() if 'connect' in kind}


def test_callers_are_managed_too(mesh):
    """mesh.yaml names only shop.slice; pay.slice is a caller, and so it is managed."""
    names = {name for name, _, _ in mesh.call(BUS_PATH, MANAGER, 'ListSlices')[0]}
    assert names == {'shop.slice', 'pay.slice'}


def test_hooks(mesh):
    kinds = sorted(kind for group, kind in mesh.attached() if group == '/shop.slice')
    assert len(kinds) == 5 and len(set(kinds)) == 5, kinds


def test_unmanaged_slices_are_left_alone(mesh):
    mesh.systemctl('start', 'other.slice')
    assert groups(mesh) <= {'/shop.slice', '/pay.slice'}
    assert mesh.run('curl', '-sS', WEB, slice_='other.slice', check=False).returncode == REFUSED
    assert mesh.run('curl', '-sS', WEB, slice_='system.slice', check=False).returncode == REFUSED


def test_other_addresses_are_left_alone(mesh):
    path = mesh.slice_path('shop.slice')
    connects, captured = mesh.get(path, SLICE, 'Connects', 'Captured')
    assert mesh.curl('http://127.0.1.1:8080/echo?x') == 'a x\n'
    assert mesh.run('curl', '-sS', 'http://127.71.0.99', check=False).returncode == REFUSED
    assert mesh.get(path, SLICE, 'Connects', 'Captured') == [connects + 2, captured]


def test_callers_are_restricted(mesh):
    mesh.manage('pay.slice')
    path = mesh.slice_path('shop.slice')
    before = mesh.get(path, SLICE, 'Refused')
    for url in (PAY, RAW):
        assert mesh.run('curl', '-sS', f'{url}/echo?x', check=False).returncode == REFUSED
        assert mesh.curl(f'{url}/echo?x', slice_='pay.slice') == 'a x\n'
    assert mesh.get(path, SLICE, 'Refused') == before + 2
    assert mesh.get(mesh.service_path('pay'), SERVICE, 'Reasons')['caller-refused'] >= 1


def test_a_real_address_is_captured_for_its_callers_only(mesh):
    """Others reach the server itself."""
    assert mesh.curl(f'{REAL}/echo?x') == 'a x\n'
    assert mesh.curl(f'{REAL}/echo?x', slice_='system.slice') == 'real x\n'


def test_slices_within_the_slice(mesh):
    assert mesh.curl(f'{WEB}/echo?x', slice_='shop-inner-most.slice') == 'a x\n'


def test_a_slice_that_vanishes_and_returns(mesh):
    path = mesh.slice_path('pay.slice')
    mesh.manage('pay.slice')
    old = mesh.get(path, SLICE, 'ControlGroupId')
    mesh.systemctl('stop', 'pay.slice')
    wait_until(lambda: not mesh.get(path, SLICE, 'Attached'), 'the slice to be gone')
    assert '/pay.slice' not in groups(mesh)
    mesh.manage('pay.slice')
    assert mesh.get(path, SLICE, 'ControlGroupId') != old
    assert mesh.curl(f'{PAY}/echo?x', slice_='pay.slice') == 'a x\n'
    assert mesh.get(path, SLICE, 'Problem') == ''


def test_a_slice_that_the_policy_gains_and_loses(mesh):
    mesh.systemctl('start', 'late.slice')
    assert mesh.run('curl', '-sS', WEB, slice_='late.slice', check=False).returncode == REFUSED
    mesh.write_policy('mesh.yaml', 'slices: [shop.slice, late.slice]\n')
    assert mesh.reload() == []
    mesh.manage('late.slice')
    assert mesh.curl(f'{WEB}/echo?x', slice_='late.slice') == 'a x\n'
    mesh.write_policy('mesh.yaml', POLICY['mesh.yaml'])
    assert mesh.reload() == []
    assert '/late.slice' not in groups(mesh)
    assert mesh.run('curl', '-sS', WEB, slice_='late.slice', check=False).returncode == REFUSED


def assert_works(client):
    """A request from after this call is answered, by the server that all before it came from."""
    since = time.monotonic_ns()
    while True:
        server, asked = client.stdout.readline().split()
        assert server == 'direct'
        if int(asked) > since:
            return


@contextlib.contextmanager
def asking(mesh):
    client = mesh.popen(PYTHON, '-c', KEEP_ASKING, slice_='early.slice')
    try:
        assert_works(client)
        yield client
    finally:
        kill(client)


def test_connections_from_before(mesh):
    """They go on past the mesh, and are counted until they end; those that came later are not, even by a
    slicemeshd that has not seen them begin."""
    mesh.start_python('direct', '127.0.5.6')
    mesh.systemctl('start', 'early.slice')
    path = mesh.slice_path('early.slice')
    with contextlib.ExitStack() as later:
        with asking(mesh) as early:
            mesh.write_policy('services/direct.yaml', DIRECT)
            assert mesh.reload() == []
            mesh.manage('early.slice')
            wait_until(lambda: mesh.get(path, SLICE, 'Ungoverned') == 1, 'the connection to be counted')
            late = later.enter_context(asking(mesh))
            assert mesh.get(path, SLICE, 'Captured') == 1
            mesh.systemctl('restart', 'slicemeshd.service')
            assert wait_until(lambda: mesh.get(path, SLICE, 'Ungoverned'), 'both to be looked at') == 1
            for client in early, late:
                assert_works(client)
            for command in (['status'], ['show', 'early.slice']):
                text = mesh.run('slicemeshctl', *command, slice_='system.slice')
                assert '1 connection is not governed: it was open before' in text
        wait_until(lambda: mesh.get(path, SLICE, 'Ungoverned') == 0, 'its end to be noticed', seconds=20)
        assert_works(late)
    told = mesh.journal('--unit=slicemeshd.service', '--output=cat', '--grep=not governed until they end')
    assert len(told.splitlines()) == 2, told  # by each slicemeshd
    mesh.remove_policy('services/direct.yaml')
    assert mesh.reload() == []


def test_another_network_namespace_is_left_alone(mesh):
    """127.0.0.1 is another one there; the connection fails as it would without a mesh, and is counted."""
    path = mesh.slice_path('shop.slice')
    before = mesh.get(path, SLICE, 'Foreign')
    done = mesh.run('curl', '-sS', WEB, check=False, properties=['PrivateNetwork=yes'])
    assert done.returncode == REFUSED
    assert mesh.get(path, SLICE, 'Foreign') == before + 1


def test_the_relay_knows_its_callers(mesh):
    """A connection to its port that came through no managed slice is closed, and counted."""
    before = mesh.get(BUS_PATH, MANAGER, 'Reasons').get('caller-unknown', 0)
    with pytest.raises(Failed):
        mesh.curl('http://127.0.0.1:7471/', slice_='system.slice')
    assert mesh.get(BUS_PATH, MANAGER, 'Reasons')['caller-unknown'] == before + 1
