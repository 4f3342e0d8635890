# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: late.py NAME ADDRESS PORT DOCROOT

Answers the first request of each connection, which has a body, before it has read its last byte; that it
reads when the next request has come. Its sockets are non-blocking.
"""
import asyncio
import fcntl
import re
import socket
import struct
import sys
import termios

name, address, port, _ = sys.argv[1:]
ANSWER = f'HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}'.encode()


def waiting(connection):
    return struct.unpack('i', fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]


async def read(connection, late):
    """A request, but for so many bytes; False at the end."""
    loop, data = asyncio.get_running_loop(), b''
    while not data.endswith(b'\r\n\r\n'):
        byte = await loop.sock_recv(connection, 1)
        if not byte:
            return False
        data += byte
    left = int(re.search(rb'\r\ncontent-length: *(\d+)', data, re.IGNORECASE)[1]) - late
    while left > 0:
        left -= len(await loop.sock_recv(connection, left))
    return True


async def serve(connection):
    loop = asyncio.get_running_loop()
    if await read(connection, 1):
        await loop.sock_sendall(connection, ANSWER)
        while waiting(connection) < 2:
            await asyncio.sleep(0.01)
        await loop.sock_recv(connection, 1)
        while await read(connection, 0):
            await loop.sock_sendall(connection, ANSWER)
    connection.close()


async def main():
    listener = socket.create_server((address, int(port)))
    listener.setblocking(False)
    tasks = []
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        tasks.append(asyncio.create_task(serve(connection)))


asyncio.run(main())
