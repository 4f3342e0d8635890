# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine: a kernel of Debian's, systemd as PID 1, and this checkout with its build installed.

All of the machine is in memory: the kernel unpacks a small Debian system, and over it what was built here.
So it needs no disk, no driver and no network, and nothing of it is left. What it is made of is cached in a
directory below the build's.
"""
import ctypes
import fcntl
import hashlib
import os
import pathlib
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
RELEASE = 'bookworm'
# Version: the release of Debian that has it. Both are built with less drivers than usual ("cloud").
KERNELS = {'6.1': 'bookworm', '6.12': 'bookworm-backports'}
KERNEL_PACKAGE = 'linux-image-cloud-amd64'
MODULES = ('veth',)  # which the tests need, and the kernel does not have built in
PACKAGES = (
    'systemd', 'dbus', 'polkitd', 'iproute2', 'procps', 'kmod', 'bpftool', 'curl',
    'libbpf1', 'libelf1', 'zlib1g', 'libyaml-0-2', 'libpcre2-8-0', 'libc-ares2', 'libseccomp2', 'libcmocka0',
    'python3', 'python3-pytest', 'python3-dbus',
)
UNWANTED = ('/usr/share/doc/*', '/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*')
MASKED = ('timers.target', 'getty.target', 'serial-getty@.service')
SOURCES = ('src', 'tests', 'tools')  # of the checkout, that tests read or run
MEMORY, CPUS = 2048, 2  # MiB; half of that is the most that the file system can have
BOOT_SECONDS = 300
PR_SET_PDEATHSIG = 1

# The second to fourth serial port are the command's output, its errors, and what becomes of it.
UNIT = '''
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/lib/slicemesh-vm/command
StandardInput=null
StandardOutput=file:/dev/ttyS3
'''
SCRIPT = '''#!/bin/sh
export TERM=dumb {environment}
for port in 1 2 3; do stty -F /dev/ttyS$port raw; done
depmod
echo up
cd {directory}
{command} >/dev/ttyS1 2>/dev/ttyS2
status=$?
# Each waits until all is sent.
stty -F /dev/ttyS1 raw
stty -F /dev/ttyS2 raw
echo "status $status"
'''


class MachineError(Exception):
    """The machine could not be made or brought up; the text says why."""


def run(*argv, stdin='', cwd=None):
    done = subprocess.run(argv, check=False, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd=cwd)
    if done.returncode != 0:
        raise MachineError(f'"{shlex.join(map(str, argv))}" failed:\n{done.stdout}')
    return done.stdout


def pack(directory, target):
    """An archive for the kernel to unpack; several may follow each other in one file."""
    names = subprocess.run(['find', '.', '-print0'], cwd=directory, check=True, capture_output=True).stdout
    with open(target, 'wb') as archive:
        subprocess.run(['cpio', '--quiet', '--null', '--create', '--format=newc'], cwd=directory, check=True,
                       input=names, stdout=archive)


def copy(paths, target):
    """Below `target`, under their own names, with all of the folders above them as they are."""
    names = sorted({name for path in paths for name in (path, *path.parents)} - {pathlib.Path('/')})
    run('cpio', '--quiet', '--pass-through', '--preserve-modification-time', target, cwd='/',
        stdin=''.join(f'.{name}\n' for name in names))


def mirror():
    """The archive from which this system has its own packages."""
    found = run('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages',
                'Component: main', 'Origin: Debian', 'Label: Debian').split()
    if not found:
        raise MachineError('apt has no archive of Debian\'s, from which the machine could be made.')
    return found[0]


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


class Machine:
    """What it is made of. cache: a directory for that, made if it is missing."""

    def __init__(self, kernel, build_directory, cache):
        self.kernel, self.build, self.cache = kernel, build_directory.resolve(), cache
        self.scratch = None
        self.qemu = None

    def __enter__(self):
        self.cache.mkdir(parents=True, exist_ok=True)
        self.scratch = tempfile.TemporaryDirectory(prefix='slicemesh-vm-')
        return self

    def __exit__(self, *exception):
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
        self.scratch.cleanup()

    # What it is made of.

    def make(self, name, maker):
        """The file of this name in the cache; made by maker(directory, path) if it is not there."""
        path = self.cache / name
        with open(self.cache / '.lock', 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                print(f'vm: making {name}', file=sys.stderr)
                with tempfile.TemporaryDirectory(prefix='slicemesh-vm-') as directory:
                    maker(pathlib.Path(directory), path.with_suffix('.new'))
                path.with_suffix('.new').rename(path)
        return path

    def make_kernel(self, directory, target):
        """An archive with the modules, and beside it the kernel."""
        lists = directory / 'lists'
        (lists / 'partial').mkdir(parents=True)
        (directory / 'sources.list').write_text(
            f'deb [signed-by={KEYRING}] {mirror()} {KERNELS[self.kernel]} main\n')
        options = ('-q', '-o', f'Dir::Etc::sourcelist={directory}/sources.list',
                   '-o', 'Dir::Etc::sourceparts=-', '-o', f'Dir::State::lists={lists}',
                   '-o', f'Dir::Cache={directory}', '-o', 'APT::Sandbox::User=root')
        run('apt-get', *options, 'update')
        depends = run('apt-cache', *options, 'depends', KERNEL_PACKAGE)
        names = [line.split()[1] for line in depends.splitlines() if ' Depends: linux-image-' in line]
        if not names or not names[0].startswith(f'linux-image-{self.kernel}.'):
            raise MachineError(f'{KERNELS[self.kernel]} has no kernel {self.kernel}, but {names}')
        run('apt-get', *options, 'download', names[0], cwd=directory)
        run('dpkg', '-x', *directory.glob('linux-image-*.deb'), directory / 'tree')
        boot, = (directory / 'tree/boot').glob('vmlinuz-*')
        release = boot.name.removeprefix('vmlinuz-')
        modules = directory / 'tree/lib/modules' / release
        kept = directory / 'kept/usr/lib/modules' / release
        kept.mkdir(parents=True)
        for file in modules.glob('modules.*'):
            shutil.copy(file, kept)
        for name in MODULES:
            found, = modules.rglob(f'{name}.ko*')
            shutil.copy(found, kept)
        shutil.copy(boot, self.cache / f'vmlinuz-{self.kernel}')
        pack(directory / 'kept', target)

    def make_root(self, directory, target):
        options = [f'--dpkgopt=path-exclude={pattern}' for pattern in UNWANTED]
        run('mmdebstrap', '--quiet', '--mode=root', '--variant=essential', '--architectures=amd64', *options,
            f'--include={",".join(PACKAGES)}', RELEASE, directory / 'root', mirror())
        root = directory / 'root'
        for path in (root / 'etc/systemd/system').glob('*.wants'):
            shutil.rmtree(path)
        for unit in MASKED:
            link(root / 'etc/systemd/system' / unit, '/dev/null')
        (root / 'etc/fstab').write_text('')
        (root / 'etc/hostname').write_text('vm\n')
        pack(root, target)

    def make_payload(self, command, environment):
        """What is of this run: the checkout, the build, the command. Its folders are those of a Debian
        system, or they would take the place of those that are links there."""
        root = pathlib.Path(self.scratch.name, 'payload')
        for name in ('bin', 'lib', 'sbin'):
            (root / 'usr' / name).mkdir(parents=True)
            link(root / name, f'usr/{name}')
        run('meson', 'install', '-C', self.build, '--quiet', '--no-rebuild', '--destdir', root)
        programs = run('find', self.build, '-type', 'f', '-executable', '-not', '-name', '*.so').split()
        others = run('find', self.build / 'meson-info', *(REPOSITORY / name for name in SOURCES)).split()
        copy([pathlib.Path(path) for path in (*programs, *others)], root)
        script = root / 'usr/lib/slicemesh-vm/command'
        script.parent.mkdir()
        script.write_text(SCRIPT.format(
            environment=shlex.join(f'{name}={value}' for name, value in environment.items()),
            directory=shlex.quote(str(REPOSITORY)), command=shlex.join(command)))
        script.chmod(0o755)
        (root / 'etc/systemd/system').mkdir(parents=True, exist_ok=True)
        (root / 'etc/systemd/system/slicemesh-vm.service').write_text(UNIT)
        link(root / 'etc/systemd/system/multi-user.target.wants/slicemesh-vm.service',
             '../slicemesh-vm.service')
        # Not "uninitialized": a first boot would apply presets and enable what is wanted nowhere.
        (root / 'etc/machine-id').write_text(os.urandom(16).hex() + '\n')
        pack(root, root.with_suffix('.cpio'))
        return root.with_suffix('.cpio')

    # Running it.

    @staticmethod
    def accelerator():
        """KVM where it is the processor's own. There is a /dev/kvm that is itself emulated, and in which
        usual kernels do not boot."""
        with open('/proc/cpuinfo', encoding='ascii') as cpuinfo:
            flags = next((line.split() for line in cpuinfo if line.startswith('flags')), [])
        if os.access('/dev/kvm', os.R_OK | os.W_OK) and {'vmx', 'svm'} & set(flags):
            return ['-accel', 'kvm', '-cpu', 'host']
        # Linux 6.12 runs into a double fault with either of these in QEMU 7.2.
        return ['-accel', 'tcg,thread=multi', '-cpu', 'max,cx16=off,la57=off']

    def boot(self, archives, ports, console):
        initrd = pathlib.Path(self.scratch.name, 'initrd')
        with open(initrd, 'wb') as target:
            for archive in archives:
                with open(archive, 'rb') as source:
                    shutil.copyfileobj(source, target)
        console.write_text('')
        options = ['-serial', f'file:{console}']
        for descriptor in ports:
            options += ['-serial', f'file:/dev/fd/{descriptor}']
        self.qemu = subprocess.Popen(
            ['nice', 'qemu-system-x86_64', *self.accelerator(), '-machine', 'q35', '-smp', str(CPUS),
             '-m', str(MEMORY), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
             '-kernel', str(self.cache / f'vmlinuz-{self.kernel}'), '-initrd', str(initrd),
             '-append', 'console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off '
                        'rdinit=/lib/systemd/systemd systemd.unit=multi-user.target', *options],
            stdin=subprocess.DEVNULL, pass_fds=ports, preexec_fn=die_with_parent)

    def run(self, command, *, environment=(), console=None):
        """Boots and runs it, its streams being those of this process. Returns its exit status."""
        archives = [
            self.make('root-' + hashlib.sha256(repr((PACKAGES, UNWANTED, MASKED)).encode()).hexdigest()[:8],
                      self.make_root),
            self.make(f'modules-{self.kernel}', self.make_kernel),
            self.make_payload(command, dict(environment)),
        ]
        console = console or pathlib.Path(self.scratch.name, 'console')
        pipes = [os.pipe() for _ in range(3)]
        try:
            self.boot(archives, [write for _, write in pipes], console)
        finally:
            for _, write in pipes:
                os.close(write)
        status = self.follow(*(read for read, _ in pipes))
        if status is None:
            tail = ''.join(console.read_text(errors='replace').splitlines(keepends=True)[-60:])
            raise MachineError(f'the machine with Linux {self.kernel} is gone, or was not up within '
                               f'{BOOT_SECONDS} s; the end of what its console said:\n{tail}')
        return status

    def follow(self, output, errors, control):
        """Passes on what the command says; its exit status, or None if the machine ends before it."""
        said, up_until = b'', time.monotonic() + BOOT_SECONDS
        to = {output: sys.stdout.buffer, errors: sys.stderr.buffer}
        with selectors.DefaultSelector() as selector:
            for descriptor in (output, errors, control):
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                left = None if said else max(0, up_until - time.monotonic())
                events = selector.select(left)
                if not events and left == 0:
                    return None
                # What has been said before comes first.
                for key, _ in sorted(events, key=lambda event: event[0].fd == control):
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fd)
                    elif key.fd == control:
                        said += data
                    else:
                        to[key.fd].write(data)
                        to[key.fd].flush()
                lines = said.decode('ascii', errors='replace').split('\n')[:-1]
                if lines and lines[-1].startswith('status ') and len(events) == 1:
                    return int(lines[-1].split()[1])
        return None


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
