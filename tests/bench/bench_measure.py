# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of wrk, and what it cost the whole machine."""
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

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


def context_switches(pids):
    """Of all their threads."""
    total = 0
    for path in (path for pid in pids for path in pathlib.Path(f'/proc/{pid}/task').glob('*/status')):
        total += sum(int(line.split()[1]) for line in path.read_text(encoding='ascii').splitlines()
                     if 'voluntary_ctxt_switches' in line)
    return total


def wrk(url, connections, seconds):
    return ['wrk', '-t1', f'-c{connections}', f'-d{max(1, round(seconds))}s', '-s', SCRIPT, url]


def run_wrk(url, connections, seconds, pids, within=lambda command: command):
    """pids: the processes of `own_cpu`. within: makes the command line run where the client is to be."""
    before, own_before = busy_us(), sum(map(process_us, pids))
    output = subprocess.run(within(wrk(url, connections, seconds)), check=True, capture_output=True,
                            text=True).stdout
    cpu, own_cpu = busy_us() - before, sum(map(process_us, pids)) - own_before
    result = json.loads(output.splitlines()[-1])
    requests = max(1, result['requests'])
    return Run(rate=result['requests'] / result['duration_us'] * 1e6, cpu=cpu / requests,
               own_cpu=own_cpu / requests, p50=result['p50_us'], p99=result['p99_us'],
               errors=result['errors'])


def take_turns(cases, rounds, run):
    """cases: {case: [path]}; run(case, path) returns a Run. {case: {name of path: [Run]}}"""
    results = {case: {path.name: [] for path in paths} for case, paths in cases.items()}
    for number in range(rounds):
        print(f'round {number + 1} of {rounds}', file=sys.stderr)
        for case, paths in cases.items():
            # Each round begins with another path, so that none always follows the same one.
            first = number % len(paths)
            for path in paths[first:] + paths[:first]:
                results[case][path.name].append(run(case, path))
    return results


def median(runs):
    return Run(**{f.name: sum(r.errors for r in runs) if f.name == 'errors'
                  else statistics.median(getattr(r, f.name) for r in runs) for f in dataclasses.fields(Run)})
