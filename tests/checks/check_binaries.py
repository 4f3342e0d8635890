# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the built programs are linked against: the least that docs/architecture.md promises."""
import pathlib
import re
import subprocess
import sys

FORBIDDEN = {
    'src/relay/slicemesh-relay': ('libbpf', 'libyaml', 'libcares', 'libelf'),
    'src/ctl/slicemeshctl': ('libbpf', 'libcares', 'libelf', 'libseccomp'),
    'src/daemon/slicemeshd': ('libseccomp',),
}


def needed(binary):
    text = subprocess.run(['readelf', '--dynamic', binary], check=True, capture_output=True,
                          text=True).stdout
    return re.findall(r'\(NEEDED\).*\[(.*)\]', text)


def main(build):
    # A sample of the reader itself: the interpreter is linked against libc, so that must be seen.
    assert any(n.startswith('libc.so') for n in needed(sys.executable)), 'cannot read dynamic sections'
    failed = False
    for path, forbidden in FORBIDDEN.items():
        libraries = needed(pathlib.Path(build, path))
        for library in libraries:
            if library.startswith(forbidden):
                print(f'{path} is linked against {library}')
                failed = True
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
