# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who takes the fast path: every kind of client does what it does without one, and the counters say which
way its requests went."""
import json
import subprocess

import pytest
from mesh import FILES, HERE, PYTHON, SERVICE, SLICE, wait_until

SERVICES = {
    'web': '127.0.1.2:8080', 'static': '127.0.1.3:8080', 'script': '127.0.1.4:8080',
    'blocking': '127.0.1.5:8080', 'far': '127.0.1.6:8080',
}
ALWAYS = {'always': '127.0.1.4:8080'}
NEVER = {'never': '127.0.1.4:8080'}


def services(names, first, more=''):
    return ''.join(f'service: {name}\naddress: 127.71.0.{number}:80\nendpoints: ["{endpoint}"]\n{more}---\n'
                   for number, (name, endpoint) in enumerate(names.items(), first)).removesuffix('---\n')


POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/web.yaml': services(SERVICES, 10),
    'services/always.yaml': services(ALWAYS, 20, 'accelerate: always\n'),
    'services/never.yaml': services(NEVER, 30, 'accelerate: never\n'),
}
SERVERS = [('node', 'node', '127.0.1.2'), ('nginx', 'nginx', '127.0.1.3'),
           ('python', 'blocking', '127.0.1.5'), ('nginx', 'far', '127.0.1.6', 'far.slice')]
SLICES = ['shop.slice', 'server.slice']
OWN_MODE = True

WEB, STATIC, SCRIPT, BLOCKING, FAR = (f'127.71.0.{n}' for n in range(10, 15))
ALWAYS_ADDRESS, NEVER_ADDRESS = '127.71.0.20', '127.71.0.30'
EDGES = [PYTHON, '-B', HERE / 'clients/edges.py']
ROUNDS = 30


@pytest.fixture(scope='module', autouse=True)
def script(mesh):
    mesh.start('script', PYTHON, '-B', HERE / 'servers/script.py', 'script', '127.0.1.4', 8080, '/dev/null')
    wait_until(lambda: mesh.listening('127.0.1.4', 8080), 'the server')


class Counted:
    """What a service counts while the block runs, as `paths`, when nothing is under way any more."""

    def __init__(self, mesh, service):
        self.mesh, self.service = mesh, service
        self.paths = None

    def __enter__(self):
        self.before = self.mesh.paths(self.service)
        return self

    def __exit__(self, *_):
        path = self.mesh.service_path(self.service)
        wait_until(lambda: self.mesh.get(path, SERVICE, 'ActiveRequests') == 0, 'all to be over')
        self.paths = self.mesh.paths(self.service) - self.before

    def share(self, *paths):
        return sum(self.paths[p] for p in paths) / max(self.paths.total(), 1)


def test_is_on(mesh):
    assert mesh.fast_path() == (True, '')


@pytest.mark.parametrize('client', ['python-http.client', 'python-requests', 'python-asyncio', 'node-agent',
                                    'node-fetch', 'java-HttpClient', 'go'])
def test_non_blocking_clients(mesh, programs, hashes, client):
    """Of the rounds, those requests that the kernel can take; the rest is large, or sent in parts."""
    with Counted(mesh, 'web') as counted:
        answers = json.loads(mesh.run(*programs[client], f'http://{WEB}', ROUNDS, hashes))
    assert answers == {'node': 4 * ROUNDS}
    assert counted.paths.total() == 4 * ROUNDS
    assert counted.share('fast') > 0.2 and not counted.paths['blocking'], counted.paths


def test_java_with_blocking_sockets(mesh, programs, hashes):
    """It makes them non-blocking for a while when it needs a timeout, and so some are when they connect."""
    with Counted(mesh, 'web') as counted:
        mesh.run(*programs['java-HttpURLConnection'], f'http://{WEB}', ROUNDS, hashes)
    assert counted.paths['blocking'], counted.paths


def test_curl(mesh):
    with Counted(mesh, 'static') as counted:
        mesh.spread(f'http://{STATIC}', 200)
    assert counted.share('fast') >= 0.95, counted.paths


@pytest.mark.parametrize('file', FILES)
def test_files_of_nginx(mesh, file):
    """It sends a head of its own, then the file by sendfile(2). Where the relay answers what the kernel had
    taken, by TCP, it says that the next may follow only after its send(): some are not in step."""
    with Counted(mesh, 'static') as counted:
        size = mesh.curl(f'http://{STATIC}/file/{file}?[1-40]', '--output', '/dev/null', '--write-out',
                         '%{size_download}\\n').split()
    assert size == [str(FILES[file])] * 40
    path, least = ('fast', 0.9) if file == 'small' else ('response-too-large', 0.4)
    assert counted.share(path) >= least, counted.paths


def test_wget_blocks(mesh):
    with Counted(mesh, 'static') as counted:
        mesh.run('wget', '-qO/dev/null', '--tries=1', *[f'http://{STATIC}/echo?{n}' for n in range(20)])
    assert counted.paths == {'blocking': 20}


def test_always(mesh):
    with Counted(mesh, 'always') as counted:
        mesh.run(*EDGES, ALWAYS_ADDRESS, 80, 'blocking')
    assert counted.share('fast') >= 0.9, counted.paths


def test_blocking_is_not_always(mesh):
    with Counted(mesh, 'script') as counted:
        mesh.run(*EDGES, SCRIPT, 80, 'blocking')
    assert counted.paths == {'blocking': 50}


def test_never(mesh):
    with Counted(mesh, 'never') as counted:
        mesh.run(*EDGES, NEVER_ADDRESS, 80, 'steady')
    assert set(counted.paths) == {'never'}


def test_servers_that_block_or_are_not_managed_answer_through_the_relay(mesh):
    for service, address in (('blocking', BLOCKING), ('far', FAR)):
        with Counted(mesh, service) as counted:
            mesh.curl(f'http://{address}/echo?[1-200]')
        assert counted.share('remote') >= 0.95, (service, counted.paths)


@pytest.mark.parametrize('what,least', [('fionread', 3), ('peek', 1), ('edge_triggered', 400),
                                        ('half_close', 2), ('steady', 190), ('reconnects', 1000),
                                        ('abrupt', 1)])
@pytest.mark.parametrize('service,address', [('script', SCRIPT), ('always', ALWAYS_ADDRESS)])
def test_edges(mesh, service, address, what, least):
    with Counted(mesh, service) as counted:
        mesh.run(*EDGES, address, 80, what)
    assert counted.paths['fast'] >= least, counted.paths


def test_a_signal_does_not_end_a_blocking_recv(mesh):
    with Counted(mesh, 'script') as counted:
        mesh.run(*EDGES, SCRIPT, 80, 'alarm')
    assert counted.paths == {'blocking': 5}


def test_off_and_on_again_on_a_live_connection(mesh):
    with Counted(mesh, 'script') as counted:
        client = mesh.popen(*EDGES, SCRIPT, 80, 'edge_triggered')
        wait_until(lambda: mesh.paths('script')['fast'] > counted.before['fast'] + 10, 'it to be under way')
        for _ in range(5):
            mesh.set_fast_path(False)
            mesh.set_fast_path(True)
        assert client.wait(60) == 0, client.stderr.read()
    assert counted.share('fast', 'off', 'not-in-step', 'no-upstream') == 1, counted.paths
    assert counted.paths['fast'], counted.paths


def test_slices_count_too(mesh):
    before = mesh.get(mesh.slice_path('shop.slice'), SLICE, 'Paths')['fast']
    with Counted(mesh, 'script') as counted:
        mesh.run(*EDGES, SCRIPT, 80, 'steady')
    assert mesh.get(mesh.slice_path('shop.slice'), SLICE, 'Paths')['fast'] - before == counted.paths['fast']


def test_a_client_that_never_reads(mesh, capsys):
    """The kernel holds one answer for it, up to the cap, besides what TCP's window lets the relay send."""
    def held():
        command = mesh.service([*map(str, EDGES), SCRIPT, '80', 'unread'], slice_='shop.slice')
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout.readline() == 'sent\n'
            mesh.output('sleep', '1')
            lines = mesh.output('ss', '--tcp', '--memory', '--no-header', '--numeric', 'dport = :7471')
            client.stdin.close()
            assert client.wait(60) == 0
        sizes = [int(word.removeprefix('skmem:(r').split(',')[0]) for word in lines.split()
                 if word.startswith('skmem:(r')]
        assert len(sizes) >= 100
        return sizes

    mesh.set_fast_path(False)
    off = held()
    mesh.set_fast_path(True)
    with Counted(mesh, 'script') as counted:
        on = held()
    with capsys.disabled():
        print(f'# receive memory of {len(on)} connections that read nothing: {sum(on)} bytes, at most '
              f'{max(on)} in one; with the fast path off {sum(off)} and {max(off)}; {dict(counted.paths)}')
    assert counted.paths['fast'] >= 50, counted.paths
    assert max(on) <= max(off) + 2 * 65536
