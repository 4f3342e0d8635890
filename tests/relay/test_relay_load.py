# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many connections, large bodies, slow peers: nothing mixed up, memory and descriptors bounded."""

import asyncio
import hashlib
import os
import socket
import threading
import time
import zlib

import pytest

from relay_lab import LONG, SANITIZED, Callers, wait_for
from relay_wire import TIMEOUT, Upstream, Wire, chunked, request, response

MIB = 1 << 20
# Shadow memory and quarantine multiply what is allocated.
MANY = 40000 if LONG else 10000
RSS_ROOM = (256 if SANITIZED else 12) * MIB


class EchoServer:
    """Many connections: answers what was sent, and the target, each in a way that depends on the request."""

    def __init__(self, service):
        self.service = service
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self.loop).result(TIMEOUT)

    async def start(self):
        for i, upstream in enumerate(self.service.upstreams):
            upstream.listener.setblocking(False)
            await asyncio.start_server(lambda r, w, i=i: self.serve(i, r, w), sock=upstream.listener.dup())

    async def serve(self, number, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1]
                fields = head.lower()
                if b"\r\ntransfer-encoding: chunked\r\n" in fields:
                    body = b""
                    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                        body += await reader.readexactly(size)
                        await reader.readexactly(2)
                    await reader.readexactly(2)
                elif b"\r\ncontent-length: " in fields:
                    length = int(fields.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0])
                    body = await reader.readexactly(length)
                else:
                    body = b""
                answer = b"%d %s %s " % (number, target, hashlib.sha256(body).hexdigest().encode())
                answer += b"." * (len(target) * 7919 % 20000)
                if zlib.crc32(target) % 2:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
                else:
                    cut = len(answer) // 2
                    # in one write: Nagle's algorithm would hold a second one back
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                 chunked(answer[:cut], answer[cut:]))
                if zlib.crc32(target) % 50 == 0:
                    await asyncio.sleep(0.01)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    async def cancel_all(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self):
        asyncio.run_coroutine_threadsafe(self.cancel_all(), self.loop).result(TIMEOUT)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200 "), head
    if b"\r\ncontent-length: " in head:
        return await reader.readexactly(int(head.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0]))
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


async def connection(callers, number, n, pipeline):
    reader, writer = await callers.connect()
    for first in range(0, n, pipeline):
        expected = []
        for i in range(first, min(n, first + pipeline)):
            nonce = f"/{number}/{i}/{os.urandom(4 + i % 40).hex()}"
            body = os.urandom(1 + i * 37 % 5000) if i % 3 else b""
            if i % 3 == 0:
                raw = request(nonce)
            elif i % 3 == 1:
                raw = request(nonce, "POST", body=body)
            else:
                raw = request(nonce, "POST", ["Transfer-Encoding: chunked"]) + chunked(body)
            expected.append(f"{nonce} {hashlib.sha256(body).hexdigest()} ".encode())
            writer.write(raw)
        for each in expected:
            answer = await read_answer(reader)
            assert each in answer and answer.count(b"/") == each.count(b"/"), (each, answer[:200])
    writer.close()
    return n


@pytest.mark.parametrize("pipeline", [1, 8])
def test_256_connections_are_never_mixed_up(services, pipeline):
    service = services(2)
    server = EchoServer(service)
    callers = Callers(service)
    per_connection = 40

    async def everything():
        return await asyncio.gather(*(connection(callers, i, per_connection, pipeline) for i in range(256)))

    assert sum(asyncio.run(everything())) == 256 * per_connection
    counters = service.settle()
    assert counters["requests"] == counters["status"][2] == 256 * per_connection
    assert counters["reasons"] == {}
    shares = [service.endpoint(i)["requests"] for i in range(2)]
    assert sum(shares) == 256 * per_connection
    assert shares[0] == shares[1], "round robin is exact"
    server.stop()


# large bodies

BLOCK = bytes(range(256)) * 4096  # 1 MiB


def stream(wire, blocks):
    for _ in range(blocks):
        wire.send(BLOCK)


def receive(wire, size):
    """Reads so many bytes and returns their hash."""
    h, left = hashlib.sha256(), size
    while left > 0:
        if not wire.buffer:
            assert wire.fill(), f"{left} bytes are missing"
        data = wire.take(left)
        h.update(data)
        left -= len(data)
    return h.hexdigest()


def expected(blocks):
    h = hashlib.sha256()
    for _ in range(blocks):
        h.update(BLOCK)
    return h.hexdigest()


BLOCKS = 64 if SANITIZED else 256


