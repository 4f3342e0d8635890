# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who gets how much: weights, routes, splits, hashing; changed live over the bus, by drain, by death."""
import collections

import pytest
from mesh import ENDPOINT, SERVICE, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080", {address: "127.0.1.2:8080", weight: 3}, {address: "127.0.1.3:8080", weight: 6}]
''',
    'services/balance.yaml': '''
service: random
address: 127.71.0.11:80
endpoints: ["127.0.1.1:8080", {address: "127.0.1.2:8080", weight: 3}]
balance: random
---
service: least
address: 127.71.0.12:80
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080"]
balance: least-request
---
service: hashed
address: 127.71.0.13:80
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080", "127.0.1.3:8080"]
balance: consistent-hash
hash: {header: x-user}
---
service: cookie
address: 127.71.0.14:80
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080", "127.0.1.3:8080"]
balance: consistent-hash
hash: {cookie: session}
---
service: raw
address: 127.71.0.15:80
protocol: tcp
endpoints: ["127.0.1.1:8080", {address: "127.0.1.2:8080", weight: 2}]
''',
    'services/routes.yaml': '''
service: routes
address: 127.71.0.20:80
subsets:
  stable: {endpoints: ["127.0.1.1:8080"]}
  canary: {endpoints: ["127.0.1.2:8080"]}
  beta: {endpoints: ["127.0.1.3:8080"]}
routes:
  - {name: beta, match: {host: "*.beta.example"}, to: beta}
  - {name: exact, match: {host: shop.example, path: {prefix: /echo}}, to: canary}
  - {name: rest, match: {path: {prefix: /echo}}, split: {stable: 95, canary: 5}}
