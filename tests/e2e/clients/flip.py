# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: flip.py HOST PORT CONNECTIONS STOP [TARGET...]

One request after the other on each connection, until the file STOP exists; the connections take turns at the
targets. Prints {"runs": [[[server, first, last, n], ...] of each connection], "failed": [text, ...]}: `n`
answers of one server in a row, the first and last of which were asked for at these times of CLOCK_MONOTONIC.
"""
import asyncio
import json
import os
import sys
import time

PAUSE = 0.002  # the load is bounded


async def ask(reader, writer, host, target):
    writer.write(f'GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
    head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(':') for line in head[1:-2])}
    await reader.readexactly(int(fields.get('content-length', 0)))
    if head[0].split()[1] != '200':
        raise ValueError(f'{target}: {head[0]} {fields.get("x-slicemesh")}')
    return fields['x-server']


async def go_on(host, port, stop, target, failed):
    runs = []
    reader, writer = await asyncio.open_connection(host, port)
    while not os.path.exists(stop):
        now = time.monotonic()
        try:
            server = await asyncio.wait_for(ask(reader, writer, host, target), 20)
        except (OSError, EOFError, ValueError, KeyError, asyncio.TimeoutError) as e:
            failed.append(repr(e))
            break
        if not runs or runs[-1][0] != server:
            runs.append([server, now, now, 0])
        runs[-1][2] = now
        runs[-1][3] += 1
        await asyncio.sleep(PAUSE)
    writer.close()
    return runs


async def main(host, port, connections, stop, *targets):
    failed = []
    targets = targets or ('/echo?x',)
    runs = await asyncio.gather(*(go_on(host, port, stop, targets[i % len(targets)], failed)
                                  for i in range(int(connections))))
    print(json.dumps({'runs': runs, 'failed': failed}))


asyncio.run(main(*sys.argv[1:]))
