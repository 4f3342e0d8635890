# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/tutorial-routing.md says what happens, line by line: each of its commands is run, in one shell and in
order, and must print what stands below it. "..." is for whatever differs from time to time."""
import re
import shlex

import pytest
from mesh import TOP, Mesh

TUTORIAL = TOP / 'docs/tutorial-routing.md'
MARK = '===next==='


def blocks():
    """[(line, kind, lines)] of the fenced ones."""
    found, kind = [], None
    for number, line in enumerate(TUTORIAL.read_text().splitlines(), 1):
        if line.startswith('```'):
            if kind is None:
                kind, start, lines = line[3:], number + 1, []
            else:
                found.append((start, kind, lines))
                kind = None
        elif kind is not None:
            lines.append(line)
    return found


def steps():
    """[(line, command, expected output)]; a block of YAML is a file to be written."""
    found = []
    for start, kind, lines in blocks():
        if kind == 'yaml':
            path = lines[0].removeprefix('# ')
            text = shlex.quote('\n'.join(lines) + '\n')
            found.append((start, f'mkdir -p $(dirname {path}); printf %s {text} >{path}', []))
            continue
        assert kind == 'console', kind
        for number, line in enumerate(lines, start):
            if line.startswith('$ '):
                found.append((number, line[2:], []))
            elif line.startswith('> '):
                found[-1] = (found[-1][0], f'{found[-1][1]}\n{line[2:]}', [])
            else:
                found[-1][2].append(line)
    return found


def is_as_told(expected, output):
    pattern = '\n'.join('(?:.*\n)*?.*' if line == '...' else
                        '.*?'.join(re.escape(part) for part in line.split('...')) for line in expected)
    return re.fullmatch(pattern, output.rstrip('\n')) is not None


@pytest.fixture(scope='module')
def outputs():
    script = ''.join(f'{command}\nstatus=$?; echo; echo {MARK}$status\n' for _, command, _ in steps())
    with Mesh({'mesh.yaml': ''}) as mesh:
        mesh.path('/run/tutorial.sh').write_text(script)
        done = mesh.run('sh', '-c', f'cd {TOP} && exec bash /run/tutorial.sh 2>&1', slice_='system.slice')
    return re.findall(rf'(?s)(.*?)\n{MARK}(\d+)\n', done)


@pytest.mark.parametrize('number', range(len(steps())), ids=lambda n: f'line-{steps()[n][0]}')
def test_step(outputs, number):
    line, command, expected = steps()[number]
    output, status = outputs[number]
    assert is_as_told(expected, output), f'line {line}: {command}\nprints:\n{output}'
    assert status == '0', f'line {line}: {command}: {status}'
