# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: test_heads.py DESCRIBE-HEAD

Our head parser against Node's (llhttp, none of its leniencies on), over heads.txt and mutations of it. What
we accept Node must accept as well, and read the same in it: method, target, version, every field, where
the body ends, whether the connection persists. So what Node refuses we refuse. The exceptions are in
DIFFERENCES, with their reasons; each must be met with, or it is no exception any more.
"""
import collections
import pathlib
import random
import re
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent
MUTATIONS = 20000
BITS = [b'\r', b'\n', b'\r\n', b' ', b'\t', b'\0', b'\x0b', b'\x7f', b'\x80', b':', b';', b',', b'.', b'/',
        b'?', b'*', b'#', b'%', b'"', b'-', b'_', b'0', b'1', b'9', b'A', b'z', b': ', b', ', b'\r\n ',
        b'\r\n\r\n', b'HTTP/1.0', b'http://', b'chunked', b'close', b'keep-alive', b'upgrade',
        b'Content-Length: 5\r\n', b'Content-Length: 0\r\n', b'Transfer-Encoding: chunked\r\n',
        b'Connection: close\r\n', b'Connection: upgrade\r\n', b'Upgrade: x\r\n']

# Where we accept and Node does not, or reads something else. NAME: (reason, condition)
DIFFERENCES = {
    'extension-method': (
        'Node knows a fixed list of methods; any token is one (RFC 9110, section 9.1).',
        lambda head, ours, node: node == 'refuse HPE_INVALID_METHOD'),
    'switching-without-upgrade': (
        'Node takes a 101 without Upgrade fields for an ordinary response; it is none, whatever it lacks '
        '(RFC 9110, section 15.2.2).',
        lambda head, ours, node: head.startswith((b'HTTP/1.1 101', b'HTTP/1.0 101')) and
        ours.replace(' tunnel ', ' none ') == node),
    'length-of-response-without-body': (
        'Node waits for a body if a 1xx that it does not know has Content-Length, and Node 18 also if a 304 '
        'has; there is none (RFC 9112, section 6.3). A 1xx that we forward does not have the field.',
        lambda head, ours, node: re.match(rb'HTTP/1\.. (1|304)', head) and
        re.sub(' length=[0-9]+ ', ' none ', node) == ours),
    'keep-alive-and-close': (
        'In HTTP/1.0, Node lets keep-alive win over close; close wins (RFC 9112, section 9.3).',
        lambda head, ours, node: b'HTTP/1.0' in head and ours.replace(' close ', ' keep ') == node),
    'tab-behind-connection-option': (
        'HTAB around list elements is white space (RFC 9110, section 5.6.1); Node does not see the element.',
        lambda head, ours, node: re.search(rb'(?i)\nconnection:[^\r]*\t', head) and
        re.sub(' (keep|close) ', ' ', ours) == re.sub(' (keep|close) ', ' ', node)),
}


def read_corpus():
    """[(kind, head, expected)]"""
    corpus, expected = [], None
    for line in (FOLDER / 'heads.txt').read_text(encoding='ascii').splitlines():
        if line.startswith('= '):
            expected = line[2:]
        elif line and not line.startswith('#'):
            kind, text = line.split(' ', 1)
            corpus.append((kind, text.encode('ascii').decode('unicode_escape').encode('latin-1'), expected))
    return corpus


def mutate(chance, head):
    """One to three bytes or words changed, taken out, doubled, moved or put in."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(head))
        to = min(len(head), at + chance.choice([1, 1, 1, 2, 8]))
        head = chance.choice([
            lambda: head[:at] + chance.choice(BITS) + head[to:],
            lambda: head[:at] + chance.choice(BITS) + head[at:],
            lambda: head[:at] + head[to:],
            lambda: head[:to] + head[at:],
            lambda: head[:at] + bytes([head[at] ^ 0x20]) + head[at + 1:],
        ])() or b'\r'
    return head


def mutations(corpus):
    chance = random.Random(2112)  # the same ones every time
    for _ in range(MUTATIONS):
        kind, head, _ = chance.choice(corpus)
        yield kind, mutate(chance, head)


def describe(program, heads):
    text = ''.join(f'{kind} {head.hex()}\n' for kind, head in heads)
    run = subprocess.run(program, input=text, stdout=subprocess.PIPE, text=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == len(heads), f'{program}: {len(lines)} answers to {len(heads)} heads'
    return lines


def main(describe_head):
    node = shutil.which('node')
    if not node:
        print('skipped: no node here to compare with')
        return 77

    corpus = read_corpus()
    heads = [(kind, head) for kind, head, _ in corpus] + list(mutations(corpus))
    ours = describe([describe_head], heads)
    failed = 0
    for (kind, head, expected), line in zip(corpus, ours):
        if line.split()[0] != expected:
            print(f'expected to {expected}: {kind} {head}\n  ours: {line}')
            failed += 1

    accepted = [(kind, head[:int(line.split()[1])], line) for (kind, head), line in zip(heads, ours)
                if line.startswith('accept')]
    theirs = describe([node, '--expose-internals', FOLDER / 'node-heads.js'],
                      [(kind, head) for kind, head, _ in accepted])
    met = collections.Counter()
    for (kind, head, line), other in zip(accepted, theirs):
        if line == other:
            continue
        name = next((name for name, (_, applies) in DIFFERENCES.items() if applies(head, line, other)), None)
        met[name] += 1
        if name is None:
            print(f'differs: {kind} {head}\n  ours: {line}\n  node: {other}')
    for name, (reason, _) in DIFFERENCES.items():
        print(f'{met[name]:6} {name}: {reason}')
        if met[name] == 0:
            print(f'{name} was not met with')
            failed += 1
    print(f'{len(heads)} heads, {len(accepted)} accepted, {met[None]} read differently for no reason')
    failed += met[None]
    if len(accepted) < MUTATIONS // 20:
        print('too few heads were accepted for this to mean anything')
        failed += 1
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
