# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: run.py TOP CHECK

Runs one check over the tree at TOP, after it has judged its own samples rightly. `run.py --list` names all.
"""
import sys

import check_c  # noqa: F401
import check_includes  # noqa: F401
import check_text  # noqa: F401
import check_tree  # noqa: F401
from checklib import CHECKS, sample, tree_files


def broken_samples(check):
    for finding in check.find(sample(check.good)):
        yield f'the good sample: {finding}'
    for tree in check.bad:
        findings = list(check.find(sample(tree)))
        if len(findings) != 1:
            yield f'the bad sample {tree}: expected one finding, not {[str(f) for f in findings]}'


def main(top, name):
    check = CHECKS[name]
    broken = list(broken_samples(check))
    for text in broken:
        print(f'check {name} misjudges {text}')
    findings = list(check.find(tree_files(top)))
    for finding in findings:
        print(finding)
    return bool(broken or findings)


if __name__ == '__main__':
    if sys.argv[1:] == ['--list']:
        print('\n'.join(CHECKS))
    else:
        sys.exit(main(*sys.argv[1:]))
