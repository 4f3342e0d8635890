# SPDX-License-Identifier: LGPL-2.1-or-later
"""1xx, Expect, early responses, and tunnels after 101 (RFC 9110 sections 7.8, 10.1.1, 15.2)."""

import os
import socket
import threading
import time

import pytest

from relay_wire import WireError, request, response

EXPECT = ["Expect: 100-continue", "Content-Length: 5"]
UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
           "Sec-WebSocket-Version: 13"]
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


@pytest.mark.parametrize("value", ["100-continue", "100-Continue"])
def test_continue_comes_from_the_server(service, upstream, value):
    client = service.connect()
    client.send(request("/", "PUT", [f"Expect: {value}", "Content-Length: 5"]))
    server = upstream.accept()
    head = server.read_head()
    assert head.get("expect").lower() == "100-continue"
    client.expect_silence()
    server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.read_response().status == 100
    client.send(b"abcde")
    assert server.read_exactly(5) == b"abcde"
    server.send(response(b"done"))
    assert client.read_response().body == b"done"


def test_final_response_instead_of_continue(service, upstream):
    """The client then may or may not send the body: nothing that it sends later may be misread."""
    client = service.connect()
    client.send(request("/", "PUT", EXPECT))
    server = upstream.accept()
    server.read_head()
    server.send(response(b"no", "413 Content Too Large"))
    got = client.read_response()
    assert (got.status, got.body, got.reason) == (413, b"no", None)
    if "close" in got.head.tokens("connection"):
        client.expect_gone()
        return
    client.send(b"abcde", request("/2"))
    second = upstream.accept() if server.expect_gone() == b"" else server
    assert second.read_request().head.start == "GET /2 HTTP/1.1"
    second.send(response(b"2"))
    assert client.read_response().body == b"2"


def test_body_without_waiting_for_continue(service, upstream):
    client = service.connect()
    client.send(request("/", "PUT", EXPECT), b"abcde")
    server = upstream.accept()
    server.read_head()
    assert server.read_exactly(5) == b"abcde"
    server.send(b"HTTP/1.1 100 Continue\r\n\r\n", response(b"done"))
    got = client.read_response()
    if got.status == 100:
        got = client.read_response()
    assert got.body == b"done"


def test_expect_with_chunked(service, upstream):
    client = service.connect()
    client.send(request("/", "PUT", ["Expect: 100-continue", "Transfer-Encoding: chunked"]))
    server = upstream.accept()
    server.read_head()
    server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.read_response().status == 100
    client.send(b"3\r\nabc\r\n0\r\n\r\n")
    assert server.read_chunks() == ([b"abc"], [])
    server.send(response())
    assert client.read_response().status == 200


def test_expect_of_an_http_1_0_client_is_ignored(service, upstream):
    """RFC 9110 section 10.1.1: and it must not be sent a 100 either."""
    client = service.connect()
    client.send(b"PUT / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde")
    server = upstream.accept()
    server.read_head()
    assert server.read_exactly(5) == b"abcde"
    server.send(b"HTTP/1.1 100 Continue\r\n\r\n", response(b"done"))
    got = client.read_response()
    assert (got.status, got.body) == (200, b"done")


def test_expect_when_nobody_is_there(services):
    """The answer comes at once; a body that comes all the same is not taken for a request."""
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        service = services([], policy=f'endpoints: ["127.0.0.1:{dead.getsockname()[1]}"]\n')
        client = service.connect()
        body = request("/smuggled")
        client.send(request("/", "PUT", ["Expect: 100-continue", f"Content-Length: {len(body)}"]))
        got = client.read_response()
        assert (got.status, got.reason) == (503, "connect-failed")
        client.send(body)
        client.expect_gone()
        assert service.settle()["requests"] == 1


@pytest.mark.parametrize("value", ["101-switch", "100-continue, x", "x", "100-continue=1", '"100-continue"'])
def test_unknown_expectations(service, upstream, value):
    client = service.connect()
    client.send(request("/", "PUT", [f"Expect: {value}", "Content-Length: 5"]))
    got = client.read_response()
    assert (got.status, got.reason) == (417, "bad-expect")
    client.expect_gone()
    upstream.expect_none()


@pytest.mark.parametrize("interim", [[100], [102], [103], [103, 103], [100, 103], [199], [103] * 20])
def test_interim_responses_pass(service, upstream, interim):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    for status in interim:
        server.send(b"HTTP/1.1 %d Some\r\nLink: </s.css>; rel=preload\r\n\r\n" % status)
        if status != 100:  # one that nobody asked for may be dropped
            got = client.read_response()
            while got.status == 100:
                got = client.read_response()
            assert got.status == status and got.head.get("link") == "</s.css>; rel=preload"
    server.send(response(b"final"))
    got = client.read_response()
    while got.status == 100:
        got = client.read_response()
    assert got.body == b"final"
    client.send(request("/2"))
    server.read_request()
    server.send(response(b"next"))
    assert client.read_response().body == b"next"


