# SPDX-License-Identifier: LGPL-2.1-or-later
"""Endpoints that cannot be reached or break off, clients that go away: what others see, what is counted."""

import contextlib
import socket

import pytest

from relay_lab import wait_for
from relay_wire import TIMEOUT, Upstream, Wire, chunked, request, response


@contextlib.contextmanager
def dead_endpoint():
    """A port that refuses, and that nobody else gets meanwhile."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    yield f"127.0.0.1:{sock.getsockname()[1]}"
    sock.close()


@contextlib.contextmanager
def black_hole():
    """A port whose backlog is full: the kernel drops every further SYN."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    for sock in fillers + [listener]:
        sock.close()


def state(service, text):
    return service.lab.command("endpoint", service.name, text)


# connecting

def test_no_endpoint_listens(services):
    with dead_endpoint() as a, dead_endpoint() as b:
        service = services([], policy=f'endpoints: ["{a}", "{b}"]\n')
        client = service.connect()
        client.send(request())
        got = client.read_response()
        assert (got.status, got.reason) == (503, "connect-failed")
        client.send(request("/", "POST", body=b"abc"))
        assert client.read_response().reason == "connect-failed"
        counters = service.settle()
        assert counters["reasons"]["connect-failed"] == 2 and counters["status"][5] == 2
        assert state(service, a)["failures"] >= 1 and state(service, b)["failures"] >= 1
        assert state(service, a)["connections"] == 0 and state(service, a)["in_flight"] == 0


def test_another_endpoint_is_tried(services):
    with dead_endpoint() as dead:
        live = Upstream()
        service = services([], policy=f'endpoints: ["{dead}", "{live.text}"]\n')
        client = service.connect()
        for i in range(10):
            client.send(request(f"/{i}", "POST", body=b"abc"))
            server = live.wire()
            seen = server.read_request()
            assert seen.head.start == f"POST /{i} HTTP/1.1" and seen.body == b"abc"
            server.send(response(b"%d" % i))
            assert client.read_response().body == b"%d" % i
        counters = service.settle()
        assert set(counters["reasons"]) == {"retried"} and counters["status"][2] == 10
        assert state(service, dead)["failures"] == counters["reasons"]["retried"]
        assert state(service, live.text)["requests"] == 10
        live.close()


def test_dead_endpoint_is_avoided_and_told_of(lab, services):
    with dead_endpoint() as dead:
        live = Upstream()
        service = services([], policy=f'endpoints: ["{dead}", "{live.text}"]\n')
        lab.command("events")
        client = service.connect()
        for _ in range(4):
            client.send(request())
            server = live.wire()
            server.read_request()
            server.send(response())
            client.read_response()
        assert state(service, dead)["avoided"] and not state(service, live.text)["avoided"]
        assert state(service, dead)["failures"] == 1
        events = lab.command("events")["events"]
        assert [(e["avoided"], e["endpoint"], e["detail"] > 0) for e in events] == \
            [(True, state(service, dead)["id"], True)]
        live.close()


def test_endpoint_that_comes_back(lab, services):
    with dead_endpoint() as dead:
        service = services([], policy=f'endpoints: ["{dead}"]\n')
        client = service.connect()
        client.send(request())
        assert client.read_response().reason == "connect-failed"
    lab.command("events")
    server_socket = Upstream(port=int(dead.rpartition(":")[2]))
    client.send(request())  # the only endpoint is tried although it is avoided
    server = server_socket.accept()
    server.read_request()
    server.send(response(b"back"))
    assert client.read_response().body == b"back"
    assert not state(service, dead)["avoided"] and state(service, dead)["failures_in_row"] == 0
    assert [e["back"] for e in lab.command("events")["events"]] == [True]
    server_socket.close()


HASTY = "timeouts: {connect: 200ms}\n"


def test_black_hole_alone(services):
    with black_hole() as hole:
        service = services([], policy=f'endpoints: ["{hole}"]\n{HASTY}connect-attempts: 1\n')
        client = service.connect()
        client.send(request())
        got = client.read_response()
        assert (got.status, got.reason) == (504, "connect-timeout")
        assert service.settle()["reasons"] == {"connect-timeout": 1}


