# SPDX-License-Identifier: LGPL-2.1-or-later
"""tools/sandbox itself: what it passes through, and that it leaves no trace however it ends."""
import contextlib
import os
import pathlib
import pty
import signal
import subprocess
import time

import pytest
from container import ContainerError
from mesh import BUILD
from meshhost import MeshHost

SANDBOX = pathlib.Path(__file__).resolve().parents[2] / 'tools/sandbox'


def sandbox(*arguments, **options):
    return subprocess.run([SANDBOX, '--build', BUILD, *arguments], check=False, capture_output=True,
                          text=True, timeout=120, **options)


def run(*argv, **options):
    return sandbox('--no-daemon', '--', *argv, **options)


def descendants(of):
    """PIDs of all processes below `of`."""
    children = {}
    for status in pathlib.Path('/proc').glob('[0-9]*/status'):
        with contextlib.suppress(OSError):
            fields = dict(line.split(':\t', 1) for line in status.read_text().splitlines() if ':\t' in line)
            children.setdefault(int(fields['PPid']), []).append(int(fields['Pid']))
    found, todo = set(), [of]
    while todo:
        for pid in children.get(todo.pop(), []):
            found.add(pid)
            todo.append(pid)
    return found


def traces():
    """What a sandbox could leave behind on the host."""
    groups = [str(p) for p in pathlib.Path('/sys/fs/cgroup').glob('**/slicemesh-sandbox-*')]
    files = [str(p) for d in ('/run', '/tmp', '/mnt', '/var/lib/machines', '/run/systemd')
             for p in pathlib.Path(d).glob('*') if 'sandbox' in p.name or 'nspawn' in p.name]
    return sorted(groups), sorted(files), pathlib.Path('/proc/self/mountinfo').read_text().count('\n')


@pytest.fixture(autouse=True)
def nothing_left():
    before = traces()
    yield
    deadline = time.monotonic() + 10
    while (after := traces()) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert after == before


def test_boots_a_whole_system():
    done = run('sh', '-c',
               'cat /proc/1/comm; systemctl is-system-running; stat -fc %T /sys/fs/cgroup /sys/fs/bpf')
    assert done.stdout.split() == ['systemd', 'running', 'cgroup2fs', 'bpf_fs'], done


def test_has_only_a_loopback():
    assert run('ls', '/sys/class/net').stdout.split() == ['lo']


def test_outlives_slow_jobs():
    """systemd tells nspawn of each, three times a second, and nspawn the sandbox: that must listen."""
    done = run('sh', '-c', 'timeout 30 systemd-run --quiet --service-type=oneshot sleep 14; '
               'timeout 10 systemctl start a.slice && echo done')
    assert done.stdout == 'done\n'


def test_starts_no_service_of_the_host():
    units = run('systemctl', 'list-units', '--type=service', '--state=running', '--plain',
                '--no-legend').stdout
    names = {line.split('.')[0] for line in units.splitlines()}
    assert not names & {'nginx', 'haproxy', 'ssh', 'cron'}, names


def test_polkit_is_there():
    done = run('busctl', 'call', 'org.freedesktop.PolicyKit1', '/org/freedesktop/PolicyKit1/Authority',
               'org.freedesktop.DBus.Peer', 'Ping')
    assert done.returncode == 0, done.stderr


def test_passes_streams_and_directory(tmp_path):
    done = run('sh', '-c', 'cat; pwd; echo error >&2', input='hello\n', cwd='/usr/share')
    assert (done.stdout, done.stderr, done.returncode) == ('hello\n/usr/share\n', 'error\n', 0)


def test_passes_arguments_literally():
    arguments = ['$HOME', '${PATH}', '%n', 'a b', "it's", '"', '\\', '*']
    assert run('printf', '%s\\n', *arguments).stdout.splitlines() == arguments


def test_passes_some_of_the_environment():
    environment = {**os.environ, 'TERM': 'vt100', 'SECRET': 'x', 'LC_TIME': 'C.UTF-8'}
    done = sandbox('--no-daemon', '--setenv', 'A=b c', '--', 'env', env=environment)
    variables = done.stdout.splitlines()
    assert {'TERM=vt100', 'A=b c', 'LC_TIME=C.UTF-8'} <= set(variables)
    assert not any(v.startswith('SECRET=') for v in variables)