@pytest.mark.parametrize("policy", ["", "via: true\n"])
@pytest.mark.parametrize("one", [b"HTTP/1.1 103 Early Hints\r\nLink: <" + b"x" * 400 + b">\r\n\r\n",
                                 b"HTTP/1.1 103 \r\n\r\n"])
def test_many_interim_responses(services, policy, one):
    """More than a buffer of them, to a client that reads late: they wait their turn as all bytes do, also
    where each one grows on its way."""
    service = services(policy=policy)
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    sender = threading.Thread(target=server.send, args=(one * 10000, response(b"final")))
    sender.start()
    time.sleep(0.3)
    for i in range(10000):
        assert client.read_response().status == 103, i
    assert client.read_response().body == b"final"
    sender.join()
    assert service.settle()["status"] == [0, 10000, 1, 0, 0, 0]


def test_no_interim_response_to_an_http_1_0_client(service, upstream):
    client = service.connect()
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 103 Early Hints\r\n\r\n", response(b"final"))
    got = client.read_response()
    assert (got.status, got.body) == (200, b"final")


def test_early_response_while_the_body_is_under_way(service, upstream):
    """The server answers and goes on reading: both directions stay right."""
    client = service.connect()
    client.send(request("/", "POST", ["Content-Length: 100000"]), b"a" * 1000)
    server = upstream.accept()
    server.read_head()
    server.read_exactly(1000)
    server.send(response(b"early"))
    got = client.read_response()
    assert got.body == b"early"
    if "close" in got.head.tokens("connection"):
        client.send(b"b" * 99000)
        client.expect_gone()
        return
    client.send(b"b" * 99000, request("/2"))
    try:
        assert server.read_exactly(99000) == b"b" * 99000
    except (WireError, ConnectionResetError):  # the relay may give this server up and swallow the rest
        server = upstream.accept()
    assert server.read_request().head.start == "GET /2 HTTP/1.1"
    server.send(response(b"2"))
    assert client.read_response().body == b"2"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_early_response_and_the_server_leaves(service, upstream, how):
    """An upload that is refused in the middle: the client gets the response, not a broken connection."""
    client = service.connect()
    client.send(request("/", "POST", ["Content-Length: 10000000"]), b"a" * 1000)
    server = upstream.accept()
    server.read_head()
    server.read_exactly(1000)
    server.send(response(b"too much", "413 Content Too Large", ["Connection: close"]))
    got = client.read_response()
    assert (got.status, got.body) == (413, b"too much")
    getattr(server, how)()
    service.settle()


