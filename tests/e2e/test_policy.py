# SPDX-License-Identifier: LGPL-2.1-or-later
"""Policy files of a running mesh: changed, broken, mended, masked, extended by drop-ins."""
import pytest
from mesh import BUS_PATH, ENDPOINT, MANAGER, SERVICE, wait_until

WEB_FILE = 'service: web\naddress: 127.71.0.10:80\nendpoints: ["127.0.1.1:8080", "127.0.1.2:8080"]\n'
POLICY = {
    'mesh.yaml': 'slices: [shop.slice]\n',
    'services/web.yaml': WEB_FILE,
    'services/other.yaml': 'service: other\naddress: 127.71.0.11:80\nendpoints: ["127.0.1.1:8080"]\n',
}
SERVERS = [('python', 'a', '127.0.1.1'), ('python', 'b', '127.0.1.2')]

WEB, OTHER = 'http://127.71.0.10', 'http://127.71.0.11'
REFUSED = 7


@pytest.fixture(autouse=True)
def restored(mesh):
    yield
    for name, text in POLICY.items():
        mesh.write_policy(name, text)
    assert mesh.reload() == []
    assert mesh.get(BUS_PATH, MANAGER, 'State') == 'running'


def test_reload_takes_changes_over(mesh):
    revision = mesh.get(BUS_PATH, MANAGER, 'Revision')
    mesh.write_policy('services/web.yaml', WEB_FILE.replace('"127.0.1.1:8080", ', ''))
    assert mesh.reload() == []
    assert mesh.get(BUS_PATH, MANAGER, 'Revision') > revision
    assert mesh.spread(WEB, 6) == {'b': 6}


def test_systemctl_reload(mesh):
    mesh.write_policy('services/web.yaml', WEB_FILE.replace('"127.0.1.1:8080", ', ''))
    mesh.systemctl('reload', 'slicemeshd.service')
    wait_until(lambda: mesh.spread(WEB, 6) == {'b': 6}, 'the new policy')


def test_services_come_and_go(mesh):
    mesh.write_policy('services/new.yaml',
                      'service: new\naddress: 127.71.0.12:80\nendpoints: ["127.0.1.2:8080"]\n')
    assert mesh.reload() == []
    assert mesh.curl('http://127.71.0.12/echo?x') == 'b x\n'
    mesh.remove_policy('services/new.yaml')
    assert mesh.reload() == []
    assert mesh.run('curl', '-sS', 'http://127.71.0.12', check=False).returncode == REFUSED
    assert 'new' not in [s[0] for s in mesh.call(BUS_PATH, MANAGER, 'ListServices')[0]]


def test_a_bad_file_keeps_the_last_good_policy(mesh):
    """The other files still load, and everybody says what is wrong, and where."""
    mesh.write_policy('services/web.yaml',
                      WEB_FILE.replace('endpoints', 'endpoint') + 'balance: rond-robin\n')
    mesh.write_policy('services/other.yaml', POLICY['services/other.yaml'].replace('1.1', '1.2'))
    errors = mesh.reload()
    said = {tuple(e[:4]): e[5] for e in errors}
    assert 'endpoints' in said['/etc/slicemesh/services/web.yaml', 3, 1, 'web']
    assert 'round-robin' in said['/etc/slicemesh/services/web.yaml', 4, 10, 'web']

    assert mesh.spread(WEB, 10) == {'a': 5, 'b': 5}
    assert mesh.spread(OTHER, 4) == {'b': 4}
    assert mesh.get(mesh.service_path('web'), SERVICE, 'State') == 'stale'
    assert mesh.get(mesh.service_path('other'), SERVICE, 'State') == 'active'
    assert mesh.get(BUS_PATH, MANAGER, 'State') == 'degraded'
    assert mesh.get(BUS_PATH, MANAGER, 'PolicyErrors') == errors
    assert 'policy-errors' in mesh.problems()
    assert 'services/web.yaml:3:1: ' in mesh.journal('--unit=slicemeshd.service')
    status = mesh.run('slicemeshctl', 'status', slice_='system.slice', check=False)
    assert 'web.yaml:3:1' in status.stdout


def test_a_bad_mesh_file_keeps_the_last_good_one(mesh):
    mesh.write_policy('mesh.yaml', 'slices: [shop.slice\n')
    errors = mesh.reload()
    assert errors and errors[0][0] == '/etc/slicemesh/mesh.yaml'
    assert mesh.spread(WEB, 10) == {'a': 5, 'b': 5}


def test_a_bad_new_file_does_no_harm(mesh):
    mesh.write_policy('services/new.yaml', 'service: new\nendpoints: [nonsense]\n')
    assert len(mesh.reload()) == 1
    assert mesh.spread(WEB, 10) == {'a': 5, 'b': 5}
    mesh.remove_policy('services/new.yaml')


