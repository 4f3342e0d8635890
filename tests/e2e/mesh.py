# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system under test, as the tests see it: a MeshHost with servers, clients, a policy and its bus."""
import collections
import hashlib
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import time

import modes
from meshhost import IN_VM, MeshHost

TOP = pathlib.Path(__file__).resolve().parents[2]
HERE = TOP / 'tests/e2e'
BUILD = pathlib.Path(os.environ.get('SLICEMESH_BUILD', TOP / 'build'))
LONG = bool(os.environ.get('SLICEMESH_TEST_LONG')) and not IN_VM
SOAK_CLIENT, SOAK_SERVER = (BUILD / f'tests/e2e/soak-{end}' for end in ('client', 'server'))
PYTHON = '/usr/bin/python3'  # the one that Debian's packages are for
SLOW = 20 if IN_VM else 1  # times that everything may take longer: a processor may be emulated

BUS_NAME = 'io.slicemesh.Mesh1'
BUS_PATH = '/io/slicemesh/Mesh1'
MANAGER, SERVICE, ENDPOINT, SLICE = (f'{BUS_NAME}.{i}' for i in ('Manager', 'Service', 'Endpoint', 'Slice'))

FILES = {'small': 43, 'page': 65536, 'large': 3_000_001}  # what every server serves below /file/, by size