def test_early_response_reaches_a_client_that_only_sends(service, upstream):
    """The client sends all of it before it reads: what comes too late is swallowed."""
    client = service.connect()
    client.send(request("/", "POST", ["Content-Length: 200000"]))
    server = upstream.accept()
    server.read_head()
    server.send(response(b"no", "403 Forbidden", ["Connection: close"]))
    server.close()
    try:
        client.send(b"a" * 200000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = client.read_response()
    assert (got.status, got.body) == (403, b"no")


# tunnels

def open_tunnel(service, upstream, more=b""):
    client = service.connect()
    client.send(request("/chat", fields=UPGRADE))
    server = upstream.accept()
    head = server.read_head()
    assert head.tokens("connection") == ["upgrade"] and head.all("upgrade") == ["websocket"]
    assert head.get("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="
    server.send(SWITCH + more)
    head = client.read_head()
    assert head.start == "HTTP/1.1 101 Switching Protocols"
    assert head.tokens("connection") == ["upgrade"] and head.all("upgrade") == ["websocket"]
    assert head.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    return client, server


def test_tunnel_carries_bytes_as_they_are(service, upstream):
    client, server = open_tunnel(service, upstream)
    for data in (b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"\n\0\xff", os.urandom(100000)):
        client.send(data)
        assert server.read_exactly(len(data)) == data
        server.send(data[::-1])
        assert client.read_exactly(len(data)) == data[::-1]
    client.close()
    server.expect_end()
    server.close()
    counters = service.settle()
    assert counters["status"][1] == 1 and counters["reasons"] == {}


def test_tunnel_bytes_right_behind_the_heads(service, upstream):
    client, server = open_tunnel(service, upstream, more=b"server first")
    assert client.read_exactly(12) == b"server first"


def test_tunnel_bytes_sent_with_the_request(service, upstream):
    """A client in a hurry: what it sends before the 101 belongs to the tunnel, or the request is refused."""
    client = service.connect()
    client.send(request("/chat", fields=UPGRADE), b"early")
    server = upstream.accept()
    server.read_head()
    server.send(SWITCH)
    assert client.read_head().start.startswith("HTTP/1.1 101 ")
    client.send(b" and late")
    assert server.read_exactly(14) == b"early and late"


@pytest.mark.parametrize("first", ["client", "server"])
def test_tunnel_half_close(service, upstream, first):
    client, server = open_tunnel(service, upstream)
    one, other = (client, server) if first == "client" else (server, client)
    one.send(b"last words")
    one.shutdown()
    assert other.read_to_end() == b"last words"
    for i in range(10):
        other.send(b"%d" % i * 10000)
        assert one.read_exactly(10000) == b"%d" % i * 10000
    other.close()
    one.expect_end()
    service.settle()


@pytest.mark.parametrize("first", ["client", "server"])
def test_tunnel_reset(service, upstream, first):
    client, server = open_tunnel(service, upstream)
    one, other = (client, server) if first == "client" else (server, client)
    one.reset()
    other.expect_gone()
    service.settle()


def test_tunnel_full_both_ways(service, upstream):
    """Both sides send 8 MiB without reading first; neither starves the other."""
    client, server = open_tunnel(service, upstream)
    size = 8 << 20
    up, down = os.urandom(size), os.urandom(size)
    senders = [threading.Thread(target=client.send, args=(up,)),
               threading.Thread(target=server.send, args=(down,))]
    for s in senders:
        s.start()
    received = {}
    readers = [threading.Thread(target=lambda: received.update(up=server.read_exactly(size))),
               threading.Thread(target=lambda: received.update(down=client.read_exactly(size)))]
    for r in readers:
        r.start()
    for t in senders + readers:
        t.join()
    assert received["up"] == up and received["down"] == down


def test_upgrade_that_the_server_does_not_take(service, upstream):
    client = service.connect()
    client.send(request("/chat", fields=UPGRADE))
    server = upstream.accept()
    server.read_head()
    server.send(response(b"plain"))
    got = client.read_response()
    assert (got.status, got.body) == (200, b"plain")
    if "close" not in got.head.tokens("connection"):
        client.send(request("/2"))
        server = upstream.accept() if server.eof else server
        assert server.read_request().head.start == "GET /2 HTTP/1.1"
        server.send(response())
        assert client.read_response().status == 200


def test_426_passes(service, upstream):
    client = service.connect()
    client.send(request("/chat"))
    server = upstream.accept()
    server.read_head()
    server.send(response(b"", "426 Upgrade Required", ["Upgrade: websocket", "Connection: Upgrade"]))
    got = client.read_response()
    assert got.status == 426 and got.head.all("upgrade") == ["websocket"]


def test_switching_unasked_is_an_error(service, upstream):
    client = service.connect()
    client.send(request("/"))
    server = upstream.accept()
    server.read_request()
    server.send(SWITCH)
    got = client.read_response()
    assert got.status == 502 and got.reason == "upstream-bad-head"
    server.expect_gone()
    assert service.settle()["reasons"] == {"upstream-bad-head": 1}


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 5"])
def test_upgrade_with_a_body(service, upstream, framing):
    """The tunnel begins where the body has ended, and not before (RFC 9110 section 7.8)."""
    body = b"5\r\nabcde\r\n0\r\n\r\n" if "chunked" in framing else b"abcde"
    client = service.connect()
    client.send(request("/", "POST", UPGRADE + [framing]), body, b"tunnel")
    server = upstream.accept()
    assert server.read_request().body == b"abcde"
    server.expect_silence()
    server.send(SWITCH)
    assert client.read_head().start.startswith("HTTP/1.1 101 ")
    assert server.read_exactly(6) == b"tunnel"


def test_switching_before_the_body_has_ended_is_an_error(service, upstream):
    client = service.connect()
    client.send(request("/", "POST", UPGRADE + ["Content-Length: 5"]), b"ab")
    server = upstream.accept()
    server.read_head()
    server.send(SWITCH)
    got = client.read_response()
    assert (got.status, got.reason) == (502, "upstream-bad-head")
    server.expect_gone()


def test_h2c_upgrade_does_not_reach_the_server(service, upstream):
    """RFC 9113 has withdrawn it; a tunnel of it would carry requests past the policy."""
    client = service.connect()
    client.send(request("/", fields=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                     "HTTP2-Settings: AAMAAABk"]))
    upstream.listener.settimeout(0.5)
    try:
        server = upstream.accept()
    except TimeoutError:
        assert client.read_response().reason == "bad-upgrade"
        return
    head = server.read_request().head
    assert not head.all("upgrade") and not head.all("http2-settings")
    server.send(response())
    assert client.read_response().status == 200
