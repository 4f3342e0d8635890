# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: mock_daemon.py XMLDIR LOG [deny]

Stands in for slicemeshd on the bus named by $DBUS_SYSTEM_BUS_ADDRESS. The types of what it says are those
of the interface XML, so that slicemeshctl is tested against the interface and not against this file. Calls
that change something are appended to LOG; with "deny" they are refused as polkit would.
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import dbus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

NAME = 'io.slicemesh.Mesh1'
ROOT = '/io/slicemesh/Mesh1'
FILES = '/etc/slicemesh/services'
BASIC = {'s': dbus.String, 'o': dbus.ObjectPath, 'b': dbus.Boolean, 'u': dbus.UInt32, 't': dbus.UInt64}


def split(signature):
    """Its complete types."""
    types, depth, start = [], 0, 0
    for i, c in enumerate(signature):
        depth += c in '({'
        depth -= c in ')}'
        if depth == 0 and c != 'a':
            types.append(signature[start:i + 1])
            start = i + 1
    return types


def typed(signature, value):
    if signature in BASIC:
        return BASIC[signature](value, variant_level=0)
    if signature.startswith('a{'):
        key, item = split(signature[2:-1])
        return dbus.Dictionary({typed(key, k): typed(item, v) for k, v in value.items()},
                               signature=signature[2:-1])
    if signature.startswith('a'):
        return dbus.Array([typed(signature[1:], v) for v in value], signature=signature[1:])
    assert signature.startswith('('), signature
    parts = split(signature[1:-1])
    assert len(parts) == len(value), (signature, value)
    return dbus.Struct([typed(s, v) for s, v in zip(parts, value)], signature=signature[1:-1])


def words(value):
    """As busctl would be given it, but for the lengths of lists."""
    return ' '.join(map(words, value)) if isinstance(value, (dbus.Array, dbus.Struct)) else str(value)


class Interfaces:
    """What the XML says of each interface."""

    def __init__(self, directory):
        self.properties, self.methods = {}, {}
        for file in sorted(pathlib.Path(directory).glob('*.xml')):
            for interface in ElementTree.parse(file).getroot().iter('interface'):
                name = interface.get('name')
                self.properties[name] = {p.get('name'): p.get('type') for p in interface.iter('property')}
                self.methods[name] = {
                    m.get('name'): [''.join(a.get('type') for a in m.iter('arg') if a.get('direction') == d)
                                    for d in ('in', 'out')] for m in interface.iter('method')}

    def typed(self, interface, values):
        types = self.properties[interface]
        assert set(types) == set(values), (interface, set(types) ^ set(values))
        return dbus.Dictionary({k: typed(types[k], v) for k, v in values.items()}, signature='sv')


def endpoint(service, subset, text, address, weight=1, admin='enabled', state='up', in_flight=0, requests=0,
             failures=0):
    return {'Service': service, 'Subset': subset, 'Text': text, 'Address': address,
            'Answers': 'direct' if address.startswith('10.1.0.11:') else '', 'Weight': weight,
            'Admin': admin, 'State': state, 'InFlight': in_flight, 'Connections': in_flight + 1,
            'Requests': requests, 'Failures': failures}


SHOP, CART, DB = (f'{ROOT}/service/{n}' for n in ('shop', 'cart', 'db'))
ENDPOINTS = {
    f'{SHOP}/endpoint/1': endpoint('shop', 'stable', '10.1.0.11:8080', '10.1.0.11:8080', 3, in_flight=2,
                                   requests=92000),
    f'{SHOP}/endpoint/2': endpoint('shop', 'stable', '10.1.0.12:8080', '10.1.0.12:8080', 1, state='avoided',
                                   requests=31000, failures=12),
    f'{SHOP}/endpoint/3': endpoint('shop', 'canary', '10.1.0.11:9090', '10.1.0.11:9090', 1, 'drain',
                                   'draining', 1, 300),
    f'{CART}/endpoint/4': endpoint('cart', 'default', 'cart.example:80', '192.0.2.1:80', 2),
    f'{CART}/endpoint/5': endpoint('cart', 'default', 'cart.example:80', '192.0.2.2:80', 2),
    f'{CART}/endpoint/6': endpoint('cart', 'default', '[2001:db8::1]:80', '[2001:db8::1]:80', 0),
    f'{DB}/endpoint/7': endpoint('db', 'default', '10.1.0.1:5432', '10.1.0.1:5432'),
    f'{DB}/endpoint/8': endpoint('db', 'default', '10.1.0.10:5432', '10.1.0.10:5432', admin='disabled',
                                 state='disabled'),
}


