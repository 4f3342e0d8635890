# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pooled connections that the endpoint closes at the worst moment: nothing is lost, or done twice."""

import collections
import random
import threading
import time

import pytest

from relay_lab import LONG
from relay_wire import Upstream, Wire, WireError, request, response

ROUNDS = 5000 if LONG else 300


class ClosingServer:
    """Answers one request of each connection, and closes it after a short and random time."""

    def __init__(self, service, pauses, how):
        self.upstream, self.pauses, self.how = service.upstreams[0], pauses, how
        self.seen = collections.Counter()
        self.thread = threading.Thread(target=self.accept_all, daemon=True)
        self.thread.start()

    def accept_all(self):
        while True:
            try:
                sock, _ = self.upstream.listener.accept()
            except (OSError, ValueError):
                return
            threading.Thread(target=self.serve, args=(Wire(sock),), daemon=True).start()

    def serve(self, wire):
        try:
            seen = wire.read_request()
            self.seen[seen.head.start.split()[1]] += 1
            wire.send(response(seen.head.start.split()[1].encode()))
            end = time.perf_counter() + self.pauses()
            while time.perf_counter() < end:
                pass
            getattr(wire, self.how)()
        except (WireError, OSError):
            wire.close()


@pytest.fixture(params=["close", "reset"])
def how(request):
    return request.param


def run(service, how, make_request):
    """Sends right when the server closes; the outcome of each request."""
    generator = random.Random(7)
    server = ClosingServer(service, lambda: generator.choice([0, 1e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3]), how)
    outcomes = {}
    client = service.connect()
    for i in range(ROUNDS):
        target = f"/{i}"
        client.send(make_request(target))
        got = client.read_response()
        outcomes[target] = got
        if got.status == 200:
            assert got.body == target.encode()
        if "close" in got.head.tokens("connection"):
            client.close()
            client = service.connect()
        end = time.perf_counter() + generator.choice([0, 1e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3])
        while time.perf_counter() < end:
            pass
    return server, outcomes


def test_idempotent_requests_never_fail(service, how):
    server, outcomes = run(service, how, request)
    failed = {t: (o.status, o.reason) for t, o in outcomes.items() if o.status != 200}
    assert not failed
    assert len(server.seen) == ROUNDS


def test_other_requests_are_never_repeated(service, how):
    """A POST that may have been carried out is answered 502, not sent again."""
    server, outcomes = run(service, how, lambda target: request(target, "POST", body=b"abc"))
    assert max(server.seen.values()) == 1
    for target, got in outcomes.items():
        assert got.status == 200 or (got.status, got.reason) in \
            ((502, "upstream-closed"), (502, "upstream-reset")), (target, got)
        if got.status == 200:
            assert server.seen[target] == 1


def test_orderly_close_before_the_request_is_no_failure(service):
    """The close has arrived before the request comes: the relay knows, so even a POST must not fail."""
    upstream = service.upstreams[0]
    client = service.connect()
    for i in range(50):
        client.send(request(f"/{i}", "POST", body=b"abc"))
        server = upstream.accept()
        server.read_request()
        server.send(response())
        assert client.read_response().status == 200
        server.close()
    assert set(service.settle()["reasons"]) <= {"retried"}


def test_many_pooled_connections_closed_at_once(service):
    """An endpoint restarts: all its idle connections end, the next requests make new ones."""
    upstream = service.upstreams[0]
    clients = [service.connect() for _ in range(30)]
    for _ in range(5):
        servers = []
        for client in clients:
            client.send(request())
            servers.append(upstream.accept())
        for server in servers:
            server.read_request()
            server.send(response())
        for client in clients:
            assert client.read_response().status == 200
        for server in servers:
            server.close()
    assert set(service.settle()["reasons"]) <= {"retried"}


def test_endpoint_that_moved_gets_no_pooled_connection(lab, services):
    """The id of an endpoint that is gone may be given to another: connections must not be."""
    a, b = Upstream(), Upstream()
    service = services([a])
    client = service.connect()
    client.send(request())
    server = a.accept()
    server.read_request()
    server.send(response(b"a"))
    assert client.read_response().body == b"a"
    service.upstreams = [b]
    service.write()
    client.send(request())
    server = b.accept()
    server.read_request()
    server.send(response(b"b"))
    assert client.read_response().body == b"b"
    a.close()
