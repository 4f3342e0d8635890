# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the style checks have in common: the tree's files, C without comments, the registry of checks."""
import dataclasses
import pathlib
import re
import shutil
import subprocess

CHECKS = {}


@dataclasses.dataclass(frozen=True)
class File:
    path: str  # from the top of the tree, with slashes
    text: str

    @property
    def lines(self):
        return self.text.splitlines()

    @property
    def folder(self):
        """'src/relay', 'bpf', 'docs', ...; '' for files at the top."""
        parts = self.path.split('/')[:-1]
        return '/'.join(parts[:2] if parts[:1] == ['src'] else parts[:1])

    @property
    def name(self):
        return self.path.rsplit('/', 1)[-1]

    @property
    def is_c(self):
        return self.path.endswith(('.c', '.h'))

    @property
    def is_test(self):
        return self.name.startswith(('test-', 'fuzz-')) or self.path.startswith('tests/')

    @property
    def is_table(self):
        """Only rows, to be included where an array or enum is built of them."""
        return self.name.endswith('-cases.h')

    @property
    def interpreter(self):
        """'python3', 'bash', 'sh', ... of a script, by its first line or its name; else ''."""
        if self.path.endswith('.py'):
            return 'python3'
        if self.path.endswith('.sh') and not self.text.startswith('#!'):
            return 'sh'
        first = re.match(r'#! *(?:/usr/bin/env +)?(?:\S*/)?(\S+)', self.text)
        return first[1] if first else ''


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int  # 0: the file as a whole
    message: str

    def __str__(self):
        return f'{self.path}:{self.line}: {self.message}' if self.line else f'{self.path}: {self.message}'


@dataclasses.dataclass(frozen=True)
class Check:
    """find(files) yields findings. good and bad are trees, {path: text}: the check must find nothing in
    `good` and exactly one thing in each of `bad`, otherwise it is the check that is broken."""
    name: str
    find: object
    good: dict
    bad: list


def check(name, *, good, bad):
    def register(function):
        CHECKS[name] = Check(name, function, good, bad)
        return function
    return register


def sample(tree):
    return [File(path, text) for path, text in tree.items()]


def list_files(top):
    command = ['git', '-c', 'safe.directory=*', '-C', top, 'ls-files', '-z', '--cached', '--others',
               '--exclude-standard']
    if (top / '.git').exists() and shutil.which('git'):
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return set(filter(None, listed.split('\0')))
    # An unpacked archive: all but what building and testing leave there.
    paths = (path.relative_to(top) for path in top.rglob('*'))
    return {str(path) for path in paths if not re.match(r'build|\.|.*__pycache__', str(path))}


def tree_files(top):
    """Every text file that is in git or would be added to it."""
    files = []
    for path in sorted(list_files(pathlib.Path(top))):
        full = pathlib.Path(top, path)
        if not full.is_file() or path.startswith('tests/fuzz/'):
            continue  # deleted but not committed; corpora are not text
        try:
            files.append(File(path, full.read_bytes().decode()))
        except UnicodeDecodeError:
            pass
    return files


TOKEN = re.compile(r'''/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*\'''', re.DOTALL)


def blank(match):
    """Spaces instead of what was there, so that lines and columns stay; quotes stay too."""
    text = match[0]
    if text[0] in '"\'':
        return text[0] + ' ' * (len(text) - 2) + text[-1]
    return re.sub(r'[^\n]', ' ', text)


def code_of(file):
    """C text in which comments and the contents of strings are blank."""
    return TOKEN.sub(blank, file.text)


@dataclasses.dataclass(frozen=True)
class Function:
    name: str
    line: int
    length: int  # lines between the braces


def functions_of(file):
    """Function definitions: bodies at brace depth 0 that follow a parameter list."""
    code = re.sub(r'^[ \t]*#(?:.*\\\n)*.*$', lambda m: re.sub(r'[^\n]', ' ', m[0]), code_of(file),
                  flags=re.MULTILINE)
    depth, start, head = 0, 0, 0
    for match in re.finditer(r'[{};]', code):
        position = match.start()
        if match[0] == '{':
            if depth == 0:
                start = position
            depth += 1
        elif match[0] == '}':
            depth -= 1
            if depth == 0:
                name = re.search(r'(\w+)\s*\(', code[head:start])
                if name and code[head:start].rstrip().endswith(')') and '=' not in code[head:start]:
                    yield Function(name[1], code.count('\n', 0, start) + 1,
                                   code.count('\n', start, position) - 1)
                head = position + 1
        elif depth == 0:
            head = position + 1


def find_lines(file, pattern, message, text=None):
    for number, line in enumerate((file.text if text is None else text).split('\n'), 1):
        if re.search(pattern, line):
            yield Finding(file.path, number, message)
