# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where messages end, however they are cut up on the way (RFC 9112 section 6), keep-alive and pipelining."""

import hashlib
import os
import random
import threading

import pytest

from relay_wire import Upstream, chunked, request, response


@pytest.fixture
def pair(service, upstream):
    """A client whose first request is at the server already, and that server."""
    client = service.connect()
    client.send(request("/first"))
    server = upstream.accept()
    server.read_request()
    server.send(response(b"first"))
    assert client.read_response().body == b"first"
    return client, server


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZES = [0, 1, 2, 4095, 4096, 16384, 65535, 65536, 65537, 300000]


@pytest.mark.parametrize("size", SIZES)
def test_bodies_by_length(pair, size):
    client, server = pair
    up, down = os.urandom(size), os.urandom(size)
    client.send(request("/b", "POST", body=up))
    seen = server.read_request()
    assert seen.head.content_length() == size and seen.body == up
    server.send(response(down))
    got = client.read_response()
    assert got.head.content_length() == size and got.body == down


@pytest.mark.parametrize("sizes", [[], [1], [1, 2, 3], [16384] * 3, [65536, 1, 65535], [1] * 500, [300000]])
@pytest.mark.parametrize("extension", [b"", b";a", b";a=b", b';a="b;\\"c"'])
def test_chunked_bodies(pair, sizes, extension):
    client, server = pair
    parts = [os.urandom(n) for n in sizes]
    client.send(request("/b", "POST", ["Transfer-Encoding: chunked"]), chunked(*parts, extension=extension))
    seen = server.read_request()
    assert seen.trailers == [] and seen.body == b"".join(parts)
    server.send(CHUNKED, chunked(*parts, extension=extension))
    got = client.read_response()
    assert got.trailers == [] and got.body == b"".join(parts)
    client.send(request("/after"))
    assert server.read_request().head.start == "GET /after HTTP/1.1"
    server.send(response())
    assert client.read_response().status == 200


@pytest.mark.parametrize("digits", [b"00000003", b"3", b"03"])
def test_leading_zeros_in_a_chunk_size(pair, digits):
    client, server = pair
    client.send(request("/b", "POST", ["Transfer-Encoding: chunked"]), digits, b"\r\nabc\r\n0\r\n\r\n")
    assert server.read_request().body == b"abc"
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", digits, b"\r\nabc\r\n000\r\n\r\n")
    assert client.read_response().body == b"abc"


def test_chunk_sizes_in_either_case(pair):
    client, server = pair
    body = b"x" * 0xAB
    client.send(request("/b", "POST", ["Transfer-Encoding: CHUNKED"]), b"aB\r\n", body, b"\r\n0\r\n\r\n")
    assert server.read_request().body == body
    server.send(response())
    assert client.read_response().status == 200


def test_trailers_pass_both_ways(pair):
    client, server = pair
    client.send(request("/t", "POST", ["Transfer-Encoding: chunked", "Trailer: X-Sum"]),
                chunked(b"abc", trailers=["X-Sum: 1", "X-More: 2"]))
    assert server.read_request().trailers == [("X-Sum", "1"), ("X-More", "2")]
    server.send(b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n",
                chunked(b"def", trailers=["X-Sum: 3", "X-Late: 4"]))
    assert client.read_response().trailers == [("X-Sum", "3"), ("X-Late", "4")]


def test_each_chunk_goes_on_at_once(service, upstream):
    """Server-sent events and the like: no chunk waits for the next one."""
    client = service.connect()
    client.send(request("/s", "POST", ["Transfer-Encoding: chunked"]))
    server = upstream.accept()
    assert server.read_head().chunked()
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.read_head().chunked()
    for i in range(20):
        client.send(b"4\r\nc%03d\r\n" % i)
        assert server.read_until(b"c%03d" % i)
        server.send(b"4\r\ns%03d\r\n" % i)
        assert client.read_until(b"s%03d" % i)
    client.send(b"0\r\n\r\n")
    server.read_until(b"0\r\n\r\n")
    server.send(b"0\r\n\r\n")
    client.read_until(b"0\r\n\r\n")


