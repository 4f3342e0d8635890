# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: routed.py ADDRESS PORT CONNECTIONS STOP LOG TARGET=SUBSET[,SUBSET...]...

Sends requests over so many kept connections at once until the file STOP is there, and looks whether each
is answered by one of the subsets that its target is for, with an answer that is its own. Prints in JSON how
many were, and what was wrong, up to ten of it. LOG: [when it was sent, when answered, by whom], of each.
"""
import asyncio
import collections
import json
import os
import re
import sys
import time

address, port, connections, stop, log, *targets = sys.argv[1:]
targets = [(target, subsets.split(',')) for target, _, subsets in (item.rpartition('=') for item in targets)]
result = collections.Counter()
wrong = []
times = []


async def ask(reader, writer, target, nonce):
    """(subset, whether the answer is this request's)"""
    writer.write(f'GET {target} HTTP/1.1\r\nHost: routing.example\r\nX-Case: {nonce}\r\n\r\n'.encode())
    head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
    body = await reader.readexactly(int(re.search(r'\r\nContent-Length: (\d+)\r\n', head)[1]))
    subset = re.search(r'\r\nX-Subset: (\S+)\r\n', head)
    return subset and subset[1], f'X-Case: {nonce}\r\n'.encode() in body


async def connection(number):
    reader, writer = await asyncio.open_connection(address, int(port))
    turn = number
    while not os.path.exists(stop):
        turn += 1
        target, subsets = targets[turn % len(targets)]
        start = time.monotonic()
        subset, own = await asyncio.wait_for(ask(reader, writer, target, f'{number}/{turn}'), 20)
        times.append((start, time.monotonic(), subset))
        result[subset] += 1
        if subset not in subsets or not own:
            wrong.append((target, subset, own))
    writer.close()


async def main():
    ends = await asyncio.gather(*(connection(n) for n in range(int(connections))), return_exceptions=True)
    failed = [repr(e) for e in ends if e is not None]
    with open(log, 'w', encoding='ascii') as file:
        json.dump(times, file)
    print(json.dumps({'answers': result, 'failed': failed[:10], 'wrong': wrong[:10]}))

asyncio.run(main())
