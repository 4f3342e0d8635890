# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of wrk, and what it cost the whole machine."""
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess

SCRIPT = pathlib.Path(__file__).with_name('wrk.lua')
TICK_US = 1000000 // os.sysconf('SC_CLK_TCK')


@dataclasses.dataclass(frozen=True)
class Run:
    rate: float    # requests/s
    p50: int       # us
    p99: int       # us
    cpu: float     # us of all processors together for each request: client, server and kernel included
    own_cpu: float # us of them that the process in between took, whatever else the machine did
    errors: int


def busy_us():
    """What all processors spent on anything but idling, since boot (proc(5); guest time is in user time)."""
    with open('/proc/stat', encoding='ascii') as f:
        user, nice, system, _idle, _iowait, irq, softirq, _steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq) * TICK_US


def process_us(pid):
    """User and system time of a process with all its threads."""
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        utime, stime = f.read().rpartition(')')[2].split()[11:13]
    return (int(utime) + int(stime)) * TICK_US


def run_wrk(port, target, connections, seconds, pid):
    url = f'http://127.0.0.1:{port}/{target}'
    command = ['wrk', '-t1', f'-c{connections}', f'-d{seconds}s', '-s', SCRIPT, url]
    before, own_before = busy_us(), process_us(pid)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu, own_cpu = busy_us() - before, process_us(pid) - own_before
    result = json.loads(output.splitlines()[-1])
    requests = max(1, result['requests'])
    return Run(rate=result['requests'] / result['duration_us'] * 1e6, cpu=cpu / requests,
               own_cpu=own_cpu / requests, p50=result['p50_us'], p99=result['p99_us'],
               errors=result['errors'])


def median(runs):
    return Run(**{f.name: sum(r.errors for r in runs) if f.name == 'errors'
                  else statistics.median(getattr(r, f.name) for r in runs) for f in dataclasses.fields(Run)})
