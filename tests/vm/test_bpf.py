# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests of the suite bpf, as meson has written them down, on the kernel that this runs on."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import kernel_log  # noqa: E402

BUILD = pathlib.Path(os.environ['SLICEMESH_BUILD'])
TESTS = {test['name']: test for test in json.loads((BUILD / 'meson-info/intro-tests.json').read_text())
         if any(suite.endswith(':bpf') for suite in test['suite'])}
SLOWER = 20  # than what their time limits are made for
SKIPPED = 77


@pytest.fixture(scope='module', autouse=True)
def no_kernel_warning():
    with kernel_log.no_warning():
        yield


def test_there_are_some():
    assert TESTS


@pytest.mark.parametrize('name', TESTS)
def test_bpf(name):
    test = TESTS[name]
    done = subprocess.run(test['cmd'], check=False, env=os.environ | test['env'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          timeout=test['timeout'] * SLOWER)
    print(done.stdout)
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0
