# SPDX-License-Identifier: LGPL-2.1-or-later
"""Routes that are changed while they are used, and requests that are looked at while they go."""
import json
import time

import modes
import pytest
from mesh import HERE, PYTHON, SERVICE, background, kill, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice, server.slice]\n',
    'services/web.yaml': '''
service: web
address: 127.71.0.10:80
subsets:
  stable: {endpoints: ["127.0.1.1:8080"]}
  canary: {endpoints: ["127.0.1.2:8080"]}
  blue: {endpoints: ["127.0.1.3:8080"]}
  green: {endpoints: ["127.0.1.4:8080"]}
routes:
  - {name: beta, match: {path: {prefix: /file/page}, headers: {x-beta: {present: true}}}, to: canary}
  - {name: colour, match: {path: /file/small}, to: blue}
  - {name: rest, split: {stable: 100, canary: 0}}
''',
}
SERVERS = [('nginx', name, f'127.0.1.{i}')
           for i, name in enumerate(('stable', 'canary', 'blue', 'green'), start=1)]
SLICES = ['shop.slice', 'server.slice']

WEB = 'http://127.71.0.10'
CONNECTIONS = 32


class Load:
    """Requests over connections that stay, while the block runs; then what became of them."""

    STOP = '/tmp/stop-flip'

    def __init__(self, mesh, *targets):
        self.mesh = mesh
        self.mesh.path(self.STOP).unlink(missing_ok=True)
        self.process = mesh.popen(PYTHON, '-B', HERE / 'clients/flip.py', '127.71.0.10', 80, CONNECTIONS,
                                  self.STOP, *targets)

    def __enter__(self):
        self.step()
        return self

    def __exit__(self, exception, *_):
        self.mesh.path(self.STOP).touch()
        if exception:
            kill(self.process)
            return
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        found = json.loads(output)
        assert found['failed'] == []
        self.runs = found['runs']

    def step(self, n=1000):
        aim = requests(self.mesh) + n
        wait_until(lambda: requests(self.mesh) >= aim, f'{n} more requests', 60)


def requests(mesh):
    return mesh.get(mesh.service_path('web'), SERVICE, 'Requests')


def ctl(mesh, *arguments, check=True):
    return mesh.run('slicemeshctl', *arguments, slice_='system.slice', check=check)


def change(mesh, *arguments):
    """What it changed, and when that was in force for sure."""
    changed = json.loads(ctl(mesh, *arguments, '--json'))
    return {c['route']: c['split'] for c in changed}, time.monotonic()


def routes(mesh):
    found = mesh.get(mesh.service_path('web'), SERVICE, 'Routes')
    return {name: dict(split) for name, _, _, split, *_ in found}


def test_shift_under_load(mesh):
    with Load(mesh) as load:
        for canary in (10, 50, 25, 0):
            changed, _ = change(mesh, 'shift', 'web', f'stable={100 - canary}', f'canary={canary}')
            assert changed == {'rest': {'stable': 100 - canary, 'canary': canary}}
            load.step()
    for canary in (10, 50, 0):
        change(mesh, 'shift', 'web', f'stable={100 - canary}%', f'canary={canary}%')
        assert mesh.spread(WEB, 200) == {k: v for k, v in
                                         {'stable': 200 - 2 * canary, 'canary': 2 * canary}.items() if v}
    assert mesh.idle('web') is None


def test_shares_hold_from_the_answer_on(mesh):
    with Load(mesh) as load:
        _, then = change(mesh, 'shift', 'web', 'stable=3', 'canary=1')
        load.step()
        _, end = change(mesh, 'shift', 'web', 'stable=0', 'canary=1')
        load.step()
    change(mesh, 'shift', 'web', 'stable=1', 'canary=0')
    servers = {server for runs in load.runs for server, _, last, _ in runs if last > end}
    assert servers == {'canary'}, 'not one more after the answer'
    assert {server for runs in load.runs for server, first, *_ in runs if then < first < end} == \
        {'stable', 'canary'}


@pytest.mark.parametrize('round_', [1, 2])
def test_swap_under_load(mesh, round_):
    before, after = ('blue', 'green') if round_ == 1 else ('green', 'blue')
    with Load(mesh, '/file/small') as load:
        begin = time.monotonic()
        changed, then = change(mesh, 'swap', 'web', 'blue', 'green')
        load.step()
    assert changed == {'colour': {after: 1}}
    for runs in load.runs:
        assert [server for server, *_ in runs] == [before, after], 'each connection sees the change once'
        assert begin < runs[1][1], 'not before it was asked for'
        assert runs[0][2] < then, 'not one more after the answer'
    assert routes(mesh)['colour'] == {after: 1}


def test_reloads_and_shifts_at_once(mesh):
    with Load(mesh) as load:
        for i in range(5):
            processes = [mesh.popen('slicemeshctl', 'shift', 'web', f'stable={share}', 'canary=1',
                                    slice_='system.slice') for share in (1 + i, 10 + i)]
            mesh.reload()
            for process in processes:
                _, errors = process.communicate(timeout=60)
                assert process.returncode == 0, errors
            assert routes(mesh)['rest'] in ({'stable': 1 + i, 'canary': 1}, {'stable': 10 + i, 'canary': 1})
            now = routes(mesh)
            assert mesh.reload() == []
            assert routes(mesh) == now, 'what is on disk is what is in force'
            load.step(200)


