# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom: the table of docs/architecture.md, "Folders, and what may include what"."""
import posixpath
import re

from checklib import Finding, check

PURE = ('src/abi', 'src/engine')
MODEL = (*PURE, 'src/basic', 'src/policy')

FOLDERS = {
    'src/abi': ('src/abi',),
    'src/engine': PURE,
    'src/basic': ('src/basic',),
    'src/policy': MODEL,
    'src/daemon': (*MODEL, 'src/daemon'),
    'src/relay': (*PURE, 'src/basic', 'src/relay'),
    'src/ctl': (*MODEL, 'src/ctl'),
    'bpf': (*PURE, 'bpf'),
}

# Headers that are not libc's or the kernel's, and who may see them.
LIBRARIES = {
    r'systemd/': ('src/daemon', 'src/relay', 'src/ctl'),
    r'bpf/': ('bpf',),
    r'(yaml\.h)': ('src/policy',),
    r'(pcre2\.h)': ('src/basic', 'src/relay'),
    r'(ares\w*\.h)': ('src/daemon',),
    r'(seccomp\.h)': ('src/relay',),
}
LIBBPF_FILES = r'src/daemon/(test-)?daemon-bpf[\w-]*\.[ch]$'

# The one place where the engine meets the kernel.
ENGINE_DOOR = 'src/engine/engine-access.h'

SYSTEM = {'src/abi': r'linux/types\.h$', 'src/engine': r'(linux/types|stdbool|stddef)\.h$'}


def includes(file):
    for number, line in enumerate(file.lines, 1):
        match = re.match(r'#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match[1] == '<', match[2]


def may_use_library(file, header):
    for pattern, folders in LIBRARIES.items():
        if re.match(pattern, header):
            return file.folder in folders or (pattern == r'bpf/' and re.match(LIBBPF_FILES, file.path))
    return file.is_test or re.match(SYSTEM.get(file.folder, ''), header)


def own_folder(file, header):
    """The folder that "header" is in, seen from the file."""
    return posixpath.dirname(posixpath.normpath(posixpath.join(posixpath.dirname(file.path), header)))


@check('include-rules',
       good={'src/engine/e.h': '#include <linux/types.h>\n#include "../abi/abi-x.h"\n',
             'src/daemon/daemon-bpf-x.c': '#include <bpf/libbpf.h>\n#include "daemon-bpf.h"\n',
             'src/policy/p.c': '#include <yaml.h>\n#include "../engine/engine-x.h"\n',
             'src/daemon/test-daemon-x.c': '#include <cmocka.h>\n#include "daemon-x.h"\n'},
       bad=[{'src/relay/r.c': '#include "../policy/policy.h"\n'},
            {'src/relay/r.c': '#include <bpf/bpf.h>\n'},
            {'src/daemon/daemon-main.c': '#include <bpf/libbpf.h>\n'},
            {'src/engine/e.h': '#include <stdio.h>\n'},
            {'src/policy/p.c': '#include <systemd/sd-bus.h>\n'},
            {'src/basic/b.c': '#include "../abi/abi-x.h"\n'},
            {'src/abi/a.h': '#include <linux/bpf.h>\n'},
            {'bpf/x.bpf.c': '#include "../src/policy/policy.h"\n'}])
def include_rules(files):
    for file in files:
        if not file.is_c or file.folder not in FOLDERS or file.path == ENGINE_DOOR:
            continue
        allowed = {*FOLDERS[file.folder], 'src/basic'} if file.is_test else FOLDERS[file.folder]
        for number, system, header in includes(file):
            if system:
                if not may_use_library(file, header):
                    yield Finding(file.path, number, f'{file.folder} may not use <{header}>')
            elif own_folder(file, header) in FOLDERS.keys() - set(allowed):
                yield Finding(file.path, number, f'{file.folder} may not use {own_folder(file, header)}')


def group_of(system, header):
    if not system:
        return 2
    return 1 if any(re.match(p, header) for p in LIBRARIES) or header == 'cmocka.h' else 0


@check('include-order',
       good={'src/a/a.c': '#include <errno.h>\n#include <unistd.h>\n\n#include <systemd/sd-bus.h>\n\n'
                          '#include "../basic/log.h"\n#include "a.h"\n',
             'src/a/test-a.c': '#include <stdarg.h>\n#include <setjmp.h>\n#include <cmocka.h>\n'},
       bad=[{'src/a/a.c': '#include <unistd.h>\n#include <errno.h>\n'},
            {'src/a/a.c': '#include "a.h"\n#include <errno.h>\n'},
            {'src/a/a.c': '#include <systemd/sd-bus.h>\n#include <errno.h>\n'}])
def include_order(files):
    for file in files:
        # cmocka.h wants certain headers before it; kernel headers depend on what stands above them.
        if not file.is_c or file.folder == 'bpf' or file.is_test:
            continue
        previous = None
        for number, system, header in includes(file):
            key = (group_of(system, header), header)
            if previous and key < previous and file.lines[number - 2].startswith('#'):
                yield Finding(file.path, number, f'"{header}" belongs above "{previous[1]}"')
            elif previous and key[0] < previous[0]:
                yield Finding(file.path, number, f'"{header}" belongs to a group above')
            previous = key
