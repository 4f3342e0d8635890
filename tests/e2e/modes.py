# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the fast path is set while a test runs: SLICEMESH_E2E_PATH says so, and nobody may notice.

  on      as installed
  off     from the start of each slicemeshd on
  random  switched to and fro all the time, see switch.py

Both are units in the container, so that they hold whenever a test starts slicemeshd anew.
"""
import collections
import os
import pathlib

MODE = os.environ.get('SLICEMESH_E2E_PATH', 'on')
assert MODE in ('on', 'off', 'random'), MODE

SWITCH = pathlib.Path(__file__).with_name('switch.py')
SET = ('busctl set-property io.slicemesh.Mesh1 /io/slicemesh/Mesh1 io.slicemesh.Mesh1.Manager '
       'FastPath b')


def unit_file(name, *lines):
    """A command that writes a unit or drop-in into what is going to be the container."""
    text = '\n'.join([*lines, ''])
    path = f'"$DESTDIR/etc/systemd/system/{name}"'
    return f"mkdir -p $(dirname {path}); cat >{path} <<'EOF'\n{text}EOF\n"


def drop_in(unit, name, *lines):
    return unit_file(f'{unit}.d/{name}.conf', *lines)


def prepare(mode=MODE):
    """Commands for MeshHost."""
    if mode == 'off':
        return [drop_in('slicemeshd.service', '60-path', '[Service]', f'ExecStartPost=+{SET} false')]
    if mode == 'random':
        return [drop_in('slicemeshd.service', '60-path', '[Unit]', 'Wants=switch.service'),
                unit_file('switch.service', '[Unit]', 'BindsTo=slicemeshd.service',
                          'After=slicemeshd.service', '[Service]',
                          f'ExecStart=/usr/bin/python3 -B {SWITCH}')]
    return []


def prove(mesh):
    """At the end of a module: that what ran did run in this mode."""
    paths = collections.Counter()
    for name, *_ in mesh.services():
        paths += mesh.paths(name)
    fast = paths['fast'] + paths['remote']
    print(f'mode {MODE}: {dict(paths)}')
    if MODE == 'on':
        assert not paths['off'], paths
    elif MODE == 'off':
        assert not fast, paths
    else:
        assert mesh.unit('switch.service', 'ActiveState') == 'active'
        assert paths.total() < 1000 or (fast and paths['off']), paths
