# SPDX-License-Identifier: LGPL-2.1-or-later
"""Heads at their limits, and connections at theirs."""

import select
import time

import pytest

from relay_lab import wait_for
from relay_wire import Upstream, request, response

HEAD_MAX = 32768   # SM_HEAD_MAX, which relay-lab sets
FIELDS_MAX = 128   # SM_HEAD_FIELDS_MAX


def padded(start, size):
    """A head of exactly so many bytes."""
    head = start + b"X-Pad: "
    return head + b"p" * (size - len(head) - 4) + b"\r\n\r\n"


REQUEST_START = b"GET / HTTP/1.1\r\nHost: example.test\r\n"
RESPONSE_START = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize("size", [HEAD_MAX // 2, HEAD_MAX - 1, HEAD_MAX])
def test_request_head_up_to_the_limit(service, upstream, size):
    client = service.connect()
    client.send(padded(REQUEST_START, size))
    server = upstream.accept()
    assert len(server.read_head().get("x-pad")) == size - len(REQUEST_START) - 11
    server.send(response())
    assert client.read_response().status == 200


@pytest.mark.parametrize("size", [HEAD_MAX + 1, HEAD_MAX + 2, HEAD_MAX * 2, 1 << 20])
def test_request_head_over_the_limit(service, upstream, size):
    client = service.connect()
    try:
        client.send(padded(REQUEST_START, size), request("/next"))
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = client.read_response()
    assert (got.status, got.reason) == (431, "head-too-large")
    client.expect_gone()
    upstream.expect_none()
    assert service.settle()["reasons"] == {"head-too-large": 1}


def test_endless_request_line(service, upstream):
    client = service.connect()
    try:
        client.send(b"GET /" + b"a" * 200000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert client.read_response().reason == "head-too-large"


def test_endless_empty_lines(service, upstream):
    """RFC 9112 section 2.2 allows an empty line before a request, not any number of them."""
    client = service.connect()
    try:
        for _ in range(100):
            client.send(b"\r\n" * 1000)
        client.expect_gone()
    except (BrokenPipeError, ConnectionResetError):
        pass
    upstream.expect_none()


def test_long_target(service, upstream):
    target = "/" + "t" * 30000
    client = service.connect()
    client.send(request(target))
    server = upstream.accept()
    assert server.read_head().start == f"GET {target} HTTP/1.1"
    server.send(response())
    assert client.read_response().status == 200


def fields(n):
    return b"".join(b"X-%d: v\r\n" % i for i in range(n))


def test_request_fields_up_to_the_limit(service, upstream):
    client = service.connect()
    client.send(REQUEST_START + fields(FIELDS_MAX - 1) + b"\r\n")
    server = upstream.accept()
    head = server.read_head()
    assert head.get(f"x-{FIELDS_MAX - 2}") == "v"
    server.send(response())
    assert client.read_response().status == 200


def test_request_fields_over_the_limit(service, upstream):
    client = service.connect()
    client.send(REQUEST_START + fields(FIELDS_MAX) + b"\r\n")
    got = client.read_response()
    assert (got.status, got.reason) == (431, "too-many-fields")
    client.expect_gone()
    upstream.expect_none()


def test_response_fields_up_to_the_limit(service, upstream):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(RESPONSE_START + fields(FIELDS_MAX - 1) + b"\r\nok")
    got = client.read_response()
    assert got.status == 200 and got.head.get(f"x-{FIELDS_MAX - 2}") == "v"


def test_response_fields_over_the_limit(service, upstream):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(RESPONSE_START + fields(FIELDS_MAX) + b"\r\nok")
    got = client.read_response()
    assert got.status == 502 and got.reason in ("upstream-head-too-large", "upstream-bad-head")


@pytest.mark.parametrize("size", [HEAD_MAX - 1, HEAD_MAX])
def test_response_head_up_to_the_limit(service, upstream, size):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(padded(RESPONSE_START, size) + b"ok")
    got = client.read_response()
    assert got.body == b"ok" and len(got.head.get("x-pad")) == size - len(RESPONSE_START) - 11


@pytest.mark.parametrize("size", [HEAD_MAX + 1, HEAD_MAX * 2, 1 << 20])
def test_response_head_over_the_limit(service, upstream, size):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    try:
        server.send(padded(RESPONSE_START, size) + b"ok")
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = client.read_response()
    assert (got.status, got.reason) == (502, "upstream-head-too-large")
    assert service.settle()["reasons"] == {"upstream-head-too-large": 1}


def test_connections_over_the_limit(own_lab):
    service = own_lab(max_connections=8).service([Upstream()])
    upstream = service.upstreams[0]

    def served(client):
        """Whether a request is let through; the refusal says why."""
        client.send(request())
        if not upstream.wires:
            upstream.accept()
        answer = []

        def arrived():
            ready, _, _ = select.select([client.sock, upstream.wires[0].sock], [], [], 0.1)
            answer.extend(ready)
            return ready

        assert wait_for(arrived)
        if client.sock in answer:
            got = client.read_response()
            assert (got.status, got.reason) == (503, "overloaded")
            client.expect_gone()
            return False
        upstream.wires[0].read_request()
        upstream.wires[0].send(response())
        return client.read_response().status == 200

    kept = [service.connect() for _ in range(8)]
    assert all(served(client) for client in kept)
    for _ in range(3):
        assert not served(service.connect())
    assert service.reasons() == {"overloaded": 3}
    kept.pop().close()
    assert wait_for(lambda: served(service.connect())), "a place that became free is not given away"
    service.finish()


def test_descriptors_run_out(own_lab):
    """Whoever cannot be served is told so, or waits in the backlog; when there is room again all is well."""
    service = own_lab(max_files=60).service([Upstream()])
    upstream = service.upstreams[0]

    def serve():
        """Answers whatever arrives, until nothing does."""
        while ready := select.select([upstream.listener] + [w.sock for w in upstream.wires], [], [], 0.5)[0]:
            if upstream.listener in ready:
                upstream.accept()
            for wire in [w for w in upstream.wires if w.sock in ready]:
                if wire.fill():
                    wire.read_request()
                    wire.send(response())
                else:
                    wire.close()
                    upstream.wires.remove(wire)

    clients = [service.connect() for _ in range(100)]
    for client in clients:
        client.send(request())
    while clients:
        serve()
        ready, _, _ = select.select([c.sock for c in clients], [], [], 0)
        assert ready, "nobody is served any more"
        for client in [c for c in clients if c.sock in ready]:
            got = client.read_response()
            assert got.status == 200 or (got.status, got.reason) == (503, "overloaded"), got
            client.close()
            clients.remove(client)
    assert service.lab.relay.said().count("\n") < 100, "each attempt is written to the journal"
    assert wait_for(lambda: service.lab.command("ping")["connections"] == 0)
    client = service.connect()
    client.send(request())
    serve()
    assert client.read_response().status == 200
    service.finish()


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\n", REQUEST_START])
def test_request_that_does_not_arrive(services, sent):
    """A connection without a request is closed silently after its idle time; half a head gets an answer."""
    service = services(policy="timeouts: {idle: 300ms}\n")
    client = service.connect()
    if sent:
        client.send(sent)
        got = client.read_response()
        assert (got.status, got.reason) == (408, "request-timeout")
        client.expect_gone()
        assert service.settle()["reasons"] == {"request-timeout": 1}
    else:
        client.expect_end()
        assert service.settle()["reasons"] == {"idle-closed": 1}


def test_dripping_head_is_not_waited_for_longer(services):
    """The time is for the whole head: a byte now and then does not prolong it."""
    service = services(policy="timeouts: {idle: 500ms}\n")
    client = service.connect()
    start = time.monotonic()
    try:
        while time.monotonic() - start < 10:
            client.send(b"G")
            time.sleep(0.05)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert time.monotonic() - start < 10, "the head was waited for without end"


def test_idle_tunnel(services):
    service = services(policy="timeouts: {idle: 300ms}\n")
    client = service.connect()
    client.send(request(fields=["Connection: Upgrade", "Upgrade: websocket"]))
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    client.read_head()
    for _ in range(6):  # alive as long as something passes, in either direction
        time.sleep(0.1)
        server.send(b"x")
        assert client.read_exactly(1) == b"x"
    client.expect_gone()
    server.expect_gone()
    assert service.settle()["reasons"] == {"idle-closed": 1}


def test_idle_connection_after_a_request(services):
    service = services(policy="timeouts: {idle: 300ms}\n")
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(response())
    assert client.read_response().status == 200
    client.expect_end()
    assert service.settle()["reasons"] == {"idle-closed": 1}


def test_slow_answer_is_not_idle(services):
    """The idle time is for the caller, not for a server that thinks."""
    service = services(policy="timeouts: {idle: 200ms}\n")
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    time.sleep(1)
    server.send(response(b"at last"))
    assert client.read_response().body == b"at last"


def test_route_timeout(services):
    service = services(policy="routes: [{name: hasty, to: default, timeout: 300ms}]\n")
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    got = client.read_response()
    assert (got.status, got.reason) == (504, "upstream-timeout")
    server.expect_gone()
    assert service.settle()["reasons"] == {"upstream-timeout": 1}


def test_route_timeout_in_the_middle_of_a_body(services):
    service = services(policy="routes: [{name: hasty, to: default, timeout: 300ms}]\n")
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    assert client.read_head().content_length() == 10
    assert client.expect_gone() == b"abc"
    assert service.settle()["reasons"] == {"upstream-timeout": 1}


def test_pooled_connections_are_given_up(services):
    service = services(policy="timeouts: {pool-idle: 200ms}\n")
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(response())
    assert client.read_response().status == 200
    server.expect_end()
    client.send(request("/2"))
    second = service.upstreams[0].accept()
    second.read_request()
    second.send(response())
    assert client.read_response().status == 200