''',
}
SERVERS = [('python', 'a', '127.0.1.1'), ('node', 'b', '127.0.1.2'), ('nginx', 'c', '127.0.1.3')]
SLICES = ['shop.slice', 'server.slice']

WEB, ROUTES = 'http://127.71.0.10', 'http://127.71.0.20'


@pytest.fixture
def weight(mesh):
    """A function that sets the weight of an endpoint of `web`; the policy's own are back afterwards."""
    paths = {a: mesh.endpoint_path('web', f'127.0.1.{a}:8080') for a in (1, 2, 3)}
    before = {a: mesh.get(path, ENDPOINT, 'Weight') for a, path in paths.items()}

    def set_weight(address, value):
        mesh.call(paths[address], ENDPOINT, 'SetWeight', 'ub', value, 'false')
    yield set_weight
    for address, value in before.items():
        set_weight(address, value)


def test_weights_are_exact(mesh):
    assert mesh.spread(WEB, 200) == {'a': 20, 'b': 60, 'c': 120}


def test_weights_are_exact_over_connections(mesh):
    """The cursor belongs to the subset, not to a connection or client."""
    script = f'for i in $(seq 40); do curl -sS --max-time 20 {WEB}/echo?$i; done'
    assert collections.Counter(mesh.run('sh', '-c', script).split()[::2]) == {'a': 4, 'b': 12, 'c': 24}


def test_weights_are_smooth(mesh):
    """No endpoint is served in a burst: of any ten in a row, each gets its share."""
    order = mesh.curl(f'{WEB}/echo?[1-40]').split()[::2]
    for start in range(30):
        assert collections.Counter(order[start:start + 10]) == {'a': 1, 'b': 3, 'c': 6}


def test_random_follows_the_weights(mesh):
    """Of 800 with p = 1/4, 200 are expected with a standard deviation of 12.2; ten of those never happen."""
    counts = mesh.spread('http://127.71.0.11', 800)
    assert set(counts) == {'a', 'b'} and abs(counts['a'] - 200) < 122


def test_least_request_passes_over_the_busy_one(mesh):
    """One long request at a time keeps its server busy; of two at random the other one is taken then."""
    slow = mesh.popen('curl', '-sS', '--max-time', '20', 'http://127.71.0.12/slow/3000')
    wait_until(lambda: mesh.get(mesh.service_path('least'), SERVICE, 'ActiveRequests') == 1,
               'the long request')
    counts = mesh.spread('http://127.71.0.12', 100)
    busy = slow.communicate(timeout=30)[0].split()[0]
    # Both of the two at random are the busy one in a quarter of the cases.
    assert counts[busy] < 50, (busy, counts)


@pytest.mark.parametrize('url,option', [('http://127.71.0.13', 'x-user: {}'),
                                        ('http://127.71.0.14', 'cookie: a=b; session={}; c=d')])
def test_consistent_hash(mesh, url, option):
    script = ''.join(f'curl -sS -H "{option.format(f"user{u}")}" {url}/echo?{u} {url}/echo?{u}\n'
                     for u in range(60))
    answers = [line.split() for line in mesh.run('sh', '-ec', script).splitlines()]
    servers = collections.defaultdict(set)
    for server, user in answers:
        servers[user].add(server)
    assert all(len(s) == 1 for s in servers.values())
    spread = collections.Counter(s for group in servers.values() for s in group)
    assert len(spread) == 3 and min(spread.values()) >= 6


def test_tcp_is_balanced_by_connection(mesh):
    """curl keeps its connection to the one endpoint that was picked; a new connection is picked anew."""
    assert len(set(mesh.curl('http://127.71.0.15/echo?[1-20]').split()[::2])) == 1
    script = 'for i in $(seq 30); do curl -sS --max-time 20 http://127.71.0.15/echo?$i; done'
    assert collections.Counter(mesh.run('sh', '-c', script).split()[::2]) == {'a': 10, 'b': 20}


def test_routes(mesh):
    assert mesh.curl(f'{ROUTES}/echo?x', '-H', 'Host: one.beta.example') == 'c x\n'
    assert mesh.curl(f'{ROUTES}/echo?x', '-H', 'Host: SHOP.example:80') == 'b x\n'
    assert mesh.curl(f'{ROUTES}/echo?x', '-H', 'Host: beta.example') in ('a x\n', 'b x\n')


def test_split_is_exact(mesh):
    assert mesh.spread(ROUTES, 200) == {'a': 190, 'b': 10}


def test_no_route_is_a_local_reply_that_says_so(mesh):
    head = mesh.curl(f'{ROUTES}/other', '--dump-header', '-', '--output', '/dev/null').lower()
    assert head.startswith('http/1.1 404') and 'x-slicemesh: no-route' in head
    assert mesh.get(mesh.service_path('routes'), SERVICE, 'Reasons')['no-route'] >= 1


def test_prefix_ends_at_a_segment(mesh):
    head = mesh.curl(f'{ROUTES}/echoes', '--dump-header', '-', '--output', '/dev/null')
    assert head.startswith('HTTP/1.1 404')


def test_set_weight_is_live(mesh, weight):
    weight(1, 8)
    assert mesh.spread(WEB, 170) == {'a': 80, 'b': 30, 'c': 60}
    weight(3, 0)
    assert mesh.spread(WEB, 110) == {'a': 80, 'b': 30}


def test_set_weight_within_a_connection(mesh, weight):
    """A request after the call has returned goes by the new weights, on a connection that is open."""
    process = mesh.popen('/usr/bin/python3', '-u', '-c', '''
import http.client, os
c = http.client.HTTPConnection('127.71.0.10', timeout=20)
def ask(n):
    servers = []
    for i in range(n):
        c.request('GET', f'/echo?{i}')
        servers.append(c.getresponse().read().split()[0].decode())
    print(*servers, flush=True)
ask(10)
while not os.path.exists('/tmp/go-on'):
    ask(1)
