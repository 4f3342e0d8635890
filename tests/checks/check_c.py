# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of C text: sizes, and habits that a compiler does not enforce."""
import pathlib
import re

from checklib import Finding, check, code_of, find_lines, functions_of

FUNCTION_AIM, FUNCTION_MOST = 60, 100
FILE_AIM = {'.c': 500, '.h': 150}
FILE_MOST = {'.c': 900, '.h': 300}
ENGINE_AIM = 300  # its headers are its code


def read_exceptions():
    """{'path' or 'path:function'}, from lines "PATH[:FUNCTION] REASON"."""
    entries = set()
    for line in pathlib.Path(__file__).with_name('exceptions.txt').read_text(encoding='utf-8').splitlines():
        if line and not line.startswith('#'):
            what, _, reason = line.partition(' ')
            if len(reason.split()) < 3:
                raise SystemExit(f'exceptions.txt: "{line}": expected PATH[:FUNCTION] and a reason')
            entries.add(what)
    return entries


EXCEPTIONS = read_exceptions()


def function(lines):
    return 'static int f(int a,\n             int b) {\n' + '        a++; /* { */\n' * lines + '}\n'


@check('function-length',
       good={'src/a/a.c': function(60) + 'static const int t[] = {\n' + '        1,\n' * 200 + '};\n',
             'src/a/b.c': 'struct x {\n' + '        int a;\n' * 80 + '};\n' + function(1)},
       bad=[{'src/a/a.c': function(61)}, {'src/a/a.c': '#define X do {\n' + function(101)}])
def function_length(files):
    for file in files:
        if not file.is_c:
            continue
        for f in functions_of(file):
            if f.length > FUNCTION_MOST:
                yield Finding(file.path, f.line,
                              f'{f.name}() has {f.length} lines; {FUNCTION_MOST} is the end')
            elif f.length > FUNCTION_AIM and f'{file.path}:{f.name}' not in EXCEPTIONS:
                yield Finding(file.path, f.line,
                              f'{f.name}() has {f.length} lines, {FUNCTION_AIM} are allowed; '
                              'split it, or say in tests/checks/exceptions.txt why not')


@check('file-length',
       good={'a.c': 'x;\n' * 500, 'a.h': 'x;\n' * 150, 'test-a.c': 'x;\n' * 700, 'a.md': 'x\n' * 2000},
       bad=[{'a.c': 'x;\n' * 501}, {'a.h': 'x;\n' * 151}, {'a.c': 'x;\n' * 901}, {'test-a.c': 'x;\n' * 901}])
def file_length(files):
    for file in files:
        if not file.is_c or file.is_table:
            continue
        kind, lines = file.path[-2:], len(file.lines)
        aim = ENGINE_AIM if file.folder == 'src/engine' else FILE_AIM[kind]
        if lines > FILE_MOST[kind]:
            yield Finding(file.path, 0, f'{lines} lines; {FILE_MOST[kind]} is the end')
        elif lines > aim and not file.is_test and file.path not in EXCEPTIONS:
            yield Finding(file.path, 0, f'{lines} lines, {aim} are allowed; split it, or say in '
                          'tests/checks/exceptions.txt why not')


@check('pragma-once',
       good={'src/a/a.h': '/* x */\n#pragma once\n\nint f(void);\n', 'src/a/a.c': 'int a;\n'},
       bad=[{'src/a/a.h': 'int f(void);\n'}, {'src/a/a.h': '#ifndef A_H\n#define A_H\n#endif\n'}])
def pragma_once(files):
    for file in files:
        if file.path.endswith('.h') and not file.is_table and not re.search(r'^#pragma once$', file.text,
                                                                            re.MULTILINE):
            yield Finding(file.path, 1, 'a header without #pragma once')


@check('no-descriptor',
       good={'src/a/a.c': '_cleanup_close_ int fd = -EBADF;\nif (fd == -1)\n        r = -1;\n'},
       bad=[{'src/a/a.c': 'int fd = -1;\n'}, {'src/a/a.c': 's->event_fd = -1;\n'},
            {'src/a/a.c': '        _cleanup_close_ int fd;\n'}])
def no_descriptor(files):
    for file in files:
        if not file.is_c or file.folder == 'bpf':
            continue
        code = code_of(file)
        yield from find_lines(file, r'\b\w*fd\w*(\[\w+\])?\s*=\s*-1\b', 'no descriptor is -EBADF', code)
        yield from find_lines(file, r'_cleanup_close_\s+int\s+(\w+\s*[,;]|.*,\s*\w+\s*[,;])',
                              'a descriptor that is closed on every return must start as -EBADF', code)


@check('log',
       good={'src/a/a.c': 'log_error("x");\n/* not perror() */\n', 'src/ctl/c.c': 'fprintf(stderr, "x");\n',
             'src/basic/log.c': 'write(STDERR_FILENO, l, n);\n',
             'src/a/test-a.c': 'fprintf(stderr, "x");\n'},
       bad=[{'src/a/a.c': 'fprintf(stderr, "x");\n'}, {'src/a/a.c': '        perror("x");\n'},
            {'src/a/a.c': 'dprintf(STDERR_FILENO, "x");\n'}])
def log(files):
    for file in files:
        if file.is_c and not file.is_test and file.folder != 'src/ctl' and file.path != 'src/basic/log.c':
            yield from find_lines(file, r'\bstderr\b|\bSTDERR_FILENO\b|\bperror\s*\(|\b(sys|vsys)log\s*\(',
                                  'messages go through src/basic/log.h', code_of(file))


@check('pure-folders-do-not-log',
       good={'src/daemon/a.c': 'log_error("x");\n', 'src/policy/a.c': '/* log_error() */\n'},
       bad=[{'src/policy/a.c': 'log_error("x");\n'}, {'src/engine/a.h': 'log_debug_errno(r, "x");\n'}])
def pure_folders_do_not_log(files):
    for file in files:
        if file.is_c and file.folder in ('src/policy', 'src/engine') and not file.is_test:
            yield from find_lines(file, r'\blog_\w+\s*\(', 'this folder returns errors, it does not log',
                                  code_of(file))


@check('comments',
       good={'src/a/a.c': '/* fine */\nconst char *u = "http://x";\n'},
       bad=[{'src/a/a.c': 'int a; // not\n'}])
def comments(files):
    for file in files:
        if not file.is_c:
            continue
        # Comments of the one kind and strings are blanked out; what then still has two slashes is the other.
        text = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', lambda m: re.sub(r'[^\n]', ' ', m[0]), file.text,
                      flags=re.DOTALL)
        yield from find_lines(file, r'//', 'comments are written /* */', text)