def service(name, protocol, address, subsets, routes, requests=0, responses=None, reasons=None, paths=None,
            **more):
    return {'Name': name, 'Protocol': protocol, 'Address': address, 'State': 'active',
            'Origin': f'{FILES}/{name}.yaml:1', 'Revision': 4, 'Callers': [],
            'Subsets': subsets, 'Routes': routes, 'Connections': requests // 100, 'Requests': requests,
            'ActiveRequests': 3, 'Responses': responses or {}, 'Reasons': reasons or {},
            'FastLimits': [('blocking', 'Callers whose sockets are blocking go to the relay.'),
                           ('from-the-future', 'This is not known yet.')],
            'Paths': paths or {}, **more}


OBJECTS = {
    SHOP: {'Service': service(
        'shop', 'http', '127.71.0.10:80',
        [('stable', 'round-robin', [f'{SHOP}/endpoint/1', f'{SHOP}/endpoint/2']),
         ('canary', 'least-request', [f'{SHOP}/endpoint/3'])],
        [('v2', 'path below /v2', f'{FILES}/shop.yaml:14', [('stable', 9), ('canary', 1)], 3000),
         ('default', 'anything', f'{FILES}/shop.yaml:18', [('stable', 1)], 120300)],
        123300, {'2xx': 123000, '3xx': 0, '4xx': 20, '5xx': 280},
        {'connect-failed': 12, 'retried': 300, 'from-the-future': 1},
        {'fast': 98500, 'remote': 12300, 'split': 4500, 'blocking': 8000},
        Callers=['shop.slice', 'batch.slice'])},
    CART: {'Service': service('cart', 'http', '127.71.0.11:80',
                              [('default', 'random', [f'{CART}/endpoint/{i}' for i in (4, 5, 6)])],
                              [('default', 'anything', f'{FILES}/cart.yaml:1', [('default', 1)], 0)],
                              State='stale')},
    DB: {'Service': service('db', 'tcp', '127.71.0.12:5432',
                            [('default', 'round-robin', [f'{DB}/endpoint/{i}' for i in (7, 8)])],
                            [('default', 'anything', f'{FILES}/db.yaml:1', [('default', 1)], 7)], 7)},
    f'{ROOT}/slice/shop_2eslice': {'Slice': {
        'Name': 'shop.slice', 'Attached': True, 'Problem': '', 'ControlGroup': '/shop.slice',
        'ControlGroupId': 4711, 'Ungoverned': 3, 'Connects': 1500, 'Captured': 1233, 'Refused': 2,
        'Foreign': 0, 'Failed': 1, 'Paths': {'fast': 9, 'remote': 1, 'not-in-step': 6}}},
    f'{ROOT}/slice/batch_2eslice': {'Slice': {
        'Name': 'batch.slice', 'Attached': False, 'Problem': 'The slice is not active.', 'ControlGroup': '',
        'ControlGroupId': 0, 'Ungoverned': 0, 'Connects': 0, 'Captured': 0, 'Refused': 0, 'Foreign': 0,
        'Failed': 0, 'Paths': {}}},
    **{path: {'Endpoint': e} for path, e in ENDPOINTS.items()},
}
ERRORS = [(f'{FILES}/cart.yaml', 3, 9, 'cart', 'balance',
           'expected one of round-robin, random, least-request, consistent-hash.'),
          (f'{FILES}/cart.yaml', 0, 0, '', '', 'the file is larger than 1 MiB.')]
MANAGER = {'Version': '0.1', 'State': 'degraded', 'RelayState': 'running', 'RelayPID': 812,
           'RelayConnections': 34, 'FastPath': True, 'FastPathFeatures': ['requests', 'replies'],
           'FastPathProblem': 'Servers are not reached by the kernel: Linux 6.1 lacks a hook for it.',
           'Problems': [('policy-errors',
                         'The policy has errors: services that are concerned stay at their last good '
                         'state until the files are mended.')],
           'Revision': 12, 'PolicyErrors': ERRORS, 'Reasons': {'retried': 300, 'connect-failed': 12},
           'Paths': {'fast': 98500, 'remote': 12300, 'split': 4500, 'blocking': 8000, 'from-the-future': 3}}
