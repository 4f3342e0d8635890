# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verbs that talk to slicemeshd."""
import json
import re
import select

import pytest


def test_no_bus(ctl):
    result = ctl.run('status')
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr.startswith('Cannot connect to the system bus')


@pytest.mark.parametrize('arguments', [
    ['status'], ['list'], ['show', 'shop'], ['reload'], ['monitor'], ['drain', 'shop', '10.1.0.11'],
    ['set-weight', 'shop', '10.1.0.11', '1'], ['set-balance', 'shop', 'random'], ['explain', 'shop'],
    ['show', 'shop.slice'], ['fast-path', 'on'], ['shift', 'shop', 'stable=1'], ['swap', 'shop', 'a', 'b'],
    ['trace', '--service=shop']])
def test_not_running(empty, arguments):
    result = empty.run(*arguments)
    assert (result.returncode, result.stdout) == (3, '')
    assert 'systemctl start slicemeshd.service' in result.stderr


def test_status(mesh):
    text = mesh.output('status', COLUMNS='80')
    assert max(map(len, text.splitlines())) <= 80
    for part in ('slicemesh 0.1: degraded', 'revision 12, 2 errors', 'running, process 812, 34 connections',
                 '1 of 2 attached', '3 connections are not governed: they were open before',
                 'The policy has errors:', 'Fast path:  degraded\n',
                 '89.9% of 123k requests, 12.3k of them answered by the relay\n', 'Linux 6.1 lacks a hook',
                 '/etc/slicemesh/services/cart.yaml:3:9: balance: expected one of',
                 '/etc/slicemesh/services/cart.yaml: the file is larger than 1 MiB.', 'The slice is not'):
        assert part in text
    assert text == mesh.output(COLUMNS='80'), 'status is what no verb means'
    assert '\x1b' not in text


def test_status_json(mesh):
    status = json.loads(mesh.output('status', '--json'))
    assert (status['state'], status['revision'], status['relay']['pid']) == ('degraded', 12, 812)
    assert [e['line'] for e in status['errors']] == [3, 0]
    assert status['errors'][1]['key'] is None
    assert [s['service'] for s in status['services']] == ['cart', 'db', 'shop']
    assert status['services'][2]['responses-5xx'] == 280
    assert [(s['endpoints-up'], s['endpoints']) for s in status['services']] == [(3, 3), (1, 2), (1, 3)]
    assert status['reasons'] == {'retried': 300, 'connect-failed': 12}
    assert status['fast-path']['state'] == 'degraded'
    assert status['fast-path']['features'] == ['requests', 'replies']
    assert status['fast-path']['problem'].startswith('Servers are not reached')
    assert (status['paths']['fast'], status['paths']['remote']) == (98500, 12300)
    assert status['paths']['slow'] == {'blocking': 8000, 'split': 4500, 'from-the-future': 3}
    assert [(s['fast'], s['remote'], s['slow']) for s in status['services']][2] == (98500, 12300, 12500)


def test_list(mesh):
    lines = mesh.output('list').splitlines()
    assert lines[0].split() == ['SERVICE', 'PROTOCOL', 'ADDRESS', 'STATE', 'UP', 'CONNECTIONS',
                                'REQUESTS', '5XX', 'FAST']
    assert lines[3].split() == ['shop', 'http', '127.71.0.10:80', 'active', '1/3', '1.23k', '123k', '280',
                                '89.9%']
    assert lines[1].split()[-1] == '-', 'no request, no share'
    lines = mesh.output('list', 'endpoints', '--no-legend').splitlines()
    assert [line.split()[:3] for line in lines[-3:]] == [
        ['shop', 'canary', '10.1.0.11:9090'], ['shop', 'stable', '10.1.0.11:8080'],
        ['shop', 'stable', '10.1.0.12:8080']]
    slices = json.loads(mesh.output('--json', 'list', 'slices'))
    assert [(s['slice'], s['attached'], s['captured']) for s in slices] == [('batch.slice', False, 0),
                                                                            ('shop.slice', True, 1233)]
    assert [(s['fast'], s['remote'], s['slow'], s['ungoverned']) for s in slices] == [(0, 0, 0, 0),
                                                                                      (9, 1, 6, 3)]
    result = mesh.run('list', 'things')
    assert (result.returncode, result.stdout) == (2, '')


def test_narrow(mesh):
    for verb in (['list'], ['list', 'endpoints'], ['list', 'slices'], ['show', 'shop']):
        assert max(map(len, mesh.output(*verb, COLUMNS='80').splitlines())) <= 80, verb


