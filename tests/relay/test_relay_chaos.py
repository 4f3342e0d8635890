# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that leave and servers that break off at any point, many at once: nobody gets another's answer,
no answer looks whole that is not, and in the end nothing is left over. Chance is seeded, but not who wins a
race: what is asserted holds for every outcome."""

import asyncio
import contextlib
import os
import random
import socket
import struct

from relay_lab import LONG, SANITIZED, Callers, wait_for
from relay_wire import Upstream, chunked, request, response

CLIENTS = 48
ROUNDS = 1000 if LONG else 40

# What a server does, by the first segment of the target, and what a client may see but for a cut answer.
WHOLE, BROKEN = {200}, {502}
BEHAVIOURS = {
    "length": WHOLE, "chunked": WHOLE, "until-close": WHOLE, "slow": WHOLE, "interim": WHOLE,
    "then-close": WHOLE,
    "extra": WHOLE | BROKEN,  # what follows the answer is the next client's loss only if the relay lets it
    "early": WHOLE | BROKEN,
    "close": BROKEN, "reset": BROKEN, "half-head": BROKEN, "bad-head": BROKEN,
    "short": WHOLE | BROKEN, "short-chunk": WHOLE | BROKEN, "bad-chunk": WHOLE | BROKEN,
}
TRUNCATED = ("short", "short-chunk", "bad-chunk")


def abort(writer):
    with contextlib.suppress(OSError):  # closed already
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_body(reader, head):
    fields = head.lower()
    if b"\r\ntransfer-encoding: chunked\r\n" in fields:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    elif b"\r\ncontent-length: " in fields:
        await reader.readexactly(int(fields.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0]))


def answer_to(behaviour, body):
    """The bytes that a server sends, and whether it closes then."""
    whole = response(body)
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body)
    return {
        "length": (whole, False), "slow": (whole, False),
        "then-close": (whole, True), "early": (whole, True),
        "chunked": (chunks, False),
        "until-close": (b"HTTP/1.1 200 OK\r\n\r\n" + body, True),
        "interim": (b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + whole, False),
        "extra": (whole + response(b"poison"), False),
        "close": (b"", True), "half-head": (b"HTTP/1.1 200 OK\r\nContent-", True),
        "bad-head": (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", False),
        "short": (whole[:-1], True), "short-chunk": (chunks[:-3], True),
        "bad-chunk": (chunks[:-5] + b"x\r\n\r\n", False),
    }[behaviour]


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ")[1].decode()
            behaviour = target.split("/")[1]
            if behaviour != "early":
                await read_body(reader, head)
            if behaviour == "reset":
                return abort(writer)
            if behaviour == "slow":
                await asyncio.sleep(0.02)
            data, close = answer_to(behaviour, target.encode() + b" " + b"." * (len(target) * 997 % 70000))
            writer.write(data)
            await writer.drain()
            if close:
                return writer.close()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def read_answer(reader):
    """Status and body; IncompleteReadError if it is not whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    if status < 200:
        return await read_answer(reader)
    if b"\r\ntransfer-encoding: chunked\r\n" in head:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(head.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0]))
    return status, body, b"\r\nconnection: close\r\n" in head


def make_request(generator, behaviour):
    target = f"/{behaviour}/{os.urandom(8 + generator.randrange(60)).hex()}"
    body = generator.randbytes(generator.choice([1, 100, 5000, 150000]))
    kind = generator.randrange(3)
    if kind == 0:
        return target, request(target)
    if kind == 1:
        return target, request(target, "POST", body=body)
    raw = request(target, "PUT", ["Transfer-Encoding: chunked"])
    return target, raw + chunked(body[:70], body[70:] or b"x")


class Client:
    def __init__(self, callers, seed):
        self.callers, self.generator = callers, random.Random(seed)
        self.reader = self.writer = None
        self.wholes = 0

    async def leave(self):
        if self.generator.randrange(2):
            abort(self.writer)
        self.writer.close()
        self.writer = None

    async def round(self):
        if not self.writer:
            self.reader, self.writer = await self.callers.connect()
        n = self.generator.choice([1, 1, 1, 3])  # pipelined
        wanted = [self.generator.choice(list(BEHAVIOURS)) for _ in range(n)]
        made = [make_request(self.generator, behaviour) for behaviour in wanted]
        raw = b"".join(each for _, each in made)
        if self.generator.randrange(10) == 0:  # not to its end
            self.writer.write(raw[:self.generator.randrange(len(raw))])
            await asyncio.sleep(self.generator.random() * 0.01)
            return await self.leave()
        self.writer.write(raw)
        if self.generator.randrange(10) == 0:  # without the answer, or a part of it
            await self.reader.read(self.generator.choice([1, 100, 10000]))
            return await self.leave()
        for behaviour, (target, raw) in zip(wanted, made):
            if not await self.check(behaviour, target, raw.split(b" ")[0]):
                return await self.leave()

    async def check(self, behaviour, target, method):
        """Whether the connection can be used for more."""
        try:
            async with asyncio.timeout(60):
                status, body, close = await read_answer(self.reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            # An answer cut short ends the connection, and so do those before it in a pipeline.
            return False
        allowed = BEHAVIOURS[behaviour]
        if method != b"GET":  # not sent again, if a pooled connection ends in this moment
            allowed = allowed | BROKEN
        assert status in allowed, (behaviour, status, body[:100])
        if status == 200:
            assert body.startswith(target.encode() + b" "), (target, body[:200])
            assert behaviour not in TRUNCATED, f"{target} looks whole"
            self.wholes += 1
        return not close


async def run_clients(callers):
    clients = [Client(callers, seed) for seed in range(CLIENTS)]

    async def run(client):
        for _ in range(ROUNDS):
            try:
                await client.round()
            except ConnectionError:
                client.writer = None

    await asyncio.gather(*(run(client) for client in clients))
    for client in clients:
        if client.writer:
            client.writer.close()
    return sum(client.wholes for client in clients)


def test_everybody_misbehaves(own_lab):
    lab = own_lab(workers=2)
    service = lab.service([Upstream(), Upstream(), Upstream()])
    callers = Callers(service)

    async def everything():
        servers = []
        for upstream in service.upstreams:
            upstream.listener.setblocking(False)
            servers.append(await asyncio.start_server(serve, sock=upstream.listener.dup()))
        wholes = await run_clients(callers)
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return wholes

    wholes = asyncio.run(everything())
    assert wholes > CLIENTS * ROUNDS / 10
    lab.relay.check_alive()
    assert wait_for(lambda: lab.command("ping")["connections"] == 0)
    counters = service.settle()
    # each request was answered once: by an answer of its class, or by none
    assert sum(counters["status"][i] for i in (0, 2, 4, 5)) >= counters["requests"]
    assert set(counters["reasons"]) <= {"upstream-closed", "upstream-reset", "upstream-bad-head",
                                        "upstream-bad-body", "client-aborted", "retried"}
    assert lab.relay.rss() < (600 if SANITIZED else 60) << 20
    service.finish()