def test_black_hole_beside_a_live_endpoint(services):
    with black_hole() as hole:
        live = Upstream()
        service = services([], policy=f'endpoints: ["{hole}", "{live.text}"]\n{HASTY}')
        client = service.connect()
        for _ in range(4):
            client.send(request())
            server = live.wire()
            server.read_request()
            server.send(response())
            assert client.read_response().status == 200
        assert state(service, hole)["failures"] == 1 and state(service, hole)["avoided"]
        live.close()


def test_attempts_are_limited(services):
    with contextlib.ExitStack() as stack:
        dead = [stack.enter_context(dead_endpoint()) for _ in range(6)]
        texts = ", ".join(f'"{d}"' for d in dead)
        service = services([], policy=f"endpoints: [{texts}]\nconnect-attempts: 2\n")
        client = service.connect()
        client.send(request())
        assert client.read_response().reason == "connect-failed"
        assert sum(state(service, d)["failures"] for d in dead) == 2


def test_avoided_endpoint_is_passed_over(lab, services):
    service = services(2)
    a, b = service.upstreams
    lab.command("avoid", service.name, a.text, 60000)
    client = service.connect()
    for _ in range(6):
        client.send(request())
        server = b.wire()
        server.read_request()
        server.send(response())
        assert client.read_response().status == 200
    a.expect_none()
    assert service.endpoint(0)["requests"] == 0


def test_all_avoided_means_none_is(lab, services):
    """To send is better than to refuse while it is only suspected that nobody is there."""
    service = services(1)
    lab.command("avoid", service.name, service.upstreams[0].text, 60000)
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(response())
    assert client.read_response().status == 200


# the endpoint breaks off

HEAD = b"HTTP/1.1 200 OK\r\nX: y\r\n"
LENGTH = HEAD + b"Content-Length: 10\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DATA = CHUNKED + b"5\r\nabcde\r\n"
BROKEN = {"close": "upstream-closed", "reset": "upstream-reset"}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"H", b"HTTP/1.1 200", HEAD, LENGTH[:-1], LENGTH[:-2]])
def test_server_ends_before_the_head_is_complete(service, upstream, sent, how):
    client = service.connect()
    client.send(request("/", "POST", body=b"abc"))
    server = upstream.accept()
    assert server.read_request().body == b"abc"
    server.send(sent)
    getattr(server, how)()
    got = client.read_response()
    assert (got.status, got.reason) == (502, BROKEN[how]), got
    counters = service.settle()
    assert counters["reasons"] == {got.reason: 1} and counters["status"][5] == 1
    assert service.endpoint()["failures"] == 1
    if "close" not in got.head.tokens("connection"):
        client.send(request("/2"))
        server = upstream.accept()
        server.read_request()
        server.send(response())
        assert client.read_response().status == 200


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("body", [
    LENGTH, LENGTH + b"a", LENGTH + b"a" * 9,
    CHUNKED, CHUNKED + b"5", CHUNKED + b"5\r", CHUNKED + b"5\r\n", CHUNKED + b"5\r\nab", DATA[:-2],
    DATA[:-1], DATA, DATA + b"0", DATA + b"0\r\n", DATA + b"0\r\nT: t", DATA + b"0\r\nT: t\r\n",
    DATA + b"0\r\n\r",
])
def test_server_ends_within_the_body(service, upstream, body, how):
    """The client must be able to tell that something is missing."""
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(body)
    wait_for(lambda: False, 0.02)  # so that a reset does not overtake the bytes
    getattr(server, how)()
    raw = client.expect_gone()
    if raw.startswith(b"HTTP/1.1 502"):
        assert b"upstream-closed" in raw or b"upstream-reset" in raw
    elif b"chunked" in raw:
        assert not raw.endswith(b"0\r\n\r\n")
    else:
        assert b"Content-Length: 10" in raw and len(raw.partition(b"\r\n\r\n")[2]) < 10
    counters = service.settle()
    assert counters["reasons"] == {BROKEN[how]: 1}
    assert service.endpoint()["failures"] == 1


