# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: tools/test [--ring NAME]... [--long]

Builds everything and runs the tests, or only the named rings of them:

  unit   each file on its own; also with the address and undefined sanitizers
  style  the rules of docs/style.md and docs/architecture.md
  model  the protocol of the fast path, by spin
  fuzz   each fuzzer over its corpus and a few seconds more
  bpf    the BPF programs on real sockets (root)
  relay  the relay alone, between real sockets (root); also with the sanitizers
  e2e    everything together in a sandbox, with real clients and servers (root)
  vm     bpf, and what e2e has on the fast path, on other kernels in virtual machines
         (root); takes an hour or two where these are emulated, so only with --long or
         if it is named

A test or ring that cannot run here is skipped, and the end of the output says which
and why. With CI=true in the environment a skip is a failure.

  --long  fuzz for a minute each, more rounds of what depends on chance, and all of e2e
          with the fast path off, and switching at random; and vm
"""
import argparse
import dataclasses
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
RINGS = ('unit', 'style', 'model', 'fuzz', 'bpf', 'relay', 'e2e')
LONG_RINGS = (*RINGS, 'vm')
LISTED = 40  # failures that are named at the end
NEED_ROOT = ('bpf', 'relay', 'e2e', 'vm')


@dataclasses.dataclass(frozen=True)
class Build:
    directory: str
    rings: tuple
    options: tuple = ()
    compiler: str = ''

    @property
    def path(self):
        return TOP / self.directory

    def make(self):
        environment = {**os.environ, **({'CC': self.compiler} if self.compiler else {})}
        if not (self.path / 'build.ninja').exists():
            subprocess.run(['meson', 'setup', self.path, TOP, *self.options], check=True, env=environment)
        subprocess.run(['ninja', '-C', self.path], check=True)


BUILDS = (
    Build('build', ('unit', 'style', 'model', 'bpf', 'relay', 'e2e', 'vm')),
    Build('build-asan', ('unit', 'relay'), ('-Db_sanitize=address,undefined', '-Db_lundef=false')),
    Build('build-fuzz', ('fuzz',), ('-Dfuzzing=true', '-Db_lundef=false'), 'clang'),
)


@dataclasses.dataclass
class Totals:
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)   # names
    skipped: list = dataclasses.field(default_factory=list)  # "name: reason"

    def add_log(self, label, path):
        """Counts what meson's JUnit file says; returns how many tests that was."""
        count = 0
        for suite in xml.etree.ElementTree.parse(path).getroot().iter('testsuite'):
            for case in suite.iter('testcase'):
                count += 1
                name = f'{label}: {suite.get("name")}: {case.get("name")}'
                skipped = case.find('skipped')
                if skipped is not None:
                    reason = skipped.get('message') or skipped.text or 'see its output'
                    self.skipped.append(f'{name}: {reason}')
                elif case.find('failure') is not None or case.find('error') is not None:
                    self.failed.append(name)
                else:
                    self.passed += 1
        return count


def run_ring(build, ring, totals, long):
    label = ring if build.directory == 'build' else f'{ring} in {build.directory}'
    print(f'\n== {label}', flush=True)
    log = build.path / f'meson-logs/{ring}.junit.xml'
    log.unlink(missing_ok=True)
    started = time.monotonic()
    command = ['meson', 'test', '-C', build.path, '--no-rebuild', '--suite', ring, '--logbase', ring]
    if long and ring == 'e2e':
        command += ['--suite', 'e2e-long', '--timeout-multiplier', '8']
    status = subprocess.run([*command, '--print-errorlogs'], check=False).returncode
    before = len(totals.failed)
    count = totals.add_log(label, log) if log.exists() else 0
    if count == 0:
        totals.failed.append(f'{label}: no test ran')
    elif status != 0 and len(totals.failed) == before:
        totals.failed.append(f'{label}: meson test exited with {status}')
    print(f'== {label}: {time.monotonic() - started:.0f} s', flush=True)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--ring', action='append', choices=LONG_RINGS)
    parser.add_argument('--long', action='store_true')
    parser.add_argument('--help', action='store_true')
    arguments = parser.parse_args()
    if arguments.help:
        print(__doc__, end='')
        return 0
    if arguments.long:
        os.environ['SLICEMESH_TEST_LONG'] = '1'
    wanted = arguments.ring or (LONG_RINGS if arguments.long else RINGS)

    totals = Totals()
    for build in BUILDS:
        rings = [ring for ring in build.rings if ring in wanted]
        if not rings:
            continue
        try:
            build.make()
        except subprocess.CalledProcessError as error:
            totals.failed.append(f'{build.directory} does not build: exit status {error.returncode}')
            continue
        for ring in rings:
            if ring in NEED_ROOT and os.geteuid() != 0:
                totals.skipped.append(f'{ring}: the whole ring: it needs root')
            else:
                run_ring(build, ring, totals, arguments.long)

    print()
    for text in totals.skipped:
        print(f'skipped: {text}')
    for text in totals.failed[:LISTED]:
        print(f'failed: {text}')
    if len(totals.failed) > LISTED:
        print(f'failed: and {len(totals.failed) - LISTED} more')
    print(f'{totals.passed} passed, {len(totals.failed)} failed, {len(totals.skipped)} skipped')
    strict = os.environ.get('CI', '').lower() in ('1', 'true', 'yes')
    if strict and totals.skipped and not totals.failed:
        print('CI is set, so what was skipped counts as failed.')
    return 1 if totals.failed or (strict and totals.skipped) else 0


if __name__ == '__main__':
    sys.exit(main())
