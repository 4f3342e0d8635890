# SPDX-License-Identifier: LGPL-2.1-or-later
"""A container in which slicemesh is installed and running: what the sandbox, the demo and tests/e2e boot."""
import fcntl
import os
import pathlib
import shlex
import subprocess
import sys

from container import Container, ContainerError, ThisSystem

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
UNITS = ('--unit=slicemeshd.service', '--unit=slicemesh-relay.service', '--unit=slicemesh-relay.socket')
PASSED_ON = ('PATH', 'HOME', 'USER', 'TERM', 'COLORTERM', 'NO_COLOR', 'LANG', 'LANGUAGE', 'CI')

# As the maintainer scripts of a package would.
AFTER_INSTALL = 'systemd-sysusers slicemesh.conf && systemd-tmpfiles --create slicemesh.conf'


def build(directory):
    """Configures and compiles the normal build, quietly if there is nothing to do. Raises ContainerError."""
    log = sys.stderr
    directory.mkdir(exist_ok=True)
    # Several sandboxes may be started at once, but only one ninja may work in a directory.
    with open(directory / '.sandbox.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not (directory / 'build.ninja').exists():
                subprocess.run(['meson', 'setup', directory, REPOSITORY], check=True, stdout=log)
            ninja = ['ninja', '--quiet', '-C', directory]
            todo = subprocess.run([*ninja, '-n'], check=True, capture_output=True, text=True).stdout
            if 'no work to do' not in todo:
                subprocess.run(ninja, check=True, stdout=log)
        except subprocess.CalledProcessError as error:
            raise ContainerError(f'"{shlex.join(map(str, error.cmd))}" failed') from error


# tools/vm sets it for what runs in its machine, where slicemesh is installed.
IN_VM = 'SLICEMESH_VM' in os.environ


class MeshHost(ThisSystem if IN_VM else Container):
    """policy: a directory to become /etc/slicemesh, or None for what is installed there by default.
    daemon: start slicemeshd and wait until it is ready."""

    def __init__(self, build_directory, *, policy=None, daemon=True, cgroup='unified', prepare=()):
        destination = shlex.quote(str(build_directory))
        install = f'meson install -C {destination} --quiet --no-rebuild --destdir "$DESTDIR"'
        steps = [] if IN_VM else [install]
        visible = [REPOSITORY, build_directory, os.getcwd()]
        if policy:
            steps.append('rm -rf "$DESTDIR/etc/slicemesh"; '
                         f'cp -rT {shlex.quote(str(policy))} "$DESTDIR/etc/slicemesh"')
            visible.append(policy)
        super().__init__(prepare=[*steps, *prepare], visible=visible, cgroup=cgroup)
        self.daemon = daemon

    def boot(self):
        super().boot()
        try:
            self.output('sh', '-c', AFTER_INSTALL)
            if self.daemon:
                self.start_daemon()
        except BaseException:
            self.close()
            raise
        return self

    def start_daemon(self):
        started = subprocess.run(self.enter('systemctl', 'start', 'slicemeshd.service'), check=False,
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if started.returncode != 0:
            text = started.stderr + self.journal('--output=short-monotonic', *UNITS)
            raise ContainerError(f'slicemeshd.service did not start\n{text}')

    def journal(self, *arguments):
        self.output('journalctl', '--sync')
        return self.output('journalctl', '--no-pager', '--boot', *arguments)

    def output(self, *argv):
        """Standard output of a client program; both streams are in the exception if it fails."""
        done = subprocess.run(self.enter(*argv), check=False, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        if done.returncode != 0:
            raise RuntimeError(f'"{shlex.join(argv)}" exited with {done.returncode}:\n'
                               f'{done.stdout}{done.stderr}')
        return done.stdout

    def service(self, argv, *, slice_='system.slice', directory='/', environment=(), terminal=False,
                properties=()):
        """The command line that runs `argv` as a transient service with its caller's standard streams. Its
        exit status is that of `argv`, 128 + N if signal N killed it: a shell sees to that, for systemd-run
        makes one value of most signals and takes SIGTERM for success."""
        options = [f'--property={p}' for p in properties] + [f'--setenv={e}' for e in environment]
        argv = [a.replace('$', '$$') for a in argv]  # or systemd would put variables of its own there
        return self.enter(
            'systemd-run', '--quiet', '--wait', '--collect', '--pty' if terminal else '--pipe',
            '--service-type=exec', f'--slice={slice_}', f'--working-directory={directory}', *options, '--',
            'sh', '-c', '"$$@"; exit $$?', 'sh', *argv)


def caller_environment():
    return [f'{name}={value}' for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith(('LC_', 'SLICEMESH_'))]
