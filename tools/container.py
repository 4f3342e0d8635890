# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throw-away system: real systemd as PID 1 on the host kernel, over a read-only overlay of /.

Everything it needs is mounted on a tmpfs in a mount namespace of its own, so that nothing is left on disk or
in the host's mount table whatever happens. A guard process owns all of it and watches a pipe from its
creator: when that closes, be it by close(), an exception or kill -9, the guard takes the container down and
removes its cgroups.

`python3 container.py --guard JSON` is that guard; nobody else should call it.
"""
import ctypes
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import time

PREFIX = 'slicemesh-sandbox-'
BOOT_SECONDS = 60
PR_SET_PDEATHSIG = 1


class ContainerError(Exception):
    """The container could not be brought up; the text says why."""


def cgroup_roots():
    """Hierarchies in which nspawn makes cgroups: cgroup2, and on a hybrid host systemd's own v1 one."""
    candidates = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd']
    return [pathlib.Path(c) for c in candidates if os.path.exists(f'{c}/cgroup.procs')]


def remove_cgroup(group, seconds=5.0):
    """Kills what is left in there and removes the tree; killed processes need a moment to go away."""
    deadline = time.monotonic() + seconds
    while group.is_dir():
        try:
            (group / 'cgroup.kill').write_text('1')
        except OSError:
            pass  # a v1 hierarchy has no such file; its members are those of cgroup2
        try:
            for directory, _, _ in os.walk(group, topdown=False):
                os.rmdir(directory)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def sweep():
    """Removes cgroups of containers whose guard was killed before it could do so."""
    for root in cgroup_roots():
        for group in root.glob(f'{PREFIX}*'):
            if not os.path.exists(f'/proc/{group.name.removeprefix(PREFIX)}'):
                remove_cgroup(group)