def test_persists(mesh):
    change(mesh, 'shift', 'web', 'stable=4', 'canary=1', '--persist')
    change(mesh, 'swap', 'web', 'blue', 'green', '--persist')
    before = routes(mesh)
    assert 'adjust-routes' in mesh.path('/etc/slicemesh/services/web.d/50-bus.yaml').read_text()
    assert not mesh.path('/run/slicemesh/services/web.d/90-bus.yaml').exists()
    mesh.systemctl('restart', 'slicemeshd.service')
    assert routes(mesh) == before
    assert mesh.spread(WEB, 10) == {'stable': 8, 'canary': 2}
    change(mesh, 'swap', 'web', 'blue', 'green', '--persist')
    assert mesh.reload() == []


def test_files_that_take_a_route_away_win(mesh):
    change(mesh, 'shift', 'web', '--route', 'beta', 'canary=1', 'stable=1')
    text = POLICY['services/web.yaml']
    others = [line for line in text.splitlines(keepends=True) if 'beta' not in line]
    mesh.write_policy('services/web.yaml', ''.join(others))
    assert mesh.reload() == []
    mesh.write_policy('services/web.yaml', text)
    assert mesh.reload() == []
    assert routes(mesh)['beta'] == {'canary': 1}


@pytest.mark.parametrize('arguments, part', [
    (['shift', 'web', 'stable=1', 'canry=1'], 'did you mean "canary"?'),
    (['shift', 'web', 'blue=1', 'green=1'], 'beta, colour, rest'),
    (['shift', 'web', 'stable=0', 'canary=0'], 'above 0'),
    (['swap', 'web', 'blue', 'grey'], 'did you mean "green"?')])
def test_refused(mesh, arguments, part):
    before = routes(mesh)
    done = ctl(mesh, *arguments, check=False)
    assert done.returncode == 1 and part in done.stderr
    assert routes(mesh) == before


def trace(mesh, count):
    return [json.loads(line) for line in
            ctl(mesh, 'trace', '--service=web', '--json', f'--count={count}').splitlines()]


def test_trace_under_load(mesh):
    change(mesh, 'shift', 'web', 'stable=1', 'canary=0')
    with Load(mesh, '/file/page', '/file/small', '/echo?x') as load:
        found = trace(mesh, 200)
        load.step()
    assert len(found) == 200
    expected = {'/file/page': ('rest', 3, 'stable', '127.0.1.1:8080'),
                '/file/small': ('colour', 2, 'blue', '127.0.1.3:8080'),
                '/echo?x': ('rest', 3, 'stable', '127.0.1.1:8080')}
    assert {f['target'] for f in found} == set(expected)
    for f in found:
        assert (f['route'], f['tried'], f['subset'], f['endpoint']) == expected[f['target']], f
        assert [r['name'] for r in f['routes']] == ['beta', 'colour', 'rest'][:f['tried']]
        assert [r['verdict'] for r in f['routes']] == ['failed'] * (f['tried'] - 1) + ['matched']
        why = 'headers: {x-beta: {present: true}}'
        if f['target'] != '/file/page':
            why = 'path: {prefix: /file/page}'
        assert (f['routes'][0]['predicate'], f['routes'][0]['holds']) == (why, False), f
        assert f['routes'][0]['origin'].endswith('web.yaml:10')
        assert (f['method'], f['slice'], f['reason'], f['status']) == ('GET', 'shop.slice', 'none', 200)
        assert f['cgroup'].startswith('/shop.slice/') and f['total-usec'] >= f['first-byte-usec'] > 0
    if modes.MODE == 'on':
        assert sum(f['fast'] for f in found) > 100, 'most would have been'
    elif modes.MODE == 'off':
        assert {f['slow'] for f in found} == {'off'}
    paths = mesh.paths('web')
    mesh.spread(WEB, 10)
    assert mesh.paths('web')['traced'] == paths['traced'], 'none is traced any more'


def tracer(mesh, *options):
    """slicemeshctl, once it has begun."""
    process = background(mesh.enter('slicemeshctl', 'trace', '--service=web', '--json', *options))
    wait_until(lambda: 'traced for somebody else' in ctl(mesh, 'trace', '--service=web', '--count=1',
                                                         check=False).stderr, 'it to begin')
    return process


def test_trace_what_comes_to_no_route(mesh):
    process = tracer(mesh, '--count=1')
    mesh.curl(WEB, '--request', 'G@ET:', '--output', '/dev/null')
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found = json.loads(output)
    assert (found['route'], found['tried'], found['status']) == (None, 0, 400)
    assert found['reason'] not in ('none', ''), found


def test_a_trace_ends_with_its_client(mesh):
    kill(tracer(mesh))
    kill(tracer(mesh))


def test_a_trace_is_ended_by_a_restart(mesh):
    process = tracer(mesh)
    mesh.systemctl('restart', 'slicemeshd.service')
    process.communicate(timeout=60)
    assert process.returncode in (1, 3), 'it was told, or saw slicemeshd leave the bus'
    before = mesh.paths('web')['traced']
    mesh.spread(WEB, 10)
    assert mesh.paths('web')['traced'] == before