def test_each_byte_of_a_known_length_goes_on_at_once(service, upstream):
    client = service.connect()
    client.send(request("/", "POST", ["Content-Length: 20"]))
    server = upstream.accept()
    server.read_head()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    client.read_head()
    for i in range(20):
        client.send(b"%c" % (65 + i))
        assert server.read_exactly(1) == b"%c" % (65 + i)
        server.send(b"%c" % (97 + i))
        assert client.read_exactly(1) == b"%c" % (97 + i)


def test_response_until_close(service, upstream):
    """Without a length, the end of the connection is the end of the body."""
    client = service.connect()
    body = os.urandom(200000)
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\n", body)
    server.close()
    got = client.read_response()
    assert got.body == body
    if got.trailers is None:  # not turned into chunks: then the connection has to end too
        client.expect_end()
    else:
        client.send(request("/2"))
        second = upstream.accept()
        second.read_request()
        second.send(response())
        assert client.read_response().status == 200
    assert service.settle()["reasons"] == {}


def test_empty_response_until_close(service, upstream):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\n\r\n")
    server.close()
    assert client.read_response().body == b""


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("fields", [b"", b"Content-Length: 1000\r\n", b"ETag: x\r\n",
                                    b"Transfer-Encoding: chunked\r\n"])
def test_statuses_without_a_body(pair, status, fields):
    client, server = pair
    client.send(request("/1"))
    server.read_request()
    server.send(b"HTTP/1.1 " + status.encode() + b"\r\n" + fields + b"\r\n")
    got = client.read_response()
    assert got.status == int(status[:3])
    if status.startswith("304") and b"Length" in fields:
        assert got.head.all("content-length") == ["1000"]
    if status.startswith("204"):
        assert not got.head.all("transfer-encoding") and not got.head.all("content-length")
    client.send(request("/2"))
    assert server.read_request().head.start.startswith("GET /2 ")
    server.send(response(b"next"))
    assert client.read_response().body == b"next"


