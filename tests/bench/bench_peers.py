# SPDX-License-Identifier: LGPL-2.1-or-later
"""The server, and what can stand before it: each with a configuration of its own, and ended by its pid."""
import pathlib
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'relay'))
from relay_lab import Lab, Skipped  # noqa: E402

SMALL = 43
LARGE = 65536

NGINX = '''daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 300s;
  keepalive_requests 100000000;
  sendfile on;
  tcp_nodelay on;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen {address}:{port} backlog=1024;
    location = /{small} {{ return 200 "{body}"; }}
    location / {{ root {directory}/www; open_file_cache max=10; }}
  }}
}}
'''

HAPROXY = '''global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend bench
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  server nginx {server}
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for_port(port, process, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f'{process.args[0]} ended with {process.returncode}')
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f'{process.args[0]} does not listen on port {port}')


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Nginx:
    name = 'none'  # what stands between: nothing

    def __init__(self, directory):
        self.port = free_port()
        (directory / 'www').mkdir()
        (directory / 'www' / str(LARGE)).write_bytes(bytes(range(256)) * (LARGE // 256))
        config = directory / 'nginx.conf'
        config.write_text(NGINX.format(directory=directory, address='127.0.0.1', port=self.port, small=SMALL,
                                       body='x' * SMALL))
        self.process = subprocess.Popen(['nginx', '-c', config, '-p', directory])
        self.pid = self.process.pid
        wait_for_port(self.port, self.process)

    def prepare(self):
        pass

    def end(self):
        end(self.process)


class Haproxy:
    name = 'haproxy'

    def __init__(self, directory, server):
        self.port = free_port()
        config = directory / 'haproxy.cfg'
        config.write_text(HAPROXY.format(port=self.port, server=f'127.0.0.1:{server}'))
        self.process = subprocess.Popen(['haproxy', '-db', '-f', config])
        self.pid = self.process.pid
        wait_for_port(self.port, self.process)

    def prepare(self):
        pass

    def end(self):
        end(self.process)


class Relay:
    """slicemesh-relay with one worker. In place of the programs on slices, every port of 127.0.0.1 is made a
    caller before each run, so that nothing is to be done for single connections."""
    name = 'slicemesh'

    def __init__(self, server):
        self.lab = Lab(workers=1)
        self.port, self.pid = self.lab.port, self.lab.relay.pid
        (self.lab.policy / 'services/bench.yaml').write_text(
            f'service: bench\naddress: 127.71.0.10:80\nendpoints: ["127.0.0.1:{server}"]\n')
        self.lab.command('reload')

    def prepare(self):
        self.lab.command('callers', '127.0.0.1', 1024, 65535, 'bench')

    def end(self):
        self.lab.end()


def missing():
    """The programs that are needed and not there."""
    return [name for name in ('nginx', 'haproxy', 'wrk') if not shutil.which(name)]
