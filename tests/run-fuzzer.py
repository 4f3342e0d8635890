# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: run-fuzzer.py FUZZER CORPUS

Runs a libFuzzer program over its corpus and for a few seconds more, with the words of CORPUS.dict if there
is one; a minute with SLICEMESH_TEST_LONG=1. What it finds is only written to a temporary directory; an
input that breaks it is printed as base64, to be decoded into the corpus.
"""
import base64
import os
import pathlib
import subprocess
import sys
import tempfile

SECONDS, SECONDS_LONG = 5, 60


def main(fuzzer, corpus):
    seconds = SECONDS_LONG if os.environ.get('SLICEMESH_TEST_LONG') else SECONDS
    if not any(os.scandir(corpus)):
        print(f'{corpus} has no inputs')
        return 1
    dictionary = pathlib.Path(f'{corpus}.dict')
    with tempfile.TemporaryDirectory() as scratch:
        found = pathlib.Path(scratch, 'found')
        found.mkdir()
        status = subprocess.run([fuzzer, '-close_fd_mask=1', '-print_final_stats=1', '-timeout=10',
                                 '-rss_limit_mb=1024', f'-max_total_time={seconds}',
                                 f'-artifact_prefix={scratch}/broken-',
                                 *([f'-dict={dictionary}'] if dictionary.exists() else []), found, corpus],
                                check=False).returncode
        for path in pathlib.Path(scratch).glob('broken-*'):
            print(f'{path.name}: base64 {base64.b64encode(path.read_bytes()).decode()}')
    return status


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
