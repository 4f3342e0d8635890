# SPDX-License-Identifier: LGPL-2.1-or-later
"""Surroundings in which slicemesh cannot do its work: it says so in a sentence, ends with the right status
if it must, and leaves nothing half attached."""
import contextlib
import subprocess

import modes
import pytest
from mesh import BUS_NAME, BUS_PATH, MANAGER, PYTHON, SLICE, Mesh, wait_until

POLICY = {
    'mesh.yaml': 'slices: [shop.slice]\n',
    'services/web.yaml': 'service: web\naddress: 127.71.0.10:80\nendpoints: ["127.0.1.1:8080"]\n',
    'services/raw.yaml': '''
service: raw
address: 127.71.0.11:80
protocol: tcp
endpoints: ["127.0.1.1:8080"]
''',
}
WEB, RAW = 'http://127.71.0.10', 'http://127.71.0.11'


def drop_in(unit, *lines):
    return modes.drop_in(unit, '50-test', '[Service]', *lines)


@contextlib.contextmanager
def host(*prepare, **options):
    with Mesh(POLICY, daemon=False, prepare=prepare, **options) as booted:
        booted.systemctl('start', 'shop.slice')
        yield booted


def start(host):
    return subprocess.run(host.enter('systemctl', 'start', 'slicemeshd.service'), check=False,
                          capture_output=True, timeout=60).returncode


def has_words(sentence, words):
    return all(word.lower() in sentence.lower() for word in words)


