# SPDX-License-Identifier: LGPL-2.1-or-later
"""Paths through a booted mesh: client and server in managed slices, and a server at the end of a cable."""
import collections
import contextlib
import dataclasses
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / 'tools'), str(TOP / 'tests/e2e')]

import bench_measure  # noqa: E402
import bench_peers  # noqa: E402
from bench_peers import SMALL  # noqa: E402
from mesh import Mesh, wait_until  # noqa: E402

CONNECTIONS = (1, 32)
HERE, FAR = '198.18.0.1', '198.18.0.2'
SERVERS = {'local': '127.0.0.1:8080', 'remote': f'{FAR}:8080'}
VIPS = {'local': '127.71.0.10', 'remote': '127.71.0.11'}
PROXIES = {'local': 8081, 'remote': 8082}

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\nrelay: {workers: 1}\n',
    **{f'services/{place}.yaml': f'service: {place}\naddress: {VIPS[place]}:80\nendpoints: ["{server}"]\n'
       for place, server in SERVERS.items()},
}

REQUESTS = 100000  # over which context switches are counted
LONGEST = 20       # seconds that this may take


@dataclasses.dataclass(frozen=True)
class Path:
    name: str
    url: str
    units: tuple  # the processes that stand in between; of "none": the server
    fast: bool = True


def paths(place):
    server = f'server-{place}.service'
    mesh = ('slicemeshd.service', 'slicemesh-relay.service')
    vip = f'http://{VIPS[place]}/{SMALL}'
    return [Path('none', f'http://{SERVERS[place]}/{SMALL}', (server,)),
            Path('haproxy', f'http://127.0.0.1:{PROXIES[place]}/{SMALL}', (f'haproxy-{place}.service',)),
            Path('slicemesh', vip, mesh),
            Path('relay', vip, mesh, fast=False)]


class BenchMesh(Mesh):
    """Clients and servers are services in there; what is measured of them is read from outside."""

    def __init__(self):
        super().__init__(POLICY)
        self.shares = collections.defaultdict(collections.Counter)  # {service: which way requests went}

    def boot(self):
        super().boot()
        try:
            self.manage('shop.slice')
            self.manage('server.slice')
            self.make_namespace('far', HERE, FAR)
            self.start_nginx_alone('local', slice_='server.slice')
            self.start_nginx_alone('remote', 'ip', 'netns', 'exec', 'far', slice_='far.slice')
            for place in SERVERS:
                self.start_haproxy(place)
            self.start('client', 'sleep', 'infinity', slice_='shop.slice')
            for place in SERVERS:
                for path in paths(place):
                    wait_until(lambda p=path: self.answers(p.url), f'{place} by {path.name}')
        except BaseException:
            self.close()
            raise
        return self

    def start_nginx_alone(self, place, *before, slice_):
        directory = f'/run/bench-{place}'
        self.path(directory).mkdir()
        address, port = SERVERS[place].split(':')
        config = bench_peers.NGINX.format(directory=directory, address=address, port=port, small=SMALL,
                                          body='x' * SMALL)
        self.path(f'{directory}/nginx.conf').write_text(config)
        self.start(f'server-{place}', *before, 'nginx', '-c', f'{directory}/nginx.conf', '-p', directory,
                   slice_=slice_)

    def start_haproxy(self, place):
        self.path(f'/run/haproxy-{place}.cfg').write_text(
            bench_peers.HAPROXY.format(port=PROXIES[place], server=SERVERS[place]))
        self.start(f'haproxy-{place}', 'haproxy', '-db', '-f', f'/run/haproxy-{place}.cfg',
                   slice_='proxy.slice')

    def answers(self, url):
        done = self.run('curl', '--silent', '--fail', '--max-time', '2', url, check=False)
        return done.returncode == 0 and len(done.stdout) == SMALL

    def group(self, unit):
        return self.path(f'/sys/fs/cgroup{self.unit(unit, "ControlGroup")}/cgroup.procs')

    def pids(self, *units):
        """The host's numbers."""
        return [int(pid) for unit in units for pid in self.group(unit).read_text().split()]

    def client(self, argv):
        """The command line that runs `argv` in the managed slice, without asking anybody in there."""
        return ['sh', '-c', 'echo $$ >"$0" && exec "$@"', self.group('client.service'),
                *self.enter(*map(str, argv))]

    def measure(self, place, connections, path, seconds):
        self.set_fast_path(path.fast)
        before = self.paths(place)
        run = bench_measure.run_wrk(path.url, connections, seconds, self.pids(*path.units), self.client)
        if path.name == 'slicemesh':
            self.shares[place, connections] += self.paths(place) - before
        return run

    def take_turns(self, rounds, seconds):
        """The runs, and {'shares': ..., 'switches': ...}."""
        def run(case, path):
            return self.measure(*case, path, seconds)

        cases = {(place, n): paths(place) for place in SERVERS for n in CONNECTIONS}
        results = bench_measure.take_turns(cases, rounds, run)
        rate = bench_measure.median(results['local', max(CONNECTIONS)]['slicemesh']).rate
        shares = [{'what': place, 'connections': n, 'paths': dict(counts)}
                  for (place, n), counts in self.shares.items()]
        return results, {'shares': shares, 'switches': self.switches(rate)}

    @contextlib.contextmanager
    def load(self, path, connections, seconds):
        command = bench_measure.wrk(path.url, connections, seconds)
        with subprocess.Popen(self.client(command), stdout=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.terminate()

    def switches(self, rate):
        """How often the daemon and the relay run during REQUESTS local requests, and in as much time without
        any. Counters are read by way of the daemon, so not in between."""
        path = next(p for p in paths('local') if p.name == 'slicemesh')
        units = {unit: self.pids(unit) for unit in path.units}
        seconds = min(LONGEST, 1.1 * REQUESTS / rate)
        self.set_fast_path(True)
        result = {'seconds': seconds, 'idle': count_switches(units, seconds)}
        with self.load(path, max(CONNECTIONS), seconds + 30):
            time.sleep(2)
            before = self.paths('local')
            result['loaded'] = count_switches(units, seconds)
            result['paths'] = self.paths('local') - before
        return result


def count_switches(units, seconds):
    time.sleep(0.5)
    before = {unit: bench_measure.context_switches(pids) for unit, pids in units.items()}
    time.sleep(seconds)
    return {unit: bench_measure.context_switches(pids) - before[unit] for unit, pids in units.items()}