def test_reset_within_a_body_until_close(service, upstream):
    """Only the way the connection ends can tell the client that the body is not whole."""
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
    head = client.read_head()
    if not head.chunked():
        client.read_exactly(3)
        server.reset()
        with pytest.raises(ConnectionResetError):
            client.read_to_end()
    else:
        client.read_until(b"abc")
        server.reset()
        assert b"0\r\n\r\n" not in client.expect_gone()
    assert service.settle()["reasons"] == {"upstream-reset": 1}


@pytest.mark.parametrize("how", ["close", "reset"])
def test_server_ends_while_the_body_is_sent_to_it(service, upstream, how):
    client = service.connect()
    client.send(request("/", "POST", ["Content-Length: 1000000"]), b"a" * 1000)
    server = upstream.accept()
    server.read_head()
    server.read_exactly(1000)
    getattr(server, how)()
    got = client.read_response()
    assert got.status == 502 and got.reason in ("upstream-closed", "upstream-reset")
    client.expect_gone()
    service.settle()


def test_server_shuts_down_but_reads_on(service, upstream):
    """Half-close without an answer is no answer."""
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.shutdown()
    got = client.read_response()
    assert (got.status, got.reason) == (502, "upstream-closed")


def test_response_then_close_at_once(service, upstream):
    client = service.connect()
    for i in range(20):
        client.send(request(f"/{i}"))
        server = upstream.accept()
        server.read_request()
        server.send(response(b"x" * 50000, fields=["Connection: close"] if i % 2 else []))
        server.close()
        assert client.read_response().body == b"x" * 50000
    assert service.settle()["reasons"] == {}


# the client goes away

@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"GET", request()[:-2], b"\r\n"])
def test_client_ends_before_a_request(service, upstream, sent, how):
    client = service.connect()
    client.send(sent)
    getattr(client, how)()
    assert wait_for(lambda: service.lab.command("ping")["connections"] == 0)
    upstream.expect_none(0.05)
    counters = service.settle()
    assert counters["status"] == [0] * 6 or counters["status"] == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_ends_while_the_server_thinks(service, upstream, how):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    getattr(client, how)()
    if how == "close":  # cannot be told from a half-close until something is written to it
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(300):
                server.send(b"a" * 100000)
    server.expect_gone()
    counters = service.settle()
    assert counters["reasons"] == {"client-aborted": 1}, counters


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_client_ends_within_its_body(service, upstream, framing, how):
    """The server must not take the request for complete."""
    client = service.connect()
    if framing == "length":
        client.send(request("/", "POST", ["Content-Length: 1000"]), b"a" * 500)
    else:
        client.send(request("/", "POST", ["Transfer-Encoding: chunked"]), chunked(b"a" * 500)[:-5])
    server = upstream.accept()
    server.read_head()
    server.read_until(b"a" * 500)
    getattr(client, how)()
    rest = server.expect_gone()
    assert b"0\r\n\r\n" not in rest and len(rest) < 100
    assert service.settle()["reasons"] == {"client-aborted": 1}


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_ends_within_the_response(service, upstream, how):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    client.read_head()
    getattr(client, how)()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(1000):
            server.send(b"a" * 100000)
    assert service.settle()["reasons"] == {"client-aborted": 1}


def test_client_that_does_not_read_and_leaves(service, upstream):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n", b"a" * 200000000)
    server.sock.settimeout(TIMEOUT)
    client.reset()
    server.expect_gone()
    assert service.settle()["reasons"] == {"client-aborted": 1}


# who is let in

def test_unknown_caller_is_closed(lab):
    before = lab.command("stray")["reasons"].get("caller-unknown", 0)
    sock = socket.socket()
    sock.connect(("127.0.0.1", lab.port))
    with Wire(sock) as client:
        try:
            client.send(request())
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.expect_gone() == b""
    assert wait_for(lambda: lab.command("stray")["reasons"].get("caller-unknown", 0) == before + 1)


def test_record_is_taken_when_accepted(lab, service):
    client = service.connect()
    source, port = client.sock.getsockname()
    assert wait_for(lambda: not lab.command("is-caller", source, port)["recorded"])


def test_ipv6_caller(service, upstream):
    client = service.connect("::1")
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(response())
    assert client.read_response().status == 200
