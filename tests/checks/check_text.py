# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of any text: licence line, line width, white space."""
from checklib import Finding, check, find_lines

COLUMNS = 109

GPL, LGPL = 'GPL-2.0-only', 'LGPL-2.1-or-later'


def is_code(file):
    return bool(file.is_c or file.interpreter or file.name == 'meson.build' or
                file.path.endswith(('.js', '.go', '.java', '.service', '.socket')))


@check('spdx',
       good={'src/a/a.c': f'/* SPDX-License-Identifier: {LGPL} */\n',
             'bpf/b.c': f'/* SPDX-License-Identifier: {GPL} */\n',
             'tools/t': f'#!/bin/sh\n# SPDX-License-Identifier: {LGPL}\n', 'docs/x.md': 'text\n'},
       bad=[{'src/a/a.c': 'int a;\n'}, {'bpf/b.c': f'/* SPDX-License-Identifier: {LGPL} */\n'},
            {'src/a/a.h': f'\n/* SPDX-License-Identifier: {LGPL} */\n'}, {'tools/t': '#!/bin/sh\ntrue\n'}])
def spdx(files):
    for file in filter(is_code, files):
        licence = GPL if file.folder == 'bpf' else LGPL
        number = 1 if file.text.startswith('#!') else 0
        line = file.lines[number] if len(file.lines) > number else ''
        if line.strip('/*#;- ') != f'SPDX-License-Identifier: {licence}':
            yield Finding(file.path, number + 1,
                          f'expected the line "SPDX-License-Identifier: {licence}" here')


def is_table_row(file, line):
    """Rows of tables are as long as they must be."""
    return file.is_c and line.lstrip().startswith(('X(', '{', '['))


@check('width',
       good={'a.c': 'x' * 109 + '\n', 'b.h': '        X(' + 'y' * 200 + ')\n', 'c.md': 'z' * 150 + '\n'},
       bad=[{'a.c': 'x' * 110 + '\n'}, {'a.py': 'x' * 110 + '\n'}])
def width(files):
    for file in files:
        if not is_code(file):
            continue
        for number, line in enumerate(file.lines, 1):
            if len(line) > COLUMNS and not is_table_row(file, line):
                yield Finding(file.path, number, f'{len(line)} columns, {COLUMNS} are allowed')


@check('whitespace',
       good={'a.c': 'int a;\n\n        int b;\n', 'Makefile': '\ttrue\n', 'po/x.po': 'a\n'},
       bad=[{'a.c': 'int a; \n'}, {'a.md': 'text'}, {'a.h': '\tint a;\n'}, {'a.yaml': 'a: 1\r\n'},
            {'a.c': 'a;\n\n'}])
def whitespace(files):
    for file in files:
        if not file.text:
            continue
        yield from find_lines(file, r'[ \t\r]$', 'white space at the end of the line')
        if file.is_c or file.interpreter:
            yield from find_lines(file, r'^ *\t', 'a tab; indent by spaces')
        if not file.text.endswith('\n'):
            yield Finding(file.path, len(file.lines), 'the last line has no end')
        elif file.text.endswith('\n\n'):
            yield Finding(file.path, len(file.lines), 'an empty line at the end')