ask(20)
''')
    process.stdout.readline()
    weight(2, 0)
    weight(3, 0)
    mesh.path('/tmp/go-on').touch()
    lines = process.communicate(timeout=30)[0].splitlines()
    assert process.returncode == 0 and lines[-1].split() == ['a'] * 20


def test_set_weight_beyond_its_range_is_refused(mesh, weight):
    with pytest.raises(Exception, match='(?i)weight|invalid'):
        weight(1, 100_000)


def test_set_balance(mesh):
    path = mesh.service_path('web')
    mesh.call(path, SERVICE, 'SetBalance', 'ssb', 'default', 'random', 'false')
    try:
        assert mesh.get(path, SERVICE, 'Subsets')[0][1] == 'random'
        order = [mesh.spread(WEB, 20) for _ in range(5)]
        assert any(counts != {'a': 2, 'b': 6, 'c': 12} for counts in order)
    finally:
        mesh.call(path, SERVICE, 'SetBalance', 'ssb', 'default', 'round-robin', 'false')
    assert mesh.spread(WEB, 20) == {'a': 2, 'b': 6, 'c': 12}


def test_drain_and_enable(mesh):
    path = mesh.endpoint_path('web', '127.0.1.3:8080')
    mesh.call(path, ENDPOINT, 'Drain', 'b', 'false')
    wait_until(lambda: mesh.get(path, ENDPOINT, 'State') == 'drained', 'nothing to be in flight')
    assert mesh.get(path, ENDPOINT, 'Admin') == 'drain'
    assert mesh.spread(WEB, 40) == {'a': 10, 'b': 30}
    mesh.call(path, ENDPOINT, 'Enable', 'b', 'false')
    assert mesh.spread(WEB, 20) == {'a': 2, 'b': 6, 'c': 12}


def test_drain_lets_requests_finish(mesh):
    path = mesh.endpoint_path('least', '127.0.1.1:8080')
    other = mesh.endpoint_path('least', '127.0.1.2:8080')
    mesh.call(other, ENDPOINT, 'Drain', 'b', 'false')
    slow = mesh.popen('curl', '-sS', '--max-time', '20', 'http://127.71.0.12/slow/1500')
    wait_until(lambda: mesh.get(path, ENDPOINT, 'InFlight') == 1, 'the long request')
    mesh.call(other, ENDPOINT, 'Enable', 'b', 'false')
    mesh.call(path, ENDPOINT, 'Drain', 'b', 'false')
    assert mesh.get(path, ENDPOINT, 'State') == 'draining'
    assert mesh.spread('http://127.71.0.12', 10) == {'b': 10}
    assert slow.communicate(timeout=30)[0] == 'a 1500\n'
    wait_until(lambda: mesh.get(path, ENDPOINT, 'State') == 'drained', 'nothing to be in flight')
    mesh.call(path, ENDPOINT, 'Enable', 'b', 'false')


def test_no_endpoint_left(mesh):
    paths = [mesh.endpoint_path('random', f'127.0.1.{a}:8080') for a in (1, 2)]
    for path in paths:
        mesh.call(path, ENDPOINT, 'Drain', 'b', 'false')
    head = mesh.curl('http://127.71.0.11/echo?a', '--dump-header', '-', '--output', '/dev/null').lower()
    assert head.startswith('http/1.1 503') and 'x-slicemesh: no-endpoint' in head
    for path in paths:
        mesh.call(path, ENDPOINT, 'Enable', 'b', 'false')


def test_a_dead_endpoint_is_avoided_and_comes_back(mesh):
    path = mesh.endpoint_path('web', '127.0.1.3:8080')
    mesh.kill_server('c')
    counts = mesh.spread(WEB, 40)
    assert set(counts) == {'a', 'b'} and sum(counts.values()) == 40
    assert mesh.get(path, ENDPOINT, 'Failures') >= 1
    assert mesh.get(path, ENDPOINT, 'State') == 'avoided'
    mesh.start_nginx('c', '127.0.1.3')
    wait_until(lambda: mesh.spread(WEB, 10)['c'], 'the server to be tried again', seconds=60)
    wait_until(lambda: mesh.get(path, ENDPOINT, 'State') == 'up', 'its state')
    assert mesh.spread(WEB, 20) == {'a': 2, 'b': 6, 'c': 12}


def test_a_dead_endpoint_of_a_tcp_service_is_avoided(mesh):
    """The connect that finds out fails: the application's own connection is the only probe that there is."""
    mesh.kill_server('b')
    request = 'curl -sS --max-time 20 http://127.71.0.15/echo?$i 2>/dev/null'
    script = f'for i in $(seq 30); do {request} || echo failed; done'
    counts = collections.Counter(line.split()[0] for line in mesh.run('sh', '-c', script).splitlines())
    mesh.start_node('b', '127.0.1.2')
    assert counts['failed'] <= 3 and counts['a'] >= 27