def content(name):
    """Bytes that are the same everywhere and compress to nothing useful."""
    size, seed = FILES[name], hashlib.sha256(name.encode()).digest()
    return b''.join(hashlib.sha256(seed + bytes([i >> 16, i >> 8 & 255, i & 255])).digest()
                    for i in range(size // 32 + 1))[:size]


def wait_until(condition, what, seconds=10.0):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + seconds * SLOW
    while not (value := condition()):
        assert time.monotonic() < deadline, f'waited {seconds} s for: {what}'
        time.sleep(0.02)
    return value


def unescape(label):
    return re.sub(r'_([0-9a-f]{2})', lambda m: chr(int(m[1], 16)), label)


def label(name):
    """A bus path element, escaped as sd_bus_path_encode() does."""
    return ''.join(c if c.isascii() and (c.isalpha() or c.isdigit() and i > 0) else f'_{ord(c):02x}'
                   for i, c in enumerate(name))


class Failed(Exception):
    """A client saw something else than it should have."""


class BusError(Exception):
    """A method call was answered by an error; the text is busctl's."""


class Mesh(MeshHost):
    """files: {'mesh.yaml': text, 'services/web.yaml': text, ...}, the policy."""

    def __init__(self, files, *, prepare=(), **options):
        self.scratch = tempfile.TemporaryDirectory(prefix='slicemesh-e2e-')
        self.policy_directory = pathlib.Path(self.scratch.name, 'policy')
        self.policy_directory.mkdir()
        for name, text in files.items():
            path = self.policy_directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.docroot = pathlib.Path(self.scratch.name, 'docroot')
        self.docroot.mkdir()
        for name in FILES:
            (self.docroot / name).write_bytes(content(name))
        os.chmod(self.scratch.name, 0o755)
        super().__init__(BUILD, policy=self.policy_directory, prepare=[*modes.prepare(), *prepare],
                         **options)

    def close(self):
        super().close()
        self.scratch.cleanup()

    # The inside, from outside.

    def path(self, path):
        """Where a file of the container is found on the host."""
        return pathlib.Path(f'/proc/{self.leader}/root{path}')

    def write_policy(self, name, text):
        path = self.path(f'/etc/slicemesh/{name}')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove_policy(self, name):
        self.path(f'/etc/slicemesh/{name}').unlink()

    def listening(self, address, port):
        six = ':' in address
        packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
        words = struct.unpack(f'={len(packed) // 4}I', packed)  # as /proc/net prints them
        local = ''.join(f'{word:08X}' for word in words) + f':{port:04X}'
        table = pathlib.Path(f'/proc/{self.leader}/net/tcp{"6" if six else ""}').read_text()
        return any(line.split()[1] == local and line.split()[3] == '0A' for line in table.splitlines()[1:])

    def systemctl(self, *arguments):
        return self.output('systemctl', *arguments)

    def unit(self, name, *properties):
        lines = self.systemctl('show', f'--property={",".join(properties)}', name).splitlines()
        fields = dict(line.split('=', 1) for line in lines)
        return [fields[p] for p in properties] if len(properties) > 1 else fields[properties[0]]

    # Processes in slices.

    def manage(self, name):
        """Starts the slice and waits until it is managed: what begins afterwards is governed for sure."""
        self.systemctl('start', name)
        wait_until(lambda: self.get(self.slice_path(name), SLICE, 'Attached'), f'{name} to be attached')

    def start(self, unit, *argv, slice_='server.slice', properties=()):
        self.output('systemd-run', '--quiet', '--collect', f'--unit={unit}', f'--slice={slice_}',
                    *(f'--property={p}' for p in properties), '--',
                    *(a.replace('$', '$$') for a in map(str, argv)))

    def stop(self, unit):
        self.systemctl('stop', unit)

    def start_python(self, name, address, port=8080, slice_='server.slice'):
        self.start_server(name, address, port, slice_, PYTHON, HERE / 'servers/server.py')

    def start_node(self, name, address, port=8080, slice_='server.slice'):
        self.start_server(name, address, port, slice_, 'node', HERE / 'servers/server.js')

    def start_server(self, name, address, port, slice_, *argv):
        self.start(f'server-{name}', *argv, name, address, port, self.docroot, slice_=slice_)
        wait_until(lambda: self.listening(address, port), f'server {name}')

    def start_nginx(self, name, address, port=8080, slice_='server.slice'):
        template = (HERE / 'servers/nginx.conf').read_text()
        values = {'name': name, 'listen': f'{address}:{port}', 'docroot': str(self.docroot)}
        self.path(f'/run/nginx-{name}.conf').write_text(re.sub(r'@(\w+)@', lambda m: values[m[1]], template))
        self.start(f'server-{name}', 'nginx', '-c', f'/run/nginx-{name}.conf', slice_=slice_)
        wait_until(lambda: self.listening(address, port), f'server {name}')

    def make_namespace(self, name, here, there):
        """A network namespace /run/netns/NAME at the other end of a cable, with these two addresses."""
        for command in (f'ip netns add {name}', f'ip link add to-{name} type veth peer eth0 netns {name}',
                        f'ip address add {here}/30 dev to-{name}', f'ip link set to-{name} up',
                        f'ip -n {name} address add {there}/30 dev eth0', f'ip -n {name} link set eth0 up',
                        f'ip -n {name} link set lo up'):
            self.output(*command.split())
        assert f'dev to-{name}' in self.output('ip', 'route', 'get', there)

    def start_soak(self, name, address, slice_='server.slice', *manner):
        """tests/e2e/soak-server.c"""
        self.start(f'soak-{name}', SOAK_SERVER, address, 8080, *manner, slice_=slice_)
        wait_until(lambda: self.listening(address, 8080), f'server {name}', seconds=30)

    def soak(self, address, requests, *options, connections=32):
        """What soak-client.c has seen; Failed if an answer was wrong or missing."""
        return json.loads(self.run(SOAK_CLIENT, address, 80, connections, requests, *options))

    def idle(self, service):
        """Waits until nothing of it is under way any more, by any count."""
        path = self.service_path(service)
        wait_until(lambda: self.get(path, SERVICE, 'ActiveRequests') == 0, 'all to be over', seconds=60)
        for endpoint in (e for subset in self.get(path, SERVICE, 'Subsets') for e in subset[2]):
            wait_until(lambda e=endpoint: self.get(e, ENDPOINT, 'InFlight') == 0, 'nothing to be in flight')

    def kill_server(self, name):
        self.kill_unit(f'server-{name}')

    def kill_unit(self, name):
        self.systemctl('kill', '--signal=KILL', f'{name}.service')
        wait_until(lambda: self.unit(f'{name}.service', 'ActiveState') in ('inactive', 'failed'), 'its end')

    def run(self, *argv, slice_='shop.slice', check=True, **options):
        """Runs a client to its end as a service of a slice; standard output, or Failed with everything."""
        command = self.service([str(a) for a in argv], slice_=slice_, directory='/tmp', **options)
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300 * SLOW)
        if check and done.returncode != 0:
            raise Failed(f'"{shlex.join(map(str, argv))}" exited with {done.returncode}:\n'
                         f'{done.stdout}{done.stderr}')
        return done.stdout if check else done

    def popen(self, *argv, slice_='shop.slice', **options):
        return background(self.service([str(a) for a in argv], slice_=slice_, directory='/tmp', **options))

    def curl(self, url, *options, **more):
        return self.run('curl', '--silent', '--show-error', '--max-time', '20', *options, url, **more)

    def spread(self, url, n, slice_='shop.slice'):
        """{server: requests} of n requests, one after the other over one connection."""
        return collections.Counter(self.curl(f'{url}/echo?[1-{n}]', slice_=slice_).split()[::2])

    # The bus.

    def busctl(self, *arguments, user=None):
        as_user = ['setpriv', f'--reuid={user}', '--clear-groups', '--no-new-privs'] if user else []
        done = subprocess.run(self.enter(*as_user, 'busctl', '--json=short', *map(str, arguments)),
                              check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise BusError(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout.strip() else None

    def call(self, path, interface, method, signature='', *arguments, user=None):
        answer = self.busctl('call', BUS_NAME, path, interface, method, *([signature] if signature else []),
                             *arguments, user=user)
        return answer['data'] if answer else []

    def get(self, path, interface, *properties):
        values = [self.busctl('get-property', BUS_NAME, path, interface, p)['data'] for p in properties]
        return values if len(values) > 1 else values[0]

    def set_fast_path(self, on):
        self.busctl('set-property', BUS_NAME, BUS_PATH, MANAGER, 'FastPath', 'b', 'true' if on else 'false')

    def fast_path(self):
        """Whether it is on, and what keeps it from being all there."""
        return tuple(self.get(BUS_PATH, MANAGER, 'FastPath', 'FastPathProblem'))

    def features(self):
        """What is in use of it: what the kernel can do, while it is on."""
        return self.get(BUS_PATH, MANAGER, 'FastPathFeatures')

    def paths(self, service):
        """{'fast': n, 'remote': n, SLOW-REASON: n}, without zeros: which way its requests went so far."""
        counts = self.get(self.service_path(service), SERVICE, 'Paths')
        return collections.Counter({path: n for path, n in counts.items() if n})

    def reload(self):
        """The list of errors: (file, line, column, service, key, message)."""
        return self.call(BUS_PATH, MANAGER, 'Reload')[1]

    def services(self):
        """[(name, protocol, address, state, path)]"""
        return self.call(BUS_PATH, MANAGER, 'ListServices')[0]

    def service_path(self, service):
        return f'{BUS_PATH}/service/{label(service)}'

    def slice_path(self, name):
        return f'{BUS_PATH}/slice/{label(name)}'

    def endpoint_path(self, service, address):
        for _, _, paths in self.get(self.service_path(service), SERVICE, 'Subsets'):
            for path in paths:
                if self.get(path, ENDPOINT, 'Address') == address:
                    return path
        raise KeyError(address)

    def problems(self):
        return dict(self.get(BUS_PATH, MANAGER, 'Problems'))

    # What the kernel holds.

    def attached(self):
        """[(cgroup, attach type)] of BPF programs in there; those of systemd itself are of other types."""
        found, group = [], None
        for line in self.output('bpftool', 'cgroup', 'tree', '/sys/fs/cgroup').splitlines()[1:]:
            if line.startswith('/'):
                group = line.strip().removeprefix('/sys/fs/cgroup')
            elif match := re.match(r'\s+\d+\s+(\S*(?:connect[46]?|getpeername[46]?|sock_ops))\b', line):
                found.append((group, match[1]))
        return found

    def memory(self, *units):
        """Proportional set size of the units' processes, in KiB."""
        total = 0
        for unit in units:
            group = self.unit(unit, 'ControlGroup')
            for pid in self.path(f'/sys/fs/cgroup{group}/cgroup.procs').read_text().split():
                rollup = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()  # the host's PIDs
                total += int(re.search(r'^Pss: +(\d+) kB', rollup, re.MULTILINE)[1])
        return total


def background(command):
    """A session of its own: nsenter has a child, and both must be reached to be killed."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):  # not read to their end: a service may still hold them
        stream.close()
