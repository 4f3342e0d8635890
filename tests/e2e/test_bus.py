# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus surface: as dbus/*.xml says, readable for everyone, changeable for those whom polkit lets."""
import json
import xml.etree.ElementTree

import pytest
from mesh import (BUS_NAME, BUS_PATH, ENDPOINT, MANAGER, SERVICE, SLICE, TOP, BusError, background, kill,
                  wait_until)

POLICY = {
    'mesh.yaml': 'slices: [shop.slice]\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080", {address: "127.0.1.2:8080", weight: 2}]
''',
    'services/odd-name.yaml': 'service: odd-name.x\nendpoints: ["127.0.1.1:8080"]\n',
}
SERVERS = [('python', 'a', '127.0.1.1'), ('python', 'b', '127.0.1.2')]
EMITS = 'org.freedesktop.DBus.Property.EmitsChangedSignal'


def surface(interface):
    """An <interface>, as a set of tuples whose order and comments do not matter."""
    found = set()
    for member in interface:
        if member.tag == 'property':
            emits = {a.get('name'): a.get('value') for a in member.iter('annotation')}.get(EMITS, 'true')
            found.add(('property', member.get('name'), member.get('type'), member.get('access'), emits))
        elif member.tag in ('method', 'signal'):
            arguments = tuple((a.get('name'), a.get('type'),
                               a.get('direction', 'in' if member.tag == 'method' else 'out'))
                              for a in member.iter('arg'))
            found.add((member.tag, member.get('name'), arguments))
    return found


def interfaces(text):
    return {i.get('name'): surface(i) for i in xml.etree.ElementTree.fromstring(text).iter('interface')}


@pytest.fixture(scope='module')
def endpoint(mesh):
    return mesh.endpoint_path('web', '127.0.1.1:8080')


@pytest.mark.parametrize('interface', [MANAGER, SERVICE, ENDPOINT, SLICE])
def test_is_what_the_files_say(mesh, endpoint, interface):
    path = {MANAGER: BUS_PATH, SERVICE: mesh.service_path('web'), ENDPOINT: endpoint,
            SLICE: mesh.slice_path('shop.slice')}[interface]
    running = interfaces(mesh.output('busctl', 'introspect', '--xml-interface', BUS_NAME, path))
    assert running[interface] == interfaces((TOP / f'dbus/{interface}.xml').read_text())[interface]
    assert {i for i in running if i.startswith(BUS_NAME)} == {interface}


def test_every_interface_has_a_file(mesh, endpoint):
    assert {p.stem for p in (TOP / 'dbus').glob('*.xml')} == {MANAGER, SERVICE, ENDPOINT, SLICE}


def managed_objects(mesh):
    return mesh.call(BUS_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')[0]


def test_object_manager(mesh, endpoint):
    objects = managed_objects(mesh)
    assert {mesh.service_path('web'), mesh.service_path('odd-name.x'), mesh.slice_path('shop.slice'),
            endpoint} <= set(objects)
    assert objects[endpoint][ENDPOINT]['Weight']['data'] == 1
    for path, found in objects.items():
        assert any(i.startswith(BUS_NAME) for i in found), path


def test_tree_is_what_the_object_manager_says(mesh):
    tree = {line for line in mesh.output('busctl', 'tree', '--list', BUS_NAME).split()
            if line.count('/') > 3}
    assert set(managed_objects(mesh)) - {BUS_PATH} <= tree


def test_lists(mesh):
    services = {s[0]: s for s in mesh.call(BUS_PATH, MANAGER, 'ListServices')[0]}
    assert services['web'] == ['web', 'http', '127.71.0.10:80', 'active', mesh.service_path('web')]
    slices = mesh.call(BUS_PATH, MANAGER, 'ListSlices')[0]
    assert slices == [['shop.slice', True, mesh.slice_path('shop.slice')]]
    assert mesh.call(BUS_PATH, MANAGER, 'GetService', 's', 'web') == [mesh.service_path('web')]


def test_unknown_names_are_errors(mesh):
    with pytest.raises(BusError, match='(?i)no service|not found|unknown'):
        mesh.call(BUS_PATH, MANAGER, 'GetService', 's', 'nothing')
    with pytest.raises(BusError):
        mesh.call(mesh.service_path('nothing'), SERVICE, 'SetBalance', 'ssb', 'default', 'random', 'false')
    with pytest.raises(BusError):
        mesh.call(mesh.service_path('web'), SERVICE, 'SetBalance', 'ssb', 'nothing', 'random', 'false')
    with pytest.raises(BusError):
        mesh.call(mesh.service_path('web'), SERVICE, 'SetBalance', 'ssb', 'default', 'nothing', 'false')


def test_counters(mesh, endpoint):
    service = mesh.service_path('web')
    before = mesh.get(service, SERVICE, 'Requests', 'Connections')
    state = mesh.get(endpoint, ENDPOINT, 'Requests')
    assert mesh.spread('http://127.71.0.10', 30) == {'a': 10, 'b': 20}
    assert mesh.get(service, SERVICE, 'Requests', 'Connections') == [before[0] + 30, before[1] + 1]
    assert mesh.get(endpoint, ENDPOINT, 'Requests') == state + 10
    assert mesh.get(service, SERVICE, 'Responses')['2xx'] >= 30


def test_explain(mesh):
    text = mesh.call(BUS_PATH, MANAGER, 'Explain', 'a{sv}', 2, 'service', 's', 'web', 'target', 's', '/x')[0]
    explanation = json.loads(text)
    assert explanation['service'] == 'web'
    assert '127.0.1.1:8080' in text and 'services/web.yaml:2' in text


class Signals:
    """What `busctl monitor` sees of the mesh's signals."""

    def __init__(self, mesh):
        match = f'--match=type=signal,sender={BUS_NAME}'
        self.process = background(mesh.enter('stdbuf', '-oL', 'busctl', '--json=short', match, 'monitor'))
        self.process.stderr.readline()  # "Monitoring bus message stream."

    def until(self, member, interface):
        """What the next such signal says of `interface`; skips others."""
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get('member') == member and interface in str(message['payload']['data']):
                return message['path'], message['payload']['data']
        raise AssertionError(f'no signal {member}')

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        kill(self.process)


def test_changes_are_signalled(mesh, endpoint):
    with Signals(mesh) as signals:
        mesh.call(endpoint, ENDPOINT, 'SetWeight', 'ub', 5, 'false')
        path, data = signals.until('PropertiesChanged', ENDPOINT)
        assert path == endpoint
        assert data[1]['Weight']['data'] == 5
        mesh.call(endpoint, ENDPOINT, 'SetWeight', 'ub', 1, 'false')


def test_objects_that_come_and_go_are_signalled(mesh):
    with Signals(mesh) as signals:
        mesh.write_policy('services/new.yaml', 'service: new\nendpoints: ["127.0.1.1:8080"]\n')
        mesh.reload()
        assert signals.until('InterfacesAdded', SERVICE)[1][0] == mesh.service_path('new')
        mesh.remove_policy('services/new.yaml')
        mesh.reload()
        assert signals.until('InterfacesRemoved', SERVICE)[1][0] == mesh.service_path('new')
    assert not any(path.startswith(mesh.service_path('new')) for path in managed_objects(mesh))


def changes(mesh, endpoint):
    """Every method that changes something, with arguments that would leave things as they are."""
    return [(BUS_PATH, MANAGER, 'Reload'), (endpoint, ENDPOINT, 'SetWeight', 'ub', 1, 'false'),
            (endpoint, ENDPOINT, 'Drain', 'b', 'false'), (endpoint, ENDPOINT, 'Enable', 'b', 'false'),
            (mesh.service_path('web'), SERVICE, 'SetBalance', 'ssb', 'default', 'round-robin', 'false')]


def test_everyone_may_read(mesh, endpoint):
    for method, arguments in (('ListServices', ()), ('ListSlices', ()), ('GetService', ('s', 'web')),
                              ('Explain', ('a{sv}', 1, 'service', 's', 'web'))):
        assert mesh.call(BUS_PATH, MANAGER, method, *arguments, user='nobody')
    assert mesh.call(BUS_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', user='nobody')
    assert mesh.busctl('get-property', BUS_NAME, endpoint, ENDPOINT, 'Weight', user='nobody')['data'] == 1


def test_not_everyone_may_change(mesh, endpoint):
    for change in changes(mesh, endpoint):
        with pytest.raises(BusError, match='(?i)access denied|auth\w+ is required'):
            mesh.call(*change, user='nobody')
    assert mesh.get(endpoint, ENDPOINT, 'Admin') == 'enabled'


def test_polkit_decides(mesh, endpoint):
    rules = mesh.path('/etc/polkit-1/rules.d/50-test.rules')
    rules.parent.mkdir(parents=True, exist_ok=True)
    rules.write_text('''polkit.addRule(function(action, subject) {
        if (action.id == "io.slicemesh.Mesh1.manage" && subject.user == "nobody")
                return polkit.Result.YES;
});
''')

    def allowed():
        try:
            mesh.call(BUS_PATH, MANAGER, 'Reload', user='nobody')
        except BusError:
            return False
        return True
    wait_until(allowed, 'polkit to take notice')
    for change in changes(mesh, endpoint):
        mesh.call(*change, user='nobody')
    rules.unlink()
    wait_until(lambda: not allowed(), 'polkit to take notice')


def test_the_name_is_for_root(mesh):
    with pytest.raises(RuntimeError, match='(?i)not allowed|denied'):
        mesh.output('setpriv', '--reuid=nobody', '--clear-groups', 'busctl', 'call', 'org.freedesktop.DBus',
                    '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName', 'su', f'{BUS_NAME}', '2')