@pytest.mark.parametrize('command,status',
                         [('exit 0', 0), ('exit 7', 7), ('exit 255', 255), ('kill -KILL $$', 137),
                                            ('kill -TERM $$', 143)])
def test_passes_the_status(command, status):
    assert run('sh', '-c', command).returncode == status


def test_gives_a_terminal():
    pid, master = pty.fork()
    if pid == 0:
        os.execv(SANDBOX, [str(SANDBOX), '--no-daemon', '--build', str(BUILD), '--', 'sh', '-c',
                           'test -t 0 && test -t 1 && echo terminal'])
    output = b''
    with contextlib.suppress(OSError):  # EIO is how a terminal ends
        while chunk := os.read(master, 4096):
            output += chunk
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b'terminal' in output


def test_changes_nothing_outside(tmp_path):
    outside = tmp_path / 'file'
    outside.write_text('before')
    done = run('sh', '-c',
               f'echo after > {outside}; cat {outside}; echo x > /etc/slicemesh-sandbox-was-here')
    assert done.stdout == 'after\n'
    assert outside.read_text() == 'before'
    assert not os.path.exists('/etc/slicemesh-sandbox-was-here')


def test_several_at_once():
    """Each has its own cgroups, network and bpffs."""
    program = """
import os, socket, time
os.mkdir('/sys/fs/bpf/mine')
os.mkdir('/sys/fs/cgroup/mine.slice')
server = socket.create_server(('127.0.0.1', 80))
time.sleep(1)
print(*sorted(os.listdir('/sys/fs/bpf')))
"""
    argv = [SANDBOX, '--no-daemon', '--build', BUILD, '--', '/usr/bin/python3', '-c', program]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
                   for _ in range(3)]
        for process in running:
            stack.callback(process.kill)
        for process in running:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert output.split() == ['maps.debug', 'mine', 'progs.debug']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ends_by_a_signal(number):
    process = subprocess.Popen([SANDBOX, '--no-daemon', '--build', BUILD, '--', 'sh', '-c',
                                'echo up; sleep 1000'],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'up\n'
    started = descendants(process.pid)
    process.send_signal(number)
    status = process.wait(timeout=30)
    assert status == (-9 if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 10
    while (left := {p for p in started if os.path.exists(f'/proc/{p}')}) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def test_ends_while_booting():
    process = subprocess.Popen([SANDBOX, '--no-daemon', '--build', BUILD, '--', 'true'])
    time.sleep(0.3)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM


def test_ends_with_its_system():
    run('systemctl', 'poweroff', '--force', '--force')


def test_keeps_the_journal(tmp_path):
    journal = tmp_path / 'journal'
    done = sandbox('--no-daemon', '--keep-journal', journal, '--', 'sh', '-c',
                   'logger in-the-journal; exit 3')
    assert done.returncode == 3
    assert 'in-the-journal' in journal.read_text()


@pytest.mark.parametrize('arguments',
                         [['--nonsense', '--', 'true'], [], ['--policy', '/nonexistent', '--', 'true']])
def test_bad_arguments(arguments):
    done = sandbox(*arguments)
    assert done.returncode in (1, 125)
    assert done.stderr.startswith('sandbox: ') and done.stderr.count('\n') == 1
    assert done.stdout == ''


def test_help_fits_a_terminal():
    done = sandbox('--help')
    assert done.returncode == 0 and done.stdout.startswith('usage: tools/sandbox')
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_says_why_the_daemon_did_not_start():
    drop_in = ('d="$DESTDIR/etc/systemd/system/slicemeshd.service.d"; mkdir -p "$d"; '
               'printf "%s\\n" "[Service]" ExecStart= "ExecStart=/bin/sh -c \'echo cannot-do-it; exit 3\'" '
               '>"$d/broken.conf"')
    with pytest.raises(ContainerError, match='(?s)slicemeshd.service did not start.*cannot-do-it'):
        MeshHost(BUILD, prepare=[drop_in]).boot()
