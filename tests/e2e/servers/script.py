# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: script.py NAME ADDRESS PORT LOG

Answers as corpus.py says, in just these sends, and writes down what it was sent: a line of LOG for each
request, in JSON: [target, length, SHA-256, start]. Its sockets are non-blocking.
"""
import asyncio
import hashlib
import json
import pathlib
import re
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import corpus  # noqa: E402

name, address, port, log = sys.argv[1:]
log_file = open(log, 'a', encoding='ascii', buffering=1)  # noqa: SIM115


async def read_request(reader, writer):
    """Its bytes as they came, or None at the end."""
    try:
        head = data = await reader.readuntil(b'\r\n\r\n')
    except asyncio.IncompleteReadError:
        return None
    if re.search(rb'\r\nexpect:', head, re.IGNORECASE):
        writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
    if length := re.search(rb'\r\ncontent-length: *(\d+)', head, re.IGNORECASE):
        data += await reader.readexactly(int(length[1]))
    elif re.search(rb'\r\ntransfer-encoding: *chunked', head, re.IGNORECASE):
        size = 1
        while size:
            line = await reader.readuntil(b'\r\n')
            size = int(line, 16)
            data += line + await reader.readexactly(size + 2)
    return data


def write_down(data):
    target = data.split(b' ', 2)[1].decode()
    log_file.write(json.dumps([target, len(data), hashlib.sha256(data).hexdigest(),
                               data[:300].decode('latin-1')]) + '\n')
    return re.sub(r'^http://[^/]*', '', target)


async def play(steps, writer):
    for step in steps:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif step == corpus.RESET:
            writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                       struct.pack('ii', 1, 0))
            writer.transport.abort()
        elif step == corpus.CLOSE:
            writer.close()
        else:
            await asyncio.sleep(step)


async def serve(reader, writer):
    try:
        while not writer.is_closing() and (data := await read_request(reader, writer)):
            await play(corpus.ANSWERS[write_down(data).split('/')[1]], writer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # a peer that went away
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, address, int(port), backlog=1024, limit=1 << 20)
    await server.serve_forever()

asyncio.run(main())
