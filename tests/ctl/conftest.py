# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent.parent
BUS_CONFIG = '''<busconfig>
  <type>system</type>
  <listen>unix:dir={directory}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
</busconfig>'''


class Ctl:
    """slicemeshctl, with a bus of its own to talk to."""

    def __init__(self, directory):
        self.directory = directory
        build = pathlib.Path(os.environ['SLICEMESH_BUILD'])
        self.program = build / 'src/ctl/slicemeshctl'
        self.environment = {'PATH': os.environ['PATH'], 'LC_ALL': 'C.UTF-8', 'TERM': 'xterm',
                            'SLICEMESH_LOCALEDIR': str(build / 'po'),
                            'DBUS_SYSTEM_BUS_ADDRESS': f'unix:path={directory}/nothing'}
        self.log = directory / 'calls'
        self.processes = []

    def spawn(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, **self.environment})
        self.processes.append(process)
        return process

    def start_bus(self):
        config = self.directory / 'bus.conf'
        config.write_text(BUS_CONFIG.format(directory=self.directory))
        bus = self.spawn('dbus-daemon', f'--config-file={config}', '--nofork', '--nopidfile',
                         '--print-address=1')
        self.environment['DBUS_SYSTEM_BUS_ADDRESS'] = bus.stdout.readline().strip()

    def start_daemon(self, *options):
        daemon = self.spawn(sys.executable, '-B', str(HERE / 'mock_daemon.py'), str(TOP / 'dbus'),
                            str(self.log), *options)
        assert daemon.stdout.readline() == 'ready\n'
        return daemon

    def run(self, *arguments, **environment):
        return subprocess.run([self.program, *arguments], env={**self.environment, **environment}, text=True,
                              capture_output=True, timeout=30)

    def output(self, *arguments, **environment):
        """Of a call that must succeed and have nothing to complain about."""
        result = self.run(*arguments, **environment)
        assert (result.returncode, result.stderr) == (0, ''), result
        return result.stdout

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def ctl(tmp_path):
    """Without a bus."""
    c = Ctl(tmp_path)
    yield c
    c.stop()


@pytest.fixture
def empty(ctl):
    """A bus without slicemeshd."""
    ctl.start_bus()
    return ctl


@pytest.fixture
def mesh(empty):
    """A bus with slicemeshd, or rather what stands in for it."""
    empty.start_daemon()
    return empty