@pytest.mark.parametrize("fields", [b"Content-Length: 12345\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_head_responses_have_no_body(pair, fields):
    client, server = pair
    client.send(request("/1", "HEAD"))
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
    got = client.read_response("HEAD")
    assert got.status == 200
    assert got.head.all("content-length") == (["12345"] if b"Length" in fields else [])
    client.send(request("/2"))
    assert server.read_request().head.start.startswith("GET /2 ")
    server.send(response(b"next"))
    assert client.read_response().body == b"next"


def test_get_with_a_body(pair):
    client, server = pair
    client.send(request("/1", "GET", body=b"a query"))
    assert server.read_request().body == b"a query"
    server.send(response())
    assert client.read_response().status == 200


# HTTP/1.0 and persistence

def test_http_1_0_client_gets_its_close(service, upstream):
    client = service.connect()
    client.send(b"GET /old HTTP/1.0\r\nHost: example.test\r\n\r\n")
    server = upstream.accept()
    assert server.read_request().head.start == "GET /old HTTP/1.1"
    server.send(response(b"body"))
    assert client.read_response().body == b"body"
    client.expect_end()
    # the endpoint's connection is as good as before
    other = service.connect()
    other.send(request("/new"))
    assert server.read_request().head.start == "GET /new HTTP/1.1"
    server.send(response())
    assert other.read_response().status == 200


def test_http_1_0_client_without_host(service, upstream):
    client = service.connect()
    client.send(b"GET /old HTTP/1.0\r\n\r\n")
    server = upstream.accept()
    assert len(server.read_request().head.all("host")) == 1, "HTTP/1.1 needs a Host"
    server.send(response())
    assert client.read_response().status == 200
    client.expect_end()


def test_http_1_0_keep_alive(service, upstream):
    client = service.connect()
    for i in range(3):
        client.send(b"GET /%d HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n" % i)
        server = upstream.wire()
        assert server.read_request().head.start == f"GET /{i} HTTP/1.1"
        server.send(response(b"%d" % i))
        got = client.read_response()
        assert got.body == b"%d" % i
        if "keep-alive" not in got.head.tokens("connection"):
            client.expect_end()
            return


def test_http_1_0_client_never_sees_chunks(service, upstream):
    client = service.connect()
    client.send(b"GET /old HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
    server = upstream.accept()
    server.read_request()
    server.send(CHUNKED, chunked(b"abc", b"def", trailers=["X: y"]))
    head = client.read_head()
    assert not head.all("transfer-encoding") and head.content_length() is None
    assert "keep-alive" not in head.tokens("connection")
    assert client.read_to_end() == b"abcdef"


def test_http_1_0_server(service, upstream):
    """Without keep-alive its connection is used once; the client's lives on if the length is known."""
    client = service.connect()
    for i in range(3):
        client.send(request(f"/{i}"))
        server = upstream.accept()
        assert server.read_request().head.start == f"GET /{i} HTTP/1.1"
        server.send(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n%d" % i)
        got = client.read_response()
        assert got.head.start == "HTTP/1.1 200 OK" and got.body == b"%d" % i
        server.expect_gone()


def test_http_1_0_server_with_keep_alive(service, upstream):
    client = service.connect()
    for i in range(3):
        client.send(request(f"/{i}"))
        server = upstream.wire()
        server.read_request()
        server.send(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n%d" % i)
        assert client.read_response().body == b"%d" % i
    assert len(upstream.wires) == 1 or not upstream.expect_none()


def test_client_close_is_honoured(service, upstream):
    client = service.connect()
    client.send(request("/1", fields=["Connection: close"]), request("/2"))
    server = upstream.accept()
    server.read_request()
    server.send(response(b"bye"))
    got = client.read_response()
    assert got.body == b"bye" and "close" in got.head.tokens("connection")
    client.expect_gone()
    server.expect_silence()


def test_server_close_is_honoured(service, upstream):
    """It ends the server's connection, not the client's."""
    client = service.connect()
    for i in range(3):
        client.send(request(f"/{i}"))
        server = upstream.accept()
        server.read_request()
        server.send(response(b"%d" % i, fields=["Connection: close"]))
        got = client.read_response()
        assert got.body == b"%d" % i and "close" not in got.head.tokens("connection")
        server.expect_gone()


def test_connections_are_reused(service, upstream):
    for _ in range(5):
        client = service.connect()
        for i in range(20):
            client.send(request(f"/{i}"))
            server = upstream.wire()
            server.read_request()
            server.send(response())
            client.read_response()
        client.close()
    assert len(upstream.wires) == 1
    upstream.expect_none()
    assert service.settle()["requests"] == 100


# pipelining

def test_pipelined_requests_are_answered_in_order(service, upstream):
    client = service.connect()
    n = 50
    client.send(*(request(f"/{i}") for i in range(n)))
    server = upstream.accept()
    for i in range(n):
        assert server.read_request().head.start == f"GET /{i} HTTP/1.1"
        server.send(response(b"%d" % i))
    for i in range(n):
        assert client.read_response().body == b"%d" % i
    assert service.settle()["requests"] == n


def test_pipelined_mixture(service):
    pipeline_mixture(service)


def test_pipelined_mixture_through_the_smallest_buffers(own_lab):
    """So that nearly every message is larger than what the relay holds of it."""
    service = own_lab(buffer_bytes=4096, head_bytes=1024).service([Upstream()])
    pipeline_mixture(service)
    service.finish()


def pipeline_mixture(service):
    """Methods, framings and sizes in one stream, sent in segments of any size while answers come back."""
    generator = random.Random(1)
    messages = []
    for i in range(60):
        body = generator.randbytes(generator.choice([0, 1, 100, 5000, 70000]))
        kind = generator.choice(["get", "head", "length", "chunked", "trailer", "delete"])
        target = f"/{kind}/{i}"
        if kind in ("get", "head", "delete"):
            messages.append((kind.upper(), target, b"", request(target, kind.upper())))
        elif kind == "length":
            messages.append(("PUT", target, body, request(target, "PUT", body=body)))
        else:
            cut = len(body) // 3
            parts = [part for part in (body[:cut], body[cut:]) if part]
            raw = request(target, "POST", ["Transfer-Encoding: chunked"])
            raw += chunked(*parts, trailers=["X-T: t"] if kind == "trailer" else ())
            messages.append(("POST", target, body, raw))
    stream = b"".join(m[3] for m in messages)
    client = service.connect()

    def send():
        rest = stream
        while rest:
            n = generator.choice([1, 7, 100, 1460, 20000, 100000])
            client.send(rest[:n])
            rest = rest[n:]

    sender = threading.Thread(target=send)
    sender.start()
    server = service.upstreams[0].accept()
    for method, target, body, _ in messages:
        seen = server.read_request()
        assert seen.head.start == f"{method} {target} HTTP/1.1"
        assert seen.body == body
        answer = hashlib.sha256(body).hexdigest().encode() * 100
        if method == "HEAD":
            server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6400\r\n\r\n")
        elif method == "DELETE":
            server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif method == "POST":
            server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(answer))
        else:
            server.send(response(answer))
        got = client.read_response(method)
        assert got.status == (204 if method == "DELETE" else 200)
        assert got.body == (b"" if method in ("HEAD", "DELETE") else answer)
    sender.join()
    assert service.settle()["requests"] == len(messages)


def test_pipelined_request_behind_one_that_is_refused(service, upstream):
    client = service.connect()
    client.send(request("/good"), b"BAD\x00\r\n\r\n", request("/never"))
    server = upstream.accept()
    assert server.read_request().head.start == "GET /good HTTP/1.1"
    server.send(response(b"good"))
    assert client.read_response().body == b"good"
    assert client.read_response().status == 400
    client.expect_gone()
    server.expect_silence()


# how bytes are cut

def test_bytewise_both_ways(service, upstream):
    client = service.connect()
    client.send_bytewise(request("/1", "POST", ["Transfer-Encoding: chunked"]))
    client.send_bytewise(chunked(b"abc", b"defgh", trailers=["X: y"]))
    server = upstream.accept()
    assert server.read_request().body == b"abcdefgh"
    server.send_bytewise(CHUNKED + chunked(b"12", b"345", trailers=["A: b"]))
    got = client.read_response()
    assert got.body == b"12345" and got.trailers == [("A", "b")]
    client.send_bytewise(request("/2", "POST", body=b"xyz"))
    assert server.read_request().body == b"xyz"
    server.send_bytewise(response(b"uvw", fields=["X-A: b"]))
    assert client.read_response().body == b"uvw"


BODY = chunked(b"abc", b"d", trailers=["T: t"])
REQUEST = request("/s", "POST", ["X: y", "Transfer-Encoding: chunked"]) + BODY
RESPONSE = b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY


def test_request_split_anywhere(pair):
    client, server = pair
    for at in range(1, len(REQUEST)):
        client.send_split(REQUEST, at, 0.003)
        seen = server.read_request()
        assert seen.body == b"abcd" and seen.trailers == [("T", "t")] and seen.head.get("x") == "y", at
        server.send(response())
        assert client.read_response().body == b"ok", at


def test_response_split_anywhere(pair):
    client, server = pair
    for at in range(1, len(RESPONSE)):
        client.send(request())
        server.read_request()
        server.send_split(RESPONSE, at, 0.003)
        got = client.read_response()
        assert got.body == b"abcd" and got.trailers == [("T", "t")] and got.head.get("x") == "y", at


def test_two_requests_split_anywhere(pair):
    """So that the end of one and the start of the next share a segment."""
    client, server = pair
    raw = request("/1", "POST", body=b"abc") + request("/2")
    for at in range(1, len(raw)):
        client.send_split(raw, at, 0.003)
        assert server.read_request().body == b"abc"
        server.send(response(b"1"))
        assert server.read_request().head.start == "GET /2 HTTP/1.1"
        server.send(response(b"2"))
        assert client.read_response().body == b"1" and client.read_response().body == b"2"


def test_client_that_sends_and_shuts_down(service, upstream):
    """Half-close after a request: it is answered all the same."""
    client = service.connect()
    client.send(request("/", "POST", body=b"abc"))
    client.shutdown()
    server = upstream.accept()
    assert server.read_request().body == b"abc"
    server.send(response(b"x" * 100000))
    assert client.read_response().body == b"x" * 100000
    client.expect_end()
    assert service.settle()["reasons"] == {}


def test_pipeline_then_shutdown(service, upstream):
    client = service.connect()
    client.send(*(request(f"/{i}") for i in range(5)))
    client.shutdown()
    server = upstream.accept()
    for i in range(5):
        server.read_request()
        server.send(response(b"%d" % i))
    for i in range(5):
        assert client.read_response().body == b"%d" % i
    client.expect_end()