@pytest.mark.parametrize('text',
                         ['', '\0', '{{{{', 'a: &a [*a]\n', '- ' * 5000, 'service: "x\n', '%YAML 9.9\n---\n',
                                  'service: web\naddress: 127.71.0.11:80\nendpoints: []\n'])
def test_nonsense_does_no_harm(mesh, text):
    """Empty means masked: then the service is gone by intention; other nonsense leaves it as it was."""
    mesh.write_policy('services/web.yaml', text)
    errors = mesh.reload()
    assert mesh.unit('slicemeshd.service', 'ActiveState') == 'active'
    assert mesh.spread(OTHER, 2) == {'a': 2}
    if text:
        assert errors
        assert mesh.spread(WEB, 10) == {'a': 5, 'b': 5}
    else:
        assert errors == []
        assert mesh.run('curl', '-sS', WEB, check=False).returncode == REFUSED


def test_drop_ins(mesh):
    mesh.write_policy('services/web.d/10-more.yaml',
                      'subsets: {default: {adjust: {"127.0.1.1:8080": {weight: 4}}}}\n')
    assert mesh.reload() == []
    assert mesh.spread(WEB, 10) == {'a': 8, 'b': 2}
    mesh.remove_policy('services/web.d/10-more.yaml')


def test_run_is_overridden_by_etc(mesh):
    path = mesh.path('/run/slicemesh/services/web.yaml')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(WEB_FILE.replace('"127.0.1.1:8080", ', ''))
    assert mesh.reload() == []
    assert mesh.spread(WEB, 10) == {'a': 5, 'b': 5}
    mesh.remove_policy('services/web.yaml')
    assert mesh.reload() == []
    assert mesh.spread(WEB, 6) == {'b': 6}
    path.unlink()


def test_allocated_addresses_are_stable(mesh):
    """The same after it was gone, and never another one's."""
    def address(name):
        return mesh.get(mesh.service_path(name), SERVICE, 'Address')

    def define(*names):
        for name in names:
            mesh.write_policy(f'services/{name}.yaml', f'service: {name}\nendpoints: ["127.0.1.1:8080"]\n')
        assert mesh.reload() == []

    define('first')
    first = address('first')
    assert mesh.curl(f'http://{first}/echo?x') == 'a x\n'
    mesh.remove_policy('services/first.yaml')
    define('second')
    assert address('second') != first
    define('first')
    assert address('first') == first
    second = address('second')
    mesh.systemctl('restart', 'slicemeshd.service')
    assert (address('first'), address('second')) == (first, second)
    for name in ('first', 'second'):
        mesh.remove_policy(f'services/{name}.yaml')


class TestOverrides:
    """What was changed over the bus: kept until reboot, or over it."""

    @pytest.fixture(autouse=True)
    def clean(self, mesh):
        yield
        mesh.output('sh', '-c', 'rm -rf /etc/slicemesh/services/web.d /run/slicemesh/services')
        mesh.reload()

    @staticmethod
    def set_weight(mesh, value, persist):
        mesh.call(mesh.endpoint_path('web', '127.0.1.1:8080'), ENDPOINT, 'SetWeight', 'ub', value, persist)

    @staticmethod
    def reboot(mesh):
        """As far as the mesh can tell: everything of it has ended, and /run is empty."""
        mesh.systemctl('stop', 'slicemeshd.service', 'slicemesh-relay.socket', 'slicemesh-relay.service')
        mesh.output('rm', '-rf', '/run/slicemesh')
        mesh.systemctl('start', 'slicemeshd.service')
        mesh.manage('shop.slice')

    def test_survive_a_reload_and_a_restart(self, mesh):
        self.set_weight(mesh, 4, 'false')
        assert mesh.path('/run/slicemesh/services/web.d/90-bus.yaml').exists()
        assert not mesh.path('/etc/slicemesh/services/web.d/50-bus.yaml').exists()
        assert mesh.reload() == []
        assert mesh.spread(WEB, 10) == {'a': 8, 'b': 2}
        mesh.systemctl('restart', 'slicemeshd.service')
        assert mesh.spread(WEB, 10) == {'a': 8, 'b': 2}

    def test_are_gone_after_a_reboot(self, mesh):
        self.set_weight(mesh, 4, 'false')
        self.reboot(mesh)
        assert mesh.spread(WEB, 10) == {'a': 5, 'b': 5}

    def test_survive_a_reboot_if_they_are_to(self, mesh):
        self.set_weight(mesh, 4, 'true')
        assert mesh.path('/etc/slicemesh/services/web.d/50-bus.yaml').exists()
        self.reboot(mesh)
        assert mesh.spread(WEB, 10) == {'a': 8, 'b': 2}
        assert mesh.reload() == []
