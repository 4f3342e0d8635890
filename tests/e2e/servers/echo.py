# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: echo.py LOG NAME=ADDRESS:PORT...

Answers each request with its own bytes, as they came, and says under which name they came. Writes them
down as well: a line of LOG for each request, in JSON: [name, bytes]. Sockets are non-blocking; an answer is
one send.
"""
import asyncio
import json
import re
import sys

log, *names = sys.argv[1:]
log_file = open(log, 'a', encoding='ascii', buffering=1)  # noqa: SIM115

FIELDS = 'Content-Type: message/http\r\nX-Old: one\r\nX-Kept: k\r\nX-Old: two\r\n'


async def read_request(reader, writer):
    """(head, body) as they came, or None at the end."""
    try:
        head = await reader.readuntil(b'\r\n\r\n')
    except asyncio.IncompleteReadError:
        return None
    body = b''
    if re.search(rb'\r\nexpect:', head, re.IGNORECASE):
        writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
    if length := re.search(rb'\r\ncontent-length: *(\d+)', head, re.IGNORECASE):
        body = await reader.readexactly(int(length[1]))
    elif re.search(rb'\r\ntransfer-encoding: *chunked', head, re.IGNORECASE):
        size = 1
        while size:
            line = await reader.readuntil(b'\r\n')
            size = int(line, 16)
            body += line + await reader.readexactly(size + 2)
    return head, body


def answer(name, head, body):
    data = head + body
    bodiless = head.startswith(b'HEAD ')
    start = f'HTTP/1.1 200 OK\r\nX-Subset: {name}\r\n{FIELDS}Content-Length: {len(data)}\r\n\r\n'
    return start.encode() + (b'' if bodiless else data)


async def main():
    servers = []
    for item in names:
        name, _, where = item.partition('=')
        address, _, port = where.rpartition(':')

        async def serve(reader, writer, name=name):
            try:
                while message := await read_request(reader, writer):
                    log_file.write(json.dumps([name, b''.join(message).decode('latin-1')]) + '\n')
                    writer.write(answer(name, *message))
                    await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # a peer that went away
            finally:
                writer.close()
        servers.append(await asyncio.start_server(serve, address, int(port), backlog=1024, limit=1 << 20))
    await asyncio.gather(*(server.serve_forever() for server in servers))

asyncio.run(main())
