# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unchanged clients of every kind reach servers of every kind through the mesh, and get the right bytes."""
import hashlib
import json

import pytest
from mesh import FILES, Mesh, content

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080"]
''',
    'services/static.yaml': '''
service: static
address: 127.71.0.11:80
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080", "127.0.1.3:8080"]
---
service: raw
address: 127.71.0.12:80
protocol: tcp
endpoints: ["127.0.1.1:8080", "127.0.1.2:8080", "127.0.1.3:8080"]
---
service: six
address: "[fd71::10]:80"
endpoints: ["[::1]:8080"]
''',
}
SERVERS = [('python', 'python', '127.0.1.1'), ('node', 'node', '127.0.1.2'), ('nginx', 'nginx', '127.0.1.3')]
SLICES = ['shop.slice', 'server.slice']

CLIENTS = ['python-http.client', 'python-requests', 'python-asyncio', 'node-agent', 'node-fetch',
           'java-HttpURLConnection', 'java-HttpClient', 'go']
ROUNDS = 60
WEB, STATIC, RAW = 'http://127.71.0.10', 'http://127.71.0.11', 'http://127.71.0.12'


@pytest.fixture(scope='module')
def direct():
    """The same servers without a mesh: what fails here is the fault of the test programs."""
    with Mesh({}, daemon=False) as host:
        host.start_python('python', '127.0.1.1')
        host.start_node('node', '127.0.1.2')
        yield host


@pytest.mark.parametrize('server', ['127.0.1.1', '127.0.1.2'])
@pytest.mark.parametrize('client', CLIENTS)
def test_direct(direct, programs, hashes, client, server):
    counts = json.loads(direct.run(*programs[client], f'http://{server}:8080', 5, hashes))
    assert list(counts.values()) == [20]


@pytest.mark.parametrize('client', CLIENTS)
def test_rounds(mesh, programs, hashes, client):
    """Both servers get the same number, whatever connections the client makes."""
    counts = json.loads(mesh.run(*programs[client], WEB, ROUNDS, hashes))
    assert counts == {'python': 2 * ROUNDS, 'node': 2 * ROUNDS}


@pytest.mark.parametrize('url', [STATIC, RAW])
@pytest.mark.parametrize('file', FILES)
def test_curl(mesh, url, file):
    done = mesh.run('sh', '-c',
                    f'for i in 1 2 3; do curl --fail -sS --max-time 20 {url}/file/{file} | sha256sum; done')
    assert done.split()[::2] == [hashlib.sha256(content(file)).hexdigest()] * 3


@pytest.mark.parametrize('url', [STATIC, RAW])
def test_wget(mesh, url):
    done = mesh.run('sh', '-c',
                    f'for i in 1 2 3; do wget -qO- --tries=1 --timeout=20 {url}/file/page | sha256sum; done')
    assert done.split()[::2] == [hashlib.sha256(content('page')).hexdigest()] * 3


def test_every_server_is_reached(mesh):
    assert mesh.spread(STATIC, 30) == {'python': 10, 'node': 10, 'nginx': 10}


def test_wrk(mesh):
    output = mesh.run('wrk', '-t2', '-c64', '-d2s', f'{STATIC}:80/file/small')
    assert 'Socket errors' not in output and 'Non-2xx' not in output, output
    assert int(output.split(' requests in')[0].split()[-1]) > 100


def test_upload_with_expect(mesh):
    """curl waits for 100 Continue before it sends the body."""
    size = 2_000_000
    request = f'curl -sS --fail -H "Expect: 100-continue" --data-binary @- {WEB}/sum'
    script = f'head -c {size} /dev/zero | {request}'
    assert mesh.run('sh', '-c', script) == hashlib.sha256(bytes(size)).hexdigest()


def test_head(mesh):
    head = mesh.curl(f'{STATIC}/file/page', '--head')
    assert head.startswith('HTTP/1.1 200') and 'content-length: 65536' in head.lower()


def test_http_1_0(mesh):
    """A chunked response must reach such a client without chunks."""
    done = mesh.run('sh', '-c', f'curl -sS --http1.0 --max-time 20 {WEB}/chunked/page | sha256sum')
    assert done.split()[0] == hashlib.sha256(content('page')).hexdigest()


def test_ipv6_service(mesh):
    mesh.start_python('six', '::1')
    assert mesh.curl('http://[fd71::10]/echo?a') == 'six a\n'


def test_getpeername(mesh):
    """Applications see the address that they asked for, not the relay's or the endpoint's."""
    program = ('import socket\n'
               'for port in (10, 11, 12):\n'
               '    s = socket.create_connection((f"127.71.0.{port}", 80))\n'
               '    print(*s.getpeername())\n'
               's = socket.socket(socket.AF_INET6)\n'
               's.connect(("::ffff:127.71.0.10", 80))\n'
               'print(*s.getpeername()[:2])\n')
    assert mesh.run('/usr/bin/python3', '-c', program).splitlines() == [
        '127.71.0.10 80', '127.71.0.11 80', '127.71.0.12 80', '::ffff:127.71.0.10 80']