EXPLANATION = {
    'service': 'shop', 'route': 0, 'reason': 'none', 'sentence': 'Nothing to report.',
    'fast-path': {'slow': 'rewritten', 'sentence': 'The head has to be rewritten.',
                  'limits': [{'limit': 'remote', 'sentence': 'Some endpoints are elsewhere.'}]},
    'routes': [{'name': 'v2', 'origin': f'{FILES}/shop.yaml:14', 'matched': True,
                'why': 'its condition holds'}],
    'subsets': [{'name': 'stable', 'share-permille': 1000, 'balance': 'round-robin', 'hash': None,
                 'picked': None, 'candidates': [
                     {'endpoint': 1, 'address': '10.1.0.11:8080', 'share-permille': 750, 'avoided': False,
                      'local': True, 'in-flight': 2},
                     {'endpoint': 2, 'address': '10.1.0.12:8080', 'share-permille': 250, 'avoided': True,
                      'local': False, 'in-flight': 0}]}]}


TRACED = [
    {'service': 'shop', 'method': 'GET', 'target': '/v2/x', 'cut': False, 'slice': 'shop.slice',
     'cgroup': '/shop.slice/web.service', 'tried': 3, 'routes': [
         {'name': 'beta', 'origin': f'{FILES}/shop.yaml:10', 'verdict': 'failed', 'shadow': False,
          'predicate': 'headers: {x-beta: {present: true}}', 'holds': False},
         {'name': 'old', 'origin': f'{FILES}/shop.yaml:12', 'verdict': 'matched', 'shadow': True,
          'predicate': None, 'holds': None},
         {'name': 'v2', 'origin': f'{FILES}/shop.yaml:14', 'verdict': 'matched', 'shadow': False,
          'predicate': 'path: {prefix: /v2}', 'holds': True}],
     'route': 'v2', 'subset': 'stable', 'endpoint': '10.1.0.11:8080', 'effects': ['delay'], 'fast': True,
     'slow': 'traced', 'reason': 'none', 'status': 200, 'first-byte-usec': 850, 'total-usec': 1234},
    {'service': 'shop', 'method': '', 'target': '/\x1b[2J\x9b', 'cut': True, 'slice': None, 'cgroup': None,
     'tried': 0, 'routes': [], 'route': None, 'subset': None, 'endpoint': None, 'effects': [], 'fast': False,
     'slow': 'refused', 'reason': 'bad-request-line', 'status': 400, 'first-byte-usec': None,
     'total-usec': 2500000}]