class Container:
    """A booted system. Use as a context manager, or call close().

    prepare  shell commands run before boot, with $DESTDIR being the new root
    visible  paths that must be seen inside under the same name, even if they are on other file systems
    cgroup   'unified', or 'hybrid' for what a host with both hierarchies looks like
    """

    def __init__(self, *, prepare=(), visible=(), cgroup='unified'):
        self.config = {'prepare': list(prepare), 'visible': [os.path.abspath(p) for p in visible],
                       'cgroup': cgroup}
        self.guard = None
        self.leader = None

    def __enter__(self):
        return self.boot()

    def __exit__(self, *exception):
        self.close()

    def boot(self):
        sweep()
        self.guard = subprocess.Popen(
            ['unshare', '--mount', '--propagation=private', '--', sys.executable, '-B', __file__, '--guard',
             json.dumps(self.config)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            answer = json.loads(self.guard.stdout.readline() or '{}')
            if 'leader' not in answer:
                raise ContainerError(answer.get('error', 'the guard of the container has died'))
            self.leader = answer['leader']
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        if self.guard:
            self.guard.stdin.close()
            self.guard.wait()
            self.guard.stdout.close()
            self.guard = None

    def enter(self, *argv):
        """The command line that runs `argv` in the container's namespaces. It is outside of all its cgroups
        there, so this is for clients such as systemctl, not for what is to be in a slice."""
        # --root: in a chroot, the root of a mount namespace is not that of its processes. nsenter forks to
        # enter the PID namespace: who kills it means the client.
        return ['nsenter', '--target', str(self.leader), '--all', '--root', '--wd', '--',
                'setpriv', '--pdeathsig', 'KILL', *argv]


class ThisSystem:
    """The system that this itself runs in, instead of a container: one to be thrown away, see tools/vm. What
    was put into it, or runs in it, stays."""

    leader = 1

    def __init__(self, *, prepare=(), visible=(), cgroup='unified'):
        self.config = {'prepare': list(prepare)}

    __enter__, __exit__ = Container.__enter__, Container.__exit__

    def boot(self):
        for command in [*self.config['prepare'], 'systemctl daemon-reload']:
            subprocess.run(['sh', '-ec', command], check=True, env={**os.environ, 'DESTDIR': ''},
                           stdin=subprocess.DEVNULL)
        return self

    def close(self):
        pass

    def enter(self, *argv):
        return list(argv)


class Guard:
    """Runs in a mount namespace of its own, under which everything of one container hangs."""

    root = pathlib.Path('/run/root')
    notify_path = '/run/notify'

    def __init__(self, config):
        self.config = config
        self.name = f'{PREFIX}{os.getpid()}'
        self.groups = [root / self.name for root in cgroup_roots()]
        self.nspawn = None
        self.leader = None

    def overlay(self, lower, target, number):
        upper, work = f'/run/upper{number}', f'/run/work{number}'
        for directory in (upper, work, target):
            os.makedirs(directory, exist_ok=True)
        os.chmod(upper, os.stat(lower).st_mode & 0o7777)
        subprocess.run(['mount', '-t', 'overlay', 'overlay', target, '-o',
                        f'lowerdir={lower},upperdir={upper},workdir={work}'], check=True)

    def mount(self):
        # A tmpfs on /run also keeps what nspawn writes below /run/systemd from the host's.
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run'], check=True)
        self.overlay('/', self.root, 0)
        points = {'/'}
        for path in self.config['visible']:
            while not os.path.ismount(path):
                path = os.path.dirname(path)
            if path not in points:
                self.overlay(path, f'{self.root}{path}', len(points))
                points.add(path)
        # systemd mounts no bpffs in a container, and refuses a mount unit for that path.
        os.mkdir('/run/bpf')
        subprocess.run(['mount', '-t', 'bpf', '-o', 'mode=0700', 'bpf', '/run/bpf'], check=True)

    def strip(self):
        """Leaves a bare system, whatever the host has enabled, mounted or installed of slicemesh."""
        stale = ['etc/systemd/system/*.wants', 'etc/systemd/system/*.requires', 'etc/rc?.d',
                 'var/log/journal/*', 'etc/slicemesh', 'var/lib/slicemesh', 'etc/nginx/sites-enabled/*']
        for pattern in stale:
            for path in self.root.glob(pattern):
                subprocess.run(['rm', '-rf', path], check=True)
        # tmp.conf would empty /tmp, where the checkout may be.
        for path in ('etc/systemd/system/timers.target', 'etc/tmpfiles.d/tmp.conf',
                     'etc/systemd/system/tmp.mount'):
            (self.root / path).unlink(missing_ok=True)
            (self.root / path).symlink_to('/dev/null')
        (self.root / 'var/log/journal').mkdir(parents=True, exist_ok=True)
        (self.root / 'etc/fstab').write_text('')
        (self.root / 'etc/hostname').write_text('sandbox\n')
        # Not "uninitialized": a first boot would apply presets and enable everything again.
        (self.root / 'etc/machine-id').write_text(os.urandom(16).hex() + '\n')

    def prepare(self):
        environment = {**os.environ, 'DESTDIR': str(self.root)}
        for command in self.config['prepare']:
            done = subprocess.run(['sh', '-ec', command], check=False, env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                raise ContainerError(f'"{command.strip()}" failed:\n{done.stdout}')

    def become_member(self):
        """In the child: a cgroup of its own, or two containers would share nspawn's fixed names below it."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        for group in self.groups:
            group.mkdir(exist_ok=True)
            (group / 'cgroup.procs').write_text('0')

    def spawn(self):
        environment = {'PATH': os.environ['PATH'], 'NOTIFY_SOCKET': self.notify_path,
                       'SYSTEMD_NSPAWN_TMPFS_TMP': '0'}
        if self.config['cgroup'] == 'unified':
            environment.update(UNIFIED_CGROUP_HIERARCHY='1', SYSTEMD_NSPAWN_UNIFIED_HIERARCHY='1')
        # No user namespace: the kernel's checks for bpf(2) ask for capabilities in the initial one.
        arguments = ['systemd-nspawn', '--quiet', f'--directory={self.root}', f'--machine={self.name}',
                     '--hostname=sandbox', '--boot', '--register=no', '--keep-unit', '--link-journal=no',
                     '--resolv-conf=off', '--timezone=off', '--console=pipe', '--notify-ready=yes',
                     '--private-network', '--capability=all', '--system-call-filter=bpf perf_event_open',
                     '--bind=/run/bpf:/sys/fs/bpf', 'systemd.unit=multi-user.target',
                     'systemd.log_target=journal']
        with open('/run/console', 'wb') as console:
            self.nspawn = subprocess.Popen(arguments, env=environment, preexec_fn=self.become_member,
                                           stdin=subprocess.DEVNULL, stdout=console, stderr=console)

    def watch(self, notify):
        """Until the creator is gone or the container has ended; tells the creator when it is up."""
        deadline = time.monotonic() + BOOT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin, selectors.EVENT_READ)
            selector.register(notify, selectors.EVENT_READ)
            selector.register(os.pidfd_open(self.nspawn.pid), selectors.EVENT_READ)
            ready = False
            while True:
                events = selector.select(None if ready else max(0, deadline - time.monotonic()))
                sources = [key.fileobj for key, _ in events]
                if notify in sources:
                    # To the end: while nobody reads what nspawn passes on, systemd waits.
                    fields = dict(line.split('=', 1) for line in notify.recv(4096).decode().splitlines())
                    self.leader = int(fields.get('X_NSPAWN_LEADER_PID', self.leader or 0))
                    if fields.get('READY') == '1' and not ready:
                        ready = True
                        print(json.dumps({'leader': self.leader}), flush=True)
                if sys.stdin in sources:
                    return
                if not ready and (self.nspawn.poll() is not None or time.monotonic() >= deadline):
                    text = pathlib.Path('/run/console').read_text(errors='replace')
                    raise ContainerError(f'systemd did not come up:\n{text}')
                if self.nspawn.poll() is not None:
                    return

    def run(self):
        self.mount()
        self.strip()
        self.prepare()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(self.notify_path)
            self.spawn()
            self.watch(notify)

    def tear_down(self):
        # The kernel kills a PID namespace with its first process; there is nothing in there to be kept.
        if self.leader:
            try:
                os.kill(self.leader, signal.SIGKILL)
            except ProcessLookupError:
                pass
        elif self.nspawn:
            self.nspawn.kill()
        for group in self.groups:
            remove_cgroup(group)
        if self.nspawn:
            self.nspawn.wait()


def guard(config):
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    g = Guard(config)
    try:
        g.run()
    except (ContainerError, OSError, subprocess.CalledProcessError) as error:
        print(json.dumps({'error': str(error)}), flush=True)
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        g.tear_down()
    return 0


if __name__ == '__main__' and sys.argv[1:2] == ['--guard']:
    sys.exit(guard(json.loads(sys.argv[2])))