@pytest.fixture
def private(own_lab):
    """A service in a relay of its own, whose memory is then this test's alone; warmed up."""
    service = own_lab().service([Upstream()])
    client = service.connect()
    client.send(request("/", "POST", body=b"x" * 300000))
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(response(b"y" * 300000))
    client.read_response()
    return service, client, server


def test_large_upload(private):
    service, client, server = private
    before = service.lab.relay.rss()
    size = BLOCKS * MIB
    client.send(request("/", "PUT", [f"Content-Length: {size}"]))
    sender = threading.Thread(target=stream, args=(client, BLOCKS))
    sender.start()
    assert server.read_head().content_length() == size
    assert receive(server, size) == expected(BLOCKS)
    sender.join()
    server.send(response())
    assert client.read_response().status == 200
    assert service.lab.relay.rss() - before < RSS_ROOM
    assert service.settle()["request_bytes"] == 300000 + size


def test_large_download(private):
    service, client, server = private
    before = service.lab.relay.rss()
    size = BLOCKS * MIB
    client.send(request())
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    sender = threading.Thread(target=stream, args=(server, BLOCKS))
    sender.start()
    assert client.read_head().content_length() == size
    assert receive(client, size) == expected(BLOCKS)
    sender.join()
    assert service.lab.relay.rss() - before < RSS_ROOM
    assert service.settle()["response_bytes"] == 300000 + size


