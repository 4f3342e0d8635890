# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: run-pytest.py FILE BUILD [OPTION...]

Runs one file of pytest tests and tells meson about each of them in TAP, so that a skip is seen.
"""
import contextlib
import os
import pathlib
import sys

import pytest


class Tap:
    def __init__(self, stream):
        self.stream = stream
        self.count = 0

    def line(self, ok, name, directive=''):
        self.count += 1
        print(f'{"ok" if ok else "not ok"} {self.count} {name}{directive}', file=self.stream, flush=True)

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split('::', 1)[-1].replace('#', '')
        if report.skipped:
            self.line(True, name, f' # SKIP {report.longrepr[2].removeprefix("Skipped: ")}')
        elif report.failed or report.when == 'call':
            self.line(report.passed, name)

    def pytest_collectreport(self, report):
        if report.skipped:
            self.line(True, report.nodeid, f' # SKIP {report.longrepr[2].removeprefix("Skipped: ")}')
        elif report.failed:
            self.line(False, f'collect {report.nodeid}')


def main(file, build, *options):
    os.environ['SLICEMESH_BUILD'] = build
    tap = Tap(sys.stdout)
    print('TAP version 13')
    # pytest's own report goes where meson keeps it and shows it after a failure.
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main(['-p', 'no:cacheprovider', '--rootdir', str(pathlib.Path(file).parent),
                              '--tb=short', '--durations=5', *options, file], plugins=[tap])
    print(f'1..{tap.count}')
    # TAP tells what failed; a status of its own is for what kept pytest from running.
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and tap.count else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