def test_colors(mesh):
    assert '\x1b[33mdegraded' in mesh.output('status', SYSTEMD_COLORS='1')
    assert '\x1b' not in mesh.output('status', SYSTEMD_COLORS='0')
    assert '\x1b' not in mesh.output('status', NO_COLOR='1')


def test_show(mesh):
    text = mesh.output('show', 'shop')
    for part in ('shop: http at 127.71.0.10:80', 'shop.slice, batch.slice', 'Subset stable, round-robin',
                 'Subset canary, least-request', '2xx 123k, 4xx 20, 5xx 280\n',
                 'stable 90%, canary 10%', 'path below /v2',
                 'No endpoint that was tried accepted a connection.', 'from-the-future',
                 'Fast path:  89.9% of 123k requests, 12.3k of them', '  blocking         Callers whose'):
        assert part in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith('  10.')}
    assert rows['10.1.0.11:8080'] == ['3', '75%', 'up', '2', '92.0k', '0', 'direct']
    assert rows['10.1.0.11:9090'] == ['1', '-', 'draining', '1', '300', '0', 'direct']
    reasons = re.search(r'^Not by the fast path\n(.*?)\n\n', text, re.M | re.S)[1]
    assert re.findall(r'^ +([0-9.]+k?) +([a-z-]+) ', reasons, re.M) == [('8.00k', 'blocking'),
                                                                       ('4.50k', 'split')]
    assert 'every managed slice' in mesh.output('show', 'cart')


def test_show_slice(mesh):
    text = mesh.output('show', 'shop.slice')
    for part in ('shop.slice: attached\n', 'Connections:  1.50k', '62.5% of 16 requests, 1 of them',
                 'Ungoverned:  3 connections are not', '6  not-in-step  An earlier request'):
        assert part in text
    idle = mesh.output('show', 'batch.slice')
    assert 'The slice is not active.' in idle and 'Ungoverned' not in idle
    found = json.loads(mesh.output('show', 'shop.slice', '--json'))
    assert found['paths'] == {'fast': 9, 'remote': 1, 'slow': {'not-in-step': 6}}
    assert (found['slice'], found['captured'], found['ungoverned']) == ('shop.slice', 1233, 3)
    result = mesh.run('show', 'other.slice')
    assert (result.returncode, result.stdout) == (1, '')


def test_show_json(mesh):
    service = json.loads(mesh.output('show', 'shop', '--json'))
    assert [s['subset'] for s in service['subsets']] == ['stable', 'canary']
    assert [e['weight'] for e in service['subsets'][0]['endpoints']] == [3, 1]
    assert service['routes'][0]['split'] == {'stable': 9, 'canary': 1}
    assert service['reasons']['retried'] == 300
    assert service['paths'] == {'fast': 98500, 'remote': 12300, 'slow': {'split': 4500, 'blocking': 8000}}
    assert [limit['limit'] for limit in service['fast-limits']] == ['blocking', 'from-the-future']
    assert [e['answers'] for e in service['subsets'][0]['endpoints']] == ['direct', '']


def test_no_such_service(mesh):
    result = mesh.run('show', 'shpo')
    assert (result.returncode, result.stdout, result.stderr) == (1, '', 'There is no service "shpo".\n')


@pytest.mark.parametrize('arguments, call', [
    (['set-weight', 'shop', '10.1.0.12:8080', '5'], '/service/shop/endpoint/2 SetWeight 5 0'),
    (['set-weight', '--persist', 'shop', '10.1.0.12', '0'], '/service/shop/endpoint/2 SetWeight 0 1'),
    (['drain', 'shop', 'canary/10.1.0.11'], '/service/shop/endpoint/3 Drain 0'),
    (['enable', 'db', '10.1.0.10', '--persist'], '/service/db/endpoint/8 Enable 1'),
    (['drain', 'db', '10.1.0.1'], '/service/db/endpoint/7 Drain 0'),
    (['drain', 'cart', 'cart.example'], '/service/cart/endpoint/4 Drain 0'),
    (['drain', 'cart', '192.0.2.2'], '/service/cart/endpoint/5 Drain 0'),
    (['drain', 'cart', '2001:db8::1'], '/service/cart/endpoint/6 Drain 0'),
    (['set-balance', 'cart', 'least-request'], '/service/cart SetBalance default least-request 0'),
    (['set-balance', 'shop', 'canary', 'random', '--persist'], '/service/shop SetBalance canary random 1'),
    (['fast-path', 'on'], ' Set io.slicemesh.Mesh1.Manager FastPath 1'),
    (['fast-path', 'off'], ' Set io.slicemesh.Mesh1.Manager FastPath 0'),
])
def test_change(mesh, arguments, call):
    assert mesh.output(*arguments) == ''
    assert mesh.calls() == [call]


