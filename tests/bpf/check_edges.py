#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: check_edges.py OBJECT...

Loops of a BPF object that Linux 6.1 refuses ("back-edge from insn"): its check_cfg() lets a jump lead back,
but not an instruction that falls through into one of those on the way to it. Whether clang turns a loop
like that depends on what is around it; with this it is seen without that kernel."""
import struct
import sys

JUMP, JUMP32, CALL, EXIT, JA = 0x05, 0x06, 0x80, 0x90, 0x00
WIDE = 0x18  # of two slots


def sections(path):
    """(name, type, offset, size, link, info) of each."""
    data = path.read_bytes() if hasattr(path, 'read_bytes') else open(path, 'rb').read()
    start, size, n, names = struct.unpack_from('<Q', data, 40)[0], *struct.unpack_from('<HHH', data, 58)
    rows = [struct.unpack_from('<IIQQQQIIQQ', data, start + i * size) for i in range(n)]
    text = data[rows[names][4]:]
    return data, [(text[r[0]:text.index(b'\0', r[0])].decode(), r[1], r[4], r[5], r[6]) for r in rows]


def functions(path):
    """name: its instructions, as (code, offset)."""
    data, rows = sections(path)
    symbols = next(r for r in rows if r[1] == 2)
    names = rows[symbols[4]][2]
    found = {}
    for at in range(symbols[2], symbols[2] + symbols[3], 24):
        name, info, _, index, value, size = struct.unpack_from('<IBBHQQ', data, at)
        if info & 15 == 2 and size > 0:
            text = data[names + name:data.index(b'\0', names + name)].decode()
            code = data[rows[index][2] + value:][:size]
            found[text] = [(op, jump) for op, _, jump, _ in struct.iter_unpack('<BBhi', code)]
    return found


def successors(insns, i):
    """In the order of check_cfg(): (where, whether it may lead back)."""
    op, jump = insns[i]
    kind, what = op & 7, op & 0xf0
    if kind not in (JUMP, JUMP32) or what == CALL:
        return [(i + (2 if op == WIDE else 1), False)]
    if what == EXIT:
        return []
    if what == JA:
        return [(i + 1 + jump, True)]
    return [(i + 1, True), (i + 1 + jump, True)]


def back_edges(insns):
    """A depth-first walk; on the way are those that are not done."""
    state, stack, found = {0: 'on the way'}, [(0, iter(successors(insns, 0)))], []
    while stack:
        at, left = stack[-1]
        for to, may_loop in left:
            if to not in state:
                state[to] = 'on the way'
                stack.append((to, iter(successors(insns, to))))
                break
            if state[to] == 'on the way' and not may_loop:
                found.append((at, to))
        else:
            state[at] = 'done'
            stack.pop()
    return found


def main():
    n = 0
    for path in sys.argv[1:]:
        for name, insns in functions(path).items():
            for at, to in back_edges(insns):
                n += 1
                print(f'{path}: {name}: instruction {at} falls through to {to}, which leads to it: have the '
                      'loop unrolled')
    return n > 0


if __name__ == '__main__':
    sys.exit(main())