class Daemon:
    def __init__(self, bus, interfaces, log, deny):
        self.bus, self.interfaces, self.log, self.deny = bus, interfaces, log, deny
        self.objects = {path: {f'{NAME}.{i}': v for i, v in o.items()} for path, o in OBJECTS.items()}

    def managed(self, _):
        return dbus.Dictionary({dbus.ObjectPath(path): dbus.Dictionary(
            {i: self.interfaces.typed(i, v) for i, v in o.items()}, signature='sa{sv}')
            for path, o in self.objects.items()}, signature='oa{sa{sv}}'),

    def get_all(self, message):
        interface, = message.get_args_list()
        objects = {ROOT: {f'{NAME}.Manager': MANAGER}, **self.objects}
        return self.interfaces.typed(interface, objects[message.get_path()][interface]),

    def get_service(self, message):
        path = f'{ROOT}/service/{message.get_args_list()[0]}'
        if path not in self.objects:
            raise LookupError(f'There is no service "{message.get_args_list()[0]}".')
        return path,

    def change(self, message):
        if self.deny:
            raise PermissionError('Permission denied by polkit')
        args = message.get_args_list()
        with open(self.log, 'a') as f:
            print(message.get_path().removeprefix(ROOT), message.get_member(), *map(words, args), file=f)
        if message.get_member() == 'SetWeight':
            self.emit(message.get_path(), 'org.freedesktop.DBus.Properties', 'PropertiesChanged', 'sa{sv}as',
                      f'{NAME}.Endpoint', {'Weight': args[0], 'State': dbus.String('up')}, [])
        return ()

    def reload(self, message):
        self.change(message)
        subsets = dbus.Array([('stable', 'random', [dbus.ObjectPath(SHOP)]), ('canary', 'random', [])],
                             signature='(ssao)')
        self.emit(SHOP, 'org.freedesktop.DBus.Properties', 'PropertiesChanged', 'sa{sv}as',
                  f'{NAME}.Service', {'Subsets': subsets, 'Callers': dbus.Array([], signature='s')}, [])
        self.emit(ROOT, f'{NAME}.Manager', 'Reloaded', 'tu', 13, len(ERRORS))
        return 13, ERRORS

    def set_split(self, message):
        self.change(message)
        route, shares, _ = message.get_args_list()
        return [(route or 'v2', shares, '')],

    def swap(self, message):
        self.change(message)
        a, b, _ = message.get_args_list()
        other = {a: b, b: a}
        routes = OBJECTS[message.get_path()]['Service']['Routes']
        return [(name, [(other.get(s, s), w) for s, w in split], a if name == 'v2' else '')
                for name, _, _, split, _ in routes],

    def trace(self, message):
        self.change(message)
        count, = message.get_args_list()
        path, interface = message.get_path(), f'{NAME}.Service'
        GLib.timeout_add(10, self.trace_some, path, interface, int(count))
        return ()

    def trace_some(self, path, interface, count):
        for request in TRACED[:count]:
            self.emit(path, interface, 'Traced', 's', json.dumps(request))
        if count > len(TRACED):
            self.emit(path, interface, 'TraceEnded', 'tts', len(TRACED), count - len(TRACED), 'time')
        else:
            self.emit(path, interface, 'TraceEnded', 'tts', count, 0, 'complete')

    def explain(self, message):
        with open(self.log, 'a') as f:
            request = message.get_args_list()[0]
            words = {'headers': ','.join, 'body': lambda v: bytes(v).decode()}
            texts = (f'{k}={words.get(k, str)(v)}' for k, v in sorted(request.items()))
            print('Explain', *texts, file=f)
        return json.dumps(EXPLANATION),

    METHODS = {'GetManagedObjects': managed, 'GetAll': get_all, 'GetService': get_service,
               'SetWeight': change, 'Set': change, 'Drain': change, 'Enable': change,
               'SetBalance': change, 'SetSplit': set_split, 'Swap': swap, 'Reload': reload,
               'Explain': explain, 'Trace': trace}

    def emit(self, path, interface, member, signature, *args):
        signal = dbus.lowlevel.SignalMessage(path, interface, member)
        signal.append(*args, signature=signature)
        self.bus.send_message(signal)

    def signatures(self, message):
        standard = {'GetManagedObjects': ['', 'a{oa{sa{sv}}}'], 'GetAll': ['s', 'a{sv}'], 'Set': ['ssv', '']}
        return self.interfaces.methods.get(message.get_interface(), standard)[message.get_member()]

    def on_message(self, bus, message):
        if message.get_type() != 1 or message.get_destination() not in (NAME, bus.get_unique_name()):
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        try:
            signature_in, signature_out = self.signatures(message)
            assert message.get_signature() == signature_in, message.get_signature()
            result = self.METHODS[message.get_member()](self, message)
            reply = dbus.lowlevel.MethodReturnMessage(message)
            if signature_out:
                reply.append(*result, signature=signature_out)
        except PermissionError as e:
            reply = dbus.lowlevel.ErrorMessage(message, 'org.freedesktop.DBus.Error.AccessDenied', str(e))
        except Exception as e:
            reply = dbus.lowlevel.ErrorMessage(message, f'{NAME}.Error', str(e) or repr(e))
        bus.send_message(reply)
        return dbus.lowlevel.HANDLER_RESULT_HANDLED


def main(directory, log, deny=''):
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    bus.add_message_filter(Daemon(bus, Interfaces(directory), log, deny).on_message)
    bus.request_name(NAME)
    print('ready', flush=True)
    GLib.MainLoop().run()


if __name__ == '__main__':
    main(*sys.argv[1:])