def test_shift(mesh):
    assert mesh.output('shift', 'shop', 'stable=80', 'canary=20') == '  v2:  stable 80%, canary 20%\n'
    mesh.output('shift', 'shop', 'stable=99.5%', 'canary=0.5%', '--persist')
    answer = json.loads(mesh.output('shift', 'shop', '--json', '--route=default', 'canary=7'))
    assert answer == [{'route': 'default', 'split': {'canary': 7}, 'mirror': None}]
    assert mesh.calls() == ['/service/shop SetSplit  stable 80 canary 20 0',
                            '/service/shop SetSplit  stable 995 canary 5 1',
                            '/service/shop SetSplit default canary 7 0']


def test_swap(mesh):
    text = mesh.output('swap', 'shop', 'stable', 'canary')
    assert text == '       v2:  canary 90%, stable 10%\n            mirrored to stable\n  default:  canary\n'
    answer = json.loads(mesh.output('swap', 'shop', 'stable', 'canary', '--json', '--persist'))
    assert answer[0] == {'route': 'v2', 'split': {'canary': 9, 'stable': 1}, 'mirror': 'stable'}
    assert mesh.calls() == ['/service/shop Swap stable canary 0', '/service/shop Swap stable canary 1']


def test_trace(mesh):
    lines = [re.sub(r'^\d\d:\d\d:\d\d ', '', line)
             for line in mesh.output('trace', '--service=shop', '--count', '2').splitlines()]
    origin = '/etc/slicemesh/services/shop.yaml'
    assert lines[:6] == [
        'GET /v2/x from /shop.slice/web.service',
        f'  beta  {origin}:10  no, for want of: headers: {{x-beta: {{present: true}}}}',
        f'  old  {origin}:12  would match',
        f'  v2  {origin}:14  matches',
        '  effects: delay',
        '  => stable 10.1.0.11:8080, 200 after 1.2 ms (first byte: 850 µs), fast']
    assert lines[6:8] == ['- /?[2J?...', '  => 400 after 2.50 s, slow: refused'], 'no command to a terminal'
    assert mesh.calls() == ['/service/shop Trace 2']


def test_trace_json(mesh):
    result = mesh.run('trace', '--service', 'shop', '--json')
    assert result.returncode == 1, 'it was over before there were as many'
    assert '9998 requests more came too fast' in result.stderr and 'longest time' in result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [f['reason'] for f in found] == ['none', 'bad-request-line']
    assert found[0]['routes'][2] == {'name': 'v2', 'origin': '/etc/slicemesh/services/shop.yaml:14',
                                     'verdict': 'matched', 'shadow': False, 'holds': True,
                                     'predicate': 'path: {prefix: /v2}'}
    assert found[0]['time'] > 0 and found[1]['slice'] is None


def test_change_several(mesh):
    mesh.output('drain', 'shop', '10.1.0.12', 'canary/10')
    assert mesh.calls() == ['/service/shop/endpoint/2 Drain 0', '/service/shop/endpoint/3 Drain 0']


@pytest.mark.parametrize('arguments, status, parts', [
    (['drain', 'shop', '10.1.0.11'], 1,
     ['may be any of', '  stable/10.1.0.11:8080', '  canary/10.1.0.11:9090']),
    (['drain', 'shop', '10.1.0.12', '10.9'], 1, ['"10.9" is none of', '  stable/10.1.0.12:8080']),
    (['drain', 'shop', ''], 1, ['"" is none of']),
    (['set-weight', 'shop', '10.1.0.12', '1001'], 2, ['from 0 to 1000']),
    (['set-weight', 'shop', '10.1.0.12', '-1'], 2, []),
    (['set-weight', 'shop', '10.1.0.12', '5x'], 2, ['from 0 to 1000']),
    (['set-balance', 'shop', 'random'], 2, ['  stable\n  canary\n']),
    (['fast-path', 'maybe'], 2, ['neither on nor off']),
    (['trace'], 2, ['--service=NAME']),
    (['trace', '--service=shop', '--count=0'], 2, ['from 1 to 10000']),
    (['trace', '--service=shpo'], 1, ['There is no service "shpo"']),
    (['shift', 'shop', 'stable'], 2, ['"stable" is no share']),
    (['shift', 'shop', '=1'], 2, ['"=1" is no share']),
    (['shift', 'shop', 'stable=1001'], 2, ['from 0 to 1000']),
    (['shift', 'shop', 'stable=1.5'], 2, ['is no share']),
    (['shift', 'shop', 'stable=101%'], 2, ['is no share']),
    (['shift', 'shop', 'stable=90%', 'canary=5%'], 2, ['make 95.0%, not 100%']),
    (['shift', 'shop', 'stable=90%', 'canary=10'], 2, ['not both']),
    (['shift', 'shpo', 'stable=90', 'canary=10'], 1, ['There is no service "shpo"']),
])
def test_change_refused(mesh, arguments, status, parts):
    result = mesh.run(*arguments)
    assert (result.returncode, result.stdout) == (status, '')
    assert all(part in result.stderr for part in parts), result.stderr
    assert mesh.calls() == []