def test_large_chunked_download(private):
    service, client, server = private
    before = service.lab.relay.rss()
    client.send(request())
    server.read_request()

    def send():
        server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(BLOCKS):
            server.send(b"%x\r\n" % len(BLOCK), BLOCK, b"\r\n")
        server.send(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    assert client.read_head().chunked()
    h = hashlib.sha256()
    while size := int(client.read_until(b"\r\n").split(b";")[0], 16):
        h.update(client.read_exactly(size))
        assert client.read_exactly(2) == b"\r\n"
    assert h.hexdigest() == expected(BLOCKS)
    sender.join()
    assert service.lab.relay.rss() - before < RSS_ROOM


def fill_until_blocked(wire, limit):
    """Sends until the peer takes no more; how much went."""
    wire.sock.settimeout(0.5)
    sent = 0
    try:
        while sent < limit:
            sent += wire.sock.send(BLOCK)
    except TimeoutError:
        pass
    wire.sock.settimeout(TIMEOUT)
    return sent


def test_client_that_does_not_read_holds_the_server_back(private):
    service, client, server = private
    before = service.lab.relay.rss()
    size = BLOCKS * MIB
    client.send(request())
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    sent = fill_until_blocked(server, size)
    assert sent < 48 * MIB, "the sockets' own buffers and little more"
    assert service.lab.relay.rss() - before < RSS_ROOM
    assert service.lab.command("ping")["memory"] < 1 * MIB

    def rest():
        # BLOCK repeats, so going on at `sent` modulo its size keeps the pattern
        server.send(BLOCK[sent % MIB:])
        stream(server, (size - sent) // MIB)

    sender = threading.Thread(target=rest)
    sender.start()
    client.read_head()
    assert receive(client, size) == expected(BLOCKS)
    sender.join()
    service.settle()


def test_server_that_does_not_read_holds_the_client_back(private):
    service, client, server = private
    before = service.lab.relay.rss()
    size = BLOCKS * MIB
    client.send(request("/", "PUT", [f"Content-Length: {size}"]))
    sent = fill_until_blocked(client, size)
    assert sent < 48 * MIB
    assert service.lab.relay.rss() - before < RSS_ROOM
    assert service.lab.command("ping")["memory"] < 1 * MIB

    def rest():
        client.send(BLOCK[sent % MIB:])
        stream(client, (size - sent) // MIB)

    sender = threading.Thread(target=rest)
    sender.start()
    server.read_head()
    assert receive(server, size) == expected(BLOCKS)
    sender.join()
    server.send(response())
    assert client.read_response().status == 200


def test_pipelining_without_reading_holds_the_client_back(private):
    service, client, server = private
    before = service.lab.relay.rss()
    raw = request("/", fields=["X-Pad: " + "p" * 900])
    answer = response(b"a" * 10000)
    client.sock.settimeout(1)
    sent = answered = 0

    def serve():
        nonlocal answered
        try:
            while True:
                server.read_request()
                server.send(answer)
                answered += 1
        except (OSError, AssertionError):
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(TimeoutError):
        while sent < 200000:
            client.send(raw)
            sent += 1
    assert service.lab.relay.rss() - before < RSS_ROOM
    assert service.lab.command("ping")["memory"] < 1 * MIB
    client.reset()
    server.sock.shutdown(socket.SHUT_RDWR)
    thread.join()
    service.settle()


def test_stalled_peers_do_not_stall_others(private):
    service, client, server = private
    stalled = []
    for _ in range(50):
        c = service.connect()
        c.send(request("/stalled"))
        stalled.append((c, None))
    client.send(request("/quick"))
    # the pooled connection may go to any of them
    servers = [server] + [service.upstreams[0].accept() for _ in range(50)]
    quick = None
    for s in servers:
        if s.read_request().head.start == "GET /quick HTTP/1.1":
            quick = s
        else:
            s.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            fill_until_blocked_quickly(s)
    quick.send(response(b"quick"))
    assert client.read_response().body == b"quick"
    start = time.monotonic()
    for _ in range(200):
        client.send(request("/quick"))
        quick.read_request()
        quick.send(response(b"quick"))
        assert client.read_response().body == b"quick"
    assert time.monotonic() - start < TIMEOUT
    for c, _ in stalled:
        c.reset()
    assert wait_for(lambda: service.lab.command("ping")["connections"] == 1)
    service.settle()


def fill_until_blocked_quickly(wire):
    wire.sock.setblocking(False)
    try:
        while True:
            wire.sock.send(BLOCK)
    except BlockingIOError:
        wire.sock.settimeout(TIMEOUT)


def test_slow_reader_gets_everything(private):
    """One byte window, so to speak: 2 MiB read in small bites with pauses."""
    service, _, server = private
    sock = service.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", service.lab.port))
    client = Wire(sock)
    client.send(request())
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * MIB))
    sender = threading.Thread(target=stream, args=(server, 2))
    sender.start()
    client.read_head()
    h = hashlib.sha256(client.take(len(client.buffer)))
    while data := sock.recv(3001):
        h.update(data)
        if len(data) < 100:
            time.sleep(0.001)
        if h.digest() == hashlib.sha256(BLOCK * 2).digest():
            break
    sender.join()
    client.close()


# many connections that do nothing, and leaks

@pytest.mark.confined
def test_idle_connections_are_cheap(own_lab):
    service = own_lab(max_connections=20000).service([Upstream()])
    server = EchoServer(service)
    callers = Callers(service)

    async def ask_and_stay(n):
        kept = []
        for _ in range(n):
            reader, writer = await callers.connect()
            writer.write(request("/"))
            await read_answer(reader)
            kept.append(writer)
        return kept

    async def everything():
        kept = await ask_and_stay(500)
        before = service.lab.relay.rss()
        kept += await ask_and_stay(3000)
        cost = service.lab.relay.rss() - before
        assert service.lab.command("ping")["connections"] == 3500
        for writer in kept:
            writer.close()
        return cost

    assert asyncio.run(everything()) < 3000 * 1024
    assert wait_for(lambda: service.lab.command("ping")["connections"] == 0)
    assert service.lab.command("ping")["memory"] < 2 * MIB
    server.stop()



def test_ten_thousand_connections_leave_nothing_behind(own_lab):
    service = own_lab().service([Upstream()])
    server = EchoServer(service)
    callers = Callers(service)

    async def short(i):
        reader, writer = await callers.connect()
        kind = i % 5
        if kind == 0:
            writer.write(request(f"/{i}") * 2)
            await read_answer(reader)
            await read_answer(reader)
        elif kind == 1:
            writer.write(request(f"/{i}", "POST", body=b"x" * 3000))
            await read_answer(reader)
        elif kind == 2:
            writer.write(request(f"/{i}", fields=["Connection: close"]))
            await read_answer(reader)
            await reader.read()
        elif kind == 3:
            writer.write(b"GET /broken\r\n\r\n")
            await reader.read()
        else:
            writer.write(request(f"/{i}", "POST", ["Content-Length: 100"]) + b"half")
            await writer.drain()
            writer.transport.abort()
        writer.close()

    async def many(n):
        gate = asyncio.Semaphore(64)

        async def one(i):
            async with gate:
                await short(i)

        await asyncio.gather(*(one(i) for i in range(n)))

    def at_rest():
        pong = service.lab.command("ping")
        return pong["connections"] == 0

    asyncio.run(many(1000))
    assert wait_for(at_rest)
    descriptors, rss = service.lab.relay.descriptors(), service.lab.relay.rss()
    asyncio.run(many(MANY))
    assert wait_for(at_rest)
    counters = service.settle()
    # pooled connections may come and go, and are closed after their time
    assert wait_for(lambda: service.lab.relay.descriptors() <= descriptors), \
        f"{service.lab.relay.descriptors()} descriptors, {descriptors} before"
    assert service.lab.relay.rss() - rss < (64 if SANITIZED else 4) * MIB
    assert counters["connections"] == 1000 + MANY
    assert counters["requests"] == 1000 + MANY  # of five connections two, one, one, none and one
    server.stop()
