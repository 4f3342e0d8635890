# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a large policy costs: runs bench-policy for several sizes and prints what it says."""
import json
import os
import pathlib
import subprocess

ROUTES = 100
SIZES = (1, 100, 1000, 10000)
SIZES_SHORT = (1, 100, 1000)
STEPS = ('load', 'compile', 'apply', 'reload')


def measure(short):
    program = pathlib.Path(os.environ['SLICEMESH_BUILD'], 'tests/bench/bench-policy')
    return [json.loads(subprocess.run([program, str(size), str(ROUTES)], check=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True).stdout)
            for size in (SIZES_SHORT if short else SIZES)]


def report(rows, write):
    write(f'services with {ROUTES} routes each; seconds on the clock/of CPUs, and ns for a request: of one\n'
          'service over and over, of each service in turn\n')
    write(f'{"services":>8}' + ''.join(f' {step:>13}' for step in STEPS)
          + f' {"peak MiB":>8} {"one":>6} {"each":>6}')
    for row in rows:
        write(f'{row["services"]:>8}'
              + ''.join(f' {row[step]["wall"]:>6.3f}/{row[step]["cpu"]:<6.3f}' for step in STEPS)
              + f' {row["peak-mib"]:>8} {row["request"]:>6.0f} {row["request-each"]:>6.0f}')
    write('\nns for a request by how many routes were passed over before its own:')
    for row in rows:
        write(f'{row["services"]:>8} ' + ', '.join(f'{n}: {ns:.0f}' for n, ns in row['passed-over'].items()))