def test_not_authorised(empty):
    empty.start_daemon('deny')
    for arguments in (['drain', 'shop', '10.1.0.12'], ['reload'], ['set-balance', 'cart', 'random'],
                      ['fast-path', 'on'], ['shift', 'shop', 'stable=1'],
                      ['swap', 'shop', 'stable', 'canary'], ['trace', '--service=shop']):
        result = empty.run(*arguments)
        assert (result.returncode, result.stderr) == (4, 'Not authorised: Permission denied by polkit\n')


def test_reload(mesh):
    result = mesh.run('reload')
    assert result.returncode == 1
    assert result.stdout.startswith('/etc/slicemesh/services/cart.yaml:3:9: balance: expected one of')
    assert 'Revision 13 of the policy is in force, but 2 errors' in result.stdout
    result = mesh.run('reload', '--json')
    assert result.returncode == 1
    assert json.loads(result.stdout)['revision'] == 13


def test_explain(mesh):
    text = mesh.output('explain', 'PUT', 'http://shop/v2?x', '-H', 'a: b', '-H', 'Host: other', '--from',
                       'db.slice')
    assert mesh.calls() == [
        'Explain headers=a: b host=other method=PUT service=shop slice=db.slice target=/v2?x']
    for part in ('PUT http://shop/v2?x\n', 'goes to the service shop', 'db.slice is not managed',
                 'v2     its condition holds', 'Subset stable, round-robin\n',
                 'avoided: its last connections failed', 'on this host',
                 'cannot take the fast path: rewritten', 'remote  Responses of endpoints'):
        assert part in text
    assert 'batch.slice may call it' in mesh.output('explain', '127.71.0.10', '--from', 'batch.slice')
    assert mesh.calls()[1] == 'Explain headers= host=127.71.0.10 method=GET service=127.71.0.10 ' \
        'slice=batch.slice target=/'


def test_explain_caller_and_body(mesh):
    mesh.output('explain', 'POST', 'http://shop/', '--from', 'shop.slice/cart.service', '--user', 'root',
                '--source', '10.1.1.1', '--body', 'a=b')
    mesh.output('explain', 'shop', '--from', 'cart.service', '--body', '')
    assert mesh.calls() == [
        'Explain body=a=b headers= host=shop method=POST service=shop slice=shop.slice source=10.1.1.1 '
        'target=/ unit=cart.service user=root',
        'Explain body= headers= host=shop method=GET service=shop target=/ unit=cart.service']


def test_explain_json(mesh):
    answer = json.loads(mesh.output('explain', '--json', 'shop', '--from', 'shop-web.slice'))
    assert (answer['service'], answer['caller']) == ('shop', 'allowed')
    assert answer['subsets'][0]['candidates'][1]['avoided'] is True
    assert 'caller' not in json.loads(mesh.output('explain', '--json', 'shop'))


def follow(mesh, *options):
    """What monitor prints while the policy is reloaded, a weight changed, and the daemon killed."""
    daemon = mesh.processes[-1]
    monitor = mesh.spawn(mesh.program, 'monitor', *options)
    # Its matches are in place when it shows the first reload.
    while not select.select([monitor.stdout], [], [], 0.1)[0]:
        mesh.run('reload')
    mesh.output('set-weight', 'shop', '10.1.0.12', '5')
    daemon.kill()
    lines = []
    while not lines or not any(word in lines[-1] for word in ('left', 'stopped')):
        lines.append(monitor.stdout.readline())
        assert lines[-1], lines
    return lines


def test_monitor(mesh):
    text = ''.join(follow(mesh))
    assert 'mesh: policy loaded, revision 13, 2 errors' in text
    assert 'shop stable/10.1.0.12:8080: Weight 5, State up' in text
    assert 'shop: Subsets stable random, canary random, Callers -\n' in text
    assert 'slicemeshd has left the bus' in text


def test_monitor_json(mesh):
    events = [json.loads(line) for line in follow(mesh, '--json')]
    changes = [e['properties'] for e in events if e['event'] == 'changed']
    assert changes[-1] == {'Weight': 5, 'State': 'up'}
    assert changes[0]['Subsets'][0] == ['stable', 'random', ['/io/slicemesh/Mesh1/service/shop']]
    assert {e['event'] for e in events} == {'reloaded', 'changed', 'stopped'}