def assert_status_tells(host, *words):
    r = subprocess.run(host.enter('slicemeshctl', 'status'), check=False, capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == 3 and has_words(r.stderr, words), r


def assert_fails(host, *words):
    """It does not start; the journal has a sentence of its own with these words; nothing is left."""
    assert start(host) != 0
    wait_until(lambda: host.unit('slicemeshd.service', 'ExecMainCode') == '1', 'slicemeshd to exit')
    assert host.unit('slicemeshd.service', 'ExecMainStatus') not in ('0', '')
    if BUS_NAME not in words:  # else somebody else answers
        assert_status_tells(host, *words)
    host.systemctl('stop', 'slicemeshd.service')
    lines = host.journal('--output=cat', 'SYSLOG_IDENTIFIER=slicemeshd').splitlines()
    sentences = [line for line in lines if has_words(line, words)]
    assert sentences and sentences[0].endswith('.'), lines
    assert_nothing_left(host)


def assert_nothing_left(host):
    assert host.attached() == []
    assert not host.path('/sys/fs/bpf/slicemesh').exists()


def assert_works(host):
    host.manage('shop.slice')
    host.start_python('a', '127.0.1.1')
    assert host.curl(f'{WEB}/echo?x') == 'a x\n'
    assert host.curl(f'{RAW}/echo?x') == 'a x\n'


def test_without_btf():
    with host(drop_in('slicemeshd.service', 'InaccessiblePaths=/sys/kernel/btf')) as h:
        assert_fails(h, 'BTF')


def test_without_capability():
    bounds = 'CapabilityBoundingSet=CAP_NET_ADMIN CAP_PERFMON'
    with host(drop_in('slicemeshd.service', 'CapabilityBoundingSet=', bounds)) as h:
        assert_fails(h, 'CAP_BPF')


def test_without_cgroup2():
    with host(drop_in('slicemeshd.service', 'InaccessiblePaths=/sys/fs/cgroup')) as h:
        assert_fails(h, 'cgroup')


def test_without_bpffs():
    with host(drop_in('slicemeshd.service', 'InaccessiblePaths=/sys/fs/bpf')) as h:
        assert_fails(h, '/sys/fs/bpf')


def test_with_both_hierarchies():
    """A host with cgroup v1 too has cgroup2 elsewhere; that is enough."""
    with host(cgroup='hybrid') as h:
        assert start(h) == 0, h.journal('--unit=slicemeshd.service')
        assert_works(h)


def test_with_the_bus_name_taken():
    program = ('import dbus, time\n'
               f'dbus.SystemBus().request_name("{BUS_NAME}", 4)\n'
               'time.sleep(1000)\n')
    with host() as h:
        h.start('thief', PYTHON, '-c', program)
        wait_until(lambda: BUS_NAME in h.output('busctl', 'list', '--acquired', '--no-legend'), 'the name')
        assert_fails(h, BUS_NAME)
        h.stop('thief.service')
        assert start(h) == 0
        assert_works(h)


def test_with_the_port_taken():
    """tcp services need no relay, so the mesh runs; that http services do not is for everyone to see."""
    with host() as h:
        h.start('thief', PYTHON, '-m', 'http.server', '--bind', '127.0.0.1', '7471')
        wait_until(lambda: h.listening('127.0.0.1', 7471), 'the port to be taken')
        assert start(h) == 0
        h.manage('shop.slice')
        assert any('7471' in sentence for sentence in h.problems().values())
        assert '7471' in h.run('slicemeshctl', 'status', slice_='system.slice', check=False).stdout
        assert '7471' in h.journal('--unit=slicemeshd.service')
        h.start_python('a', '127.0.1.1')
        assert h.curl(f'{RAW}/echo?x') == 'a x\n'
        h.stop('thief.service')
        h.systemctl('restart', 'slicemeshd.service')
        wait_until(lambda: not h.problems(), 'the problem to go away')
        assert h.curl(f'{WEB}/echo?x') == 'a x\n'


def test_with_a_relay_that_does_not_start():
    """tcp services go on; a request to the others is answered as soon as there is a relay again."""
    with host(drop_in('slicemesh-relay.service', 'ExecStart=', 'ExecStart=/bin/false')) as h:
        assert start(h) == 0
        h.manage('shop.slice')
        wait_until(lambda: 'relay-down' in h.problems(), 'it to be noticed')
        assert h.get(BUS_PATH, MANAGER, 'State') == 'degraded'
        assert 'relay' in h.run('slicemeshctl', 'status', slice_='system.slice', check=False).stdout.lower()
        h.start_python('a', '127.0.1.1')
        assert h.curl(f'{RAW}/echo?x') == 'a x\n'
        waiting = h.popen('curl', '-sS', '--max-time', '30', f'{WEB}/echo?x')
        # A reload of systemd while it starts the client would lose the client's standard output.
        wait_until(lambda: h.get(h.slice_path('shop.slice'), SLICE, 'Captured') == 2, 'it to be waiting')
        h.output('rm', '-r', '/etc/systemd/system/slicemesh-relay.service.d')
        h.systemctl('daemon-reload')
        assert waiting.communicate(timeout=60)[0] == 'a x\n'
        wait_until(lambda: not h.problems(), 'the problem to go away')


def test_without_a_policy():
    with Mesh({}) as h:
        assert h.get(BUS_PATH, MANAGER, 'State') == 'running'
        wait_until(lambda: h.get(BUS_PATH, MANAGER, 'RelayState') == 'running', 'the relay to run')
        assert h.attached() == [('/system.slice/slicemesh-relay.service', 'cgroup_sock_ops')]


def test_with_a_broken_policy_from_the_start():
    with Mesh({**POLICY, 'services/web.yaml': 'service: web\nendpoints: nonsense\n'}) as h:
        h.manage('shop.slice')
        assert h.get(BUS_PATH, MANAGER, 'State') == 'degraded'
        h.start_python('a', '127.0.1.1')
        assert h.curl(f'{RAW}/echo?x') == 'a x\n'


def test_stop_leaves_nothing():
    with host() as h:
        for _ in range(3):
            assert start(h) == 0
            h.manage('shop.slice')
            assert h.attached()
            h.systemctl('stop', 'slicemeshd.service')
            assert_nothing_left(h)
        assert h.run('curl', '-sS', WEB, check=False).returncode == 7


def test_a_killed_daemon_leaves_all_in_force():
    """Until the next one takes over; that one can also be stopped cleanly."""
    with host(drop_in('slicemeshd.service', 'Restart=no')) as h:
        assert start(h) == 0
        assert_works(h)
        h.systemctl('kill', '--signal=KILL', 'slicemeshd.service')
        wait_until(lambda: h.unit('slicemeshd.service', 'ActiveState') == 'failed', 'its end')
        assert h.curl(f'{WEB}/echo?x') == 'a x\n'
        assert h.curl(f'{RAW}/echo?x') == 'a x\n'
        assert start(h) == 0
        assert h.curl(f'{WEB}/echo?x') == 'a x\n'
        h.systemctl('stop', 'slicemeshd.service')
        assert_nothing_left(h)
