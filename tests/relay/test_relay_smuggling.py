# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests that two parties could read differently: refused by name, the connection closed, nothing of what
follows passed on (RFC 9112 sections 2.2, 5, 6, 7, 11.2)."""

import time

import pytest

from relay_wire import Upstream, request, response

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: example.test\r\n\r\n"
HOST = b"Host: example.test\r\n"
TE = b"Transfer-Encoding: chunked"


def post(*lines):
    return b"POST / HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def get(*lines):
    return b"GET / HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def line(text, *lines):
    return text + b"\r\n" + HOST + b"".join(each + b"\r\n" for each in lines) + b"\r\n"


# Name: (what is sent, status, reasons that fit). The head says it all: no endpoint may be connected to.
HEADS = {
    # both lengths
    "cl-te": (post(b"Content-Length: 6", TE) + b"0\r\n\r\nX", 400, "length-and-chunked"),
    "te-cl": (post(TE, b"Content-Length: 4") + b"0\r\n\r\n", 400, "length-and-chunked"),
    "cl0-te": (post(b"Content-Length: 0", TE) + b"0\r\n\r\n", 400, "length-and-chunked"),
    "te-cl-hidden-by-connection": (post(b"Connection: Content-Length", TE, b"Content-Length: 4") + b"0\r\n",
                                   400, "length-and-chunked"),
    # Transfer-Encoding that is not plainly chunked
    **{f"te-{name}": (post(b"Transfer-Encoding:" + value) + b"0\r\n\r\n", 400, "bad-transfer-encoding")
       for name, value in {
           "xchunked": b" xchunked", "chunkedx": b" chunkedx", "identity": b" identity", "empty": b"",
           "comma": b" ,", "twice-in-one": b" chunked, chunked", "chunked-then-gzip": b" chunked, gzip",
           "gzip-then-chunked": b" gzip, chunked", "quoted": b' "chunked"', "parameter": b" chunked;q=1",
           "semicolon": b" chunked;", "identity-then-chunked": b" identity, chunked", "dot": b" chunked.",
           "high-bytes": b" chunked\xff", "inner-space": b" chun ked", "cow": b" cow"}.items()},
    "te-te": (post(TE, b"Transfer-Encoding: cow") + b"0\r\n\r\n", 400, "bad-transfer-encoding"),
    "te-te-same": (post(TE, TE) + b"0\r\n\r\n", 400, "bad-transfer-encoding"),
    "te-cow-te": (post(b"Transfer-Encoding: cow", TE) + b"0\r\n\r\n", 400, "bad-transfer-encoding"),
    "te-vertical-tab": (post(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n", 400,
                        "bad-transfer-encoding bad-field-value"),
    "te-nul": (post(b"Transfer-Encoding: chunked\0") + b"0\r\n\r\n", 400, "bad-field-value"),
    "te-http-1.0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
                    "bad-transfer-encoding"),
    "te-space-colon": (post(b"Transfer-Encoding : chunked") + b"0\r\n\r\n", 400, "space-before-colon"),
    "te-tab-colon": (post(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n", 400, "space-before-colon"),
    "te-folded": (post(b"Transfer-Encoding:", b" chunked") + b"0\r\n\r\n", 400,
                  "obs-fold bad-transfer-encoding"),
    "te-after-bare-lf": (post(b"X: y\n" + TE) + b"0\r\n\r\n", 400, "bare-lf"),
    "te-after-bare-cr": (post(b"X: y\r" + TE) + b"0\r\n\r\n", 400, "bare-lf bad-field-value"),
    # Content-Length
    **{f"cl-{name}": (post(b"Content-Length:" + value) + b"abcde", 400, "bad-length")
       for name, value in {
           "plus": b" +5", "minus": b" -5", "minus-zero": b" -0", "hex": b" 0x5", "empty": b"",
           "letter": b" 5a", "point": b" 5.0", "exponent": b" 5e0", "inner-space": b" 5 5",
           "semicolon": b" 5;", "quoted": b' "5"', "word": b" five",
           "underscore": b" 1_0", "arabic": " \u0665".encode(), "2^64": b" 18446744073709551616",
           "2^64+5": b" 18446744073709551621", "forty-digits": b" " + b"9" * 40}.items()},
    "cl-list": (post(b"Content-Length: 5, 5") + b"abcde", 400, "bad-length duplicate-length"),
    "cl-list-differs": (post(b"Content-Length: 5, 6") + b"abcde", 400, "bad-length duplicate-length"),
    "cl-twice": (post(b"Content-Length: 5", b"Content-Length: 5") + b"abcde", 400, "duplicate-length"),
    "cl-twice-differs": (post(b"Content-Length: 5", b"Content-Length: 0") + b"abcde", 400,
                         "duplicate-length"),
    "cl-twice-apart": (post(b"Content-Length: 0", b"X: y", b"content-length: 44"), 400, "duplicate-length"),
    "cl-space-colon": (post(b"Content-Length : 5") + b"abcde", 400, "space-before-colon"),
    "cl-folded": (post(b"Content-Length: 5", b"\t6") + b"abcde", 400, "obs-fold bad-length"),
    # lines
    "bare-lf-everywhere": (b"GET / HTTP/1.1\nHost: example.test\n\n", 400, "bare-lf"),
    "bare-lf-in-request-line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400, "bare-lf"),
    "bare-lf-in-field": (b"GET / HTTP/1.1\r\nHost: example.test\nX: y\r\n\r\n", 400, "bare-lf"),
    "bare-lf-at-end": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", 400, "bare-lf"),
    "bare-cr-in-request-line": (line(b"GET / HTTP/1.1\rX"), 400, "bare-lf bad-version bad-request-line"),
    "bare-cr-in-value": (get(b"X: a\rb"), 400, "bare-lf bad-field-value"),
    "bare-cr-in-name": (get(b"X\rY: b"), 400, "bare-lf bad-field-name"),
    "cr-cr-lf": (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\r\n\r\n", 400, "bare-lf bad-field-value"),
    "obs-fold-space": (get(b"X: y", b" z"), 400, "obs-fold"),
    "obs-fold-tab": (get(b"X: y", b"\tTransfer-Encoding: chunked"), 400, "obs-fold"),
    "obs-fold-first": (line(b"GET / HTTP/1.1").replace(b"Host", b" Host"), 400, "obs-fold bad-field-name"),
    "obs-fold-blank": (get(b"X: y", b" "), 400, "obs-fold"),
    # field names
    "space-before-colon": (get(b"X : y"), 400, "space-before-colon"),
    "no-colon": (get(b"Xyz"), 400, "bad-field-name"),
    "no-name": (get(b": y"), 400, "bad-field-name"),
    "name-with-space": (get(b"X y: z"), 400, "bad-field-name space-before-colon"),
    **{f"name-with-{b:02x}": (get(b"X" + bytes([b]) + b"Y: z"), 400, "bad-field-name")
       for b in b"\x00\x01\x0b\x1f\x7f\x80\xff\"(),/;<=>?@[\\]{}"},
    # field values
    **{f"value-with-{b:02x}": (get(b"X: y" + bytes([b]) + b"z"), 400, "bad-field-value")
       for b in b"\x00\x01\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f"},
    # request line
    "method-empty": (line(b" / HTTP/1.1"), 400, "bad-request-line"),
    "method-with-colon": (line(b"G:T / HTTP/1.1"), 400, "bad-request-line"),
    "method-with-nul": (line(b"G\0T / HTTP/1.1"), 400, "bad-request-line"),
    "space-twice": (line(b"GET  / HTTP/1.1"), 400, "bad-request-line bad-target"),
    "space-twice-before-version": (line(b"GET /  HTTP/1.1"), 400, "bad-request-line bad-target bad-version"),
    "tabs": (line(b"GET\t/\tHTTP/1.1"), 400, "bad-request-line"),
    "space-in-target": (line(b"GET /a b HTTP/1.1"), 400, "bad-request-line bad-target bad-version"),
    "space-at-end": (line(b"GET / HTTP/1.1 "), 400, "bad-request-line bad-version"),
    "space-first": (line(b" GET / HTTP/1.1"), 400, "bad-request-line"),
    "http-0.9": (b"GET /\r\n\r\n", 400, "bad-request-line bad-version"),
    "no-target": (line(b"GET HTTP/1.1"), 400, "bad-request-line bad-target bad-version"),
    "word": (line(b"GET"), 400, "bad-request-line"),
    "http2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad-version bad-target"),
    **{f"version-{name}": (line(b"GET / " + value), 505, "bad-version bad-request-line")
       for name, value in {"2.0": b"HTTP/2.0", "1.2": b"HTTP/1.2", "0.9": b"HTTP/0.9", "1.10": b"HTTP/1.10",
                           "1": b"HTTP/1", "lower": b"http/1.1", "other": b"HTTQ/1.1", "comma": b"HTTP/1,1",
                           "01.1": b"HTTP/01.1", "long": b"HTTP/1.1.1", "empty": b""}.items()},
    # targets
    **{f"target-with-{b:02x}": (line(b"GET /a%cb HTTP/1.1" % b), 400, "bad-target bad-request-line")
       for b in b"\x00\x01\x0b\x1f\x7f"},
    "target-no-slash": (line(b"GET a HTTP/1.1"), 400, "bad-target"),
    "target-star": (line(b"GET * HTTP/1.1"), 400, "bad-target"),
    "target-ftp": (line(b"GET ftp://x/ HTTP/1.1"), 400, "bad-target"),
    "target-authority": (line(b"GET example.test:80 HTTP/1.1"), 400, "bad-target"),
    "target-user": (line(b"GET http://user@example.test/ HTTP/1.1"), 400, "bad-target bad-host"),
    "target-no-host": (line(b"GET http:///x HTTP/1.1"), 400, "bad-target bad-host"),
    "target-host-with-space": (line(b"GET http://a b/ HTTP/1.1"), 400,
                               "bad-target bad-request-line bad-version"),
    "target-fragment": (line(b"GET /a#b HTTP/1.1"), 400, "bad-target"),
    "target-crlf": (b"GET /a\r\nX: HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad-request-line bad-version"),
    # Host
    "host-none": (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-host"),
    "host-twice": (get(b"Host: example.test"), 400, "bad-host"),
    "host-twice-differs": (get(b"host: other.test"), 400, "bad-host"),
    **{f"host-{name}": (b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", 400, "bad-host")
       for name, value in {"space": b"a b", "slash": b"a/b", "user": b"u@a", "list": b"a, b", "port": b"a:b",
                           "port-twice": b"a:1:2", "bracket": b"[::1", "not-v6": b"[g]", "question": b"a?b",
                           "hash": b"a#b", "high": b"a\xff", "backslash": b"a\\b",
                           "port-large": b"a:65536"}.items()},
    "host-none-absolute": (b"GET http://example.test/ HTTP/1.1\r\n\r\n", 400, "bad-host"),
    "host-bad-absolute": (b"GET http://example.test/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad-host"),
}

# Name: (lines of a chunked body, whether the whole may have been passed on before the error was met)
CHUNKS = {
    "size-empty": b"\r\nabc\r\n0\r\n\r\n",
    "size-word": b"g\r\nabc\r\n0\r\n\r\n",
    "size-minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "size-plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size-0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size-space-first": b" 3\r\nabc\r\n0\r\n\r\n",
    "size-space-in": b"1 0\r\nabc\r\n0\r\n\r\n",
    "size-underscore": b"1_0\r\nabc\r\n0\r\n\r\n",
    "size-2^64": b"10000000000000000\r\nabc\r\n0\r\n\r\n",
    "size-2^64+3": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size-2^64-1": b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "size-2^63": b"8000000000000000\r\nabc\r\n0\r\n\r\n",
    "size-2^32-with-many-zeros": b"0" * 400 + b"3\r\nabc\r\n0\r\n\r\n",
    "size-nul": b"3\0\r\nabc\r\n0\r\n\r\n",
    "size-lf": b"3\nabc\r\n0\r\n\r\n",
    "size-cr": b"3\rabc\r\n0\r\n\r\n",
    "size-cr-cr-lf": b"3\r\r\nabc\r\n0\r\n\r\n",
    "size-semicolon-lf": b"3;\nabc\r\n0\r\n\r\n",
    "extension-lf": b"3;a=b\nabc\r\n0\r\n\r\n",
    "extension-cr": b"3;a=\rb\r\nabc\r\n0\r\n\r\n",
    "extension-nul": b"3;a=\0\r\nabc\r\n0\r\n\r\n",
    "extension-endless": b"3;" + b"a" * 100000 + b"\r\nabc\r\n0\r\n\r\n",
    "data-too-long": b"3\r\nabcd\r\n0\r\n\r\n",
    "data-too-short": b"4\r\nabc\r\n0\r\n\r\n",
    "data-no-crlf": b"3\r\nabc0\r\n\r\n",
    "data-lf": b"3\r\nabc\n0\r\n\r\n",
    "data-cr": b"3\r\nabc\r0\r\n\r\n",
    "last-lf": b"3\r\nabc\r\n0\n\r\n",
    "end-lf": b"3\r\nabc\r\n0\r\n\n",
    "end-cr": b"3\r\nabc\r\n0\r\n\rX",
    "trailer-no-colon": b"3\r\nabc\r\n0\r\nxyz\r\n\r\n",
    "trailer-space-colon": b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "trailer-lf": b"3\r\nabc\r\n0\r\nX: y\n\r\n",
    "trailer-nul": b"3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
    "trailer-fold": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    **{f"trailer-{name}": b"3\r\nabc\r\n0\r\n" + name.encode() + b": 5\r\n\r\n"
       for name in ("content-length", "Transfer-Encoding", "HOST", "connection")},
    "trailer-endless": b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
}


UNREACHED = []  # one service for all cases of test_head


@pytest.fixture
def shared(lab):
    if not UNREACHED or UNREACHED[-1].lab is not lab:
        UNREACHED.append(lab.service([Upstream()]))
    return UNREACHED[-1]


@pytest.mark.parametrize("name", HEADS)
def test_head(shared, name):
    raw, status, reasons = HEADS[name]
    before = shared.counters()
    client = shared.connect()
    client.send(raw + NEXT)
    got = client.read_response()
    assert got.reason in reasons.split(), got
    assert got.status == status or (got.status == 400 and "bad-version" not in got.reason), got
    assert "close" in got.head.tokens("connection"), got
    client.expect_gone()
    after = shared.settle()
    assert after["reasons"].get(got.reason, 0) == before["reasons"].get(got.reason, 0) + 1
    assert after["status"][got.status // 100] == before["status"][got.status // 100] + 1


def test_no_case_reached_the_endpoint(shared):
    """Runs after all of test_head: a connection would be in the backlog."""
    shared.upstreams[0].expect_none(0.3)
    assert shared.endpoint()["requests"] == 0


@pytest.mark.parametrize("split", ["whole", "bytewise"])
@pytest.mark.parametrize("name", CHUNKS)
def test_chunked_body(service, upstream, name, split):
    raw = CHUNKS[name]
    client = service.connect()
    client.send(post(b"Transfer-Encoding: chunked"))
    if split == "whole" or len(raw) > 1000:
        client.send(raw + NEXT)
    else:
        client.send_bytewise(raw)
        try:
            client.send(NEXT)
        except (BrokenPipeError, ConnectionResetError):
            pass
    check_bad_chunk(client)
    assert service.settle()["reasons"] == {"bad-chunk": 1}
    check_unfinished(upstream)


def check_bad_chunk(client):
    got = client.read_response()
    assert (got.status, got.reason) == (400, "bad-chunk"), got
    assert "close" in got.head.tokens("connection"), got
    client.expect_gone()


def check_unfinished(upstream):
    """The endpoint may have seen the beginning, never a complete message, and nothing of what follows."""
    upstream.listener.settimeout(0.2)
    try:
        server = upstream.accept()
    except TimeoutError:
        return
    seen = server.expect_gone()
    assert b"smuggled" not in seen and not seen.endswith(b"0\r\n\r\n"), seen[-200:]


@pytest.mark.parametrize("name", [n for n in CHUNKS if len(CHUNKS[n]) < 60])
def test_chunked_body_split_anywhere(service, upstream, name):
    """What stands after the error must not be read as if there had been none, wherever a segment ends."""
    raw = CHUNKS[name]
    for at in range(1, len(raw)):
        client = service.connect()
        client.send(post(b"Transfer-Encoding: chunked") + raw[:at])
        time.sleep(0.002)
        client.send(raw[at:] + NEXT)
        check_bad_chunk(client)
    assert service.settle()["reasons"] == {"bad-chunk": len(raw) - 1}
    assert service.endpoint()["requests"] <= len(raw) - 1
    upstream.listener.settimeout(0)
    try:
        while True:
            assert b"smuggled" not in upstream.accept().expect_gone()
    except BlockingIOError:
        pass


@pytest.mark.parametrize("fields, reasons", [
    (b"Content-Length: 2\r\nContent-Length: 3\r\n", "upstream-bad-head"),
    (b"Content-Length: 2\r\nContent-Length: 2\r\n", "upstream-bad-head"),
    (b"Content-Length: 2, 2\r\n", "upstream-bad-head"),
    (b"Content-Length: +2\r\n", "upstream-bad-head"),
    (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "upstream-bad-head"),
    (b"Transfer-Encoding: chunked, chunked\r\n", "upstream-bad-head"),
    (b"Transfer-Encoding: gzip\r\n", "upstream-bad-head"),
    (b"Transfer-Encoding: xchunked\r\n", "upstream-bad-head"),
    (b"X : y\r\n", "upstream-bad-head"),
    (b"X: y\r\n z\r\n", "upstream-bad-head"),
    (b"X: y\nZ: z\r\n", "upstream-bad-head"),
    (b"X: \0\r\n", "upstream-bad-head"),
    (b"X\r\n", "upstream-bad-head"),
])
def test_bad_response_head(service, upstream, fields, reasons):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nok")
    got = client.read_response()
    assert (got.status, got.reason) == (502, reasons), got
    server.expect_gone()
    assert service.settle()["reasons"] == {reasons: 1}


@pytest.mark.parametrize("start", [b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/2.0 200 OK", b"200 OK",
                                   b"HTTP/1.1  200 OK", b"ICY 200 OK", b"HTTP/1.1 abc OK", b"HTTP/1.1 099 X",
                                   b"HTTP/1.1 200 O\0K"])
def test_bad_status_line(service, upstream, start):
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(start + b"\r\nContent-Length: 2\r\n\r\nok")
    got = client.read_response()
    assert (got.status, got.reason) == (502, "upstream-bad-head"), got
    assert service.settle()["reasons"] == {"upstream-bad-head": 1}


@pytest.mark.parametrize("head", ["sent", "not sent"])
@pytest.mark.parametrize("name", CHUNKS)
def test_bad_chunks_in_a_response(service, upstream, name, head):
    """The client must not take the response for complete."""
    client = service.connect()
    client.send(request())
    server = upstream.accept()
    server.read_request()
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    rest = CHUNKS[name] + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    if head == "sent":
        server.send(start)
        assert client.read_head().chunked()
        server.send(rest)
        raw = client.expect_gone()
        assert not raw.endswith(b"0\r\n\r\n") and b"Content-Length: 3" not in raw, raw[-200:]
    else:
        server.send(start + rest)
        status = client.read_until(b"\r\n")
        assert status.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 200 "))
    server.expect_gone()
    counters = service.settle()
    assert counters["reasons"] == {"upstream-bad-body": 1}
    assert sum(counters["status"]) == 1, "one response was sent"


@pytest.mark.parametrize("more", [b"X", b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"])
@pytest.mark.parametrize("first", [response(b"ok"), b"HTTP/1.1 204 No Content\r\n\r\n",
                                   b"HTTP/1.1 200 OK\r\n" + TE + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"])
def test_bytes_after_a_response_poison_nobody(service, upstream, first, more):
    """Response splitting: what an endpoint sends unasked is never an answer to the next request."""
    client = service.connect()
    client.send(request("/1"))
    server = upstream.accept()
    server.read_request()
    server.send(first + more)
    assert client.read_response().status in (200, 204)
    client.send(request("/2"))
    second = upstream.accept()
    assert second.read_request().head.start == "GET /2 HTTP/1.1"
    second.send(response(b"right"))
    assert client.read_response().body == b"right"


def test_unasked_bytes_on_an_idle_connection(service, upstream):
    client = service.connect()
    client.send(request("/1"))
    server = upstream.accept()
    server.read_request()
    server.send(response())
    assert client.read_response().status == 200
    server.send(response(b"poisoned"))
    server.expect_gone()
    client.send(request("/2"))
    second = upstream.accept()
    second.read_request()
    second.send(response(b"right"))
    assert client.read_response().body == b"right"


def test_head_response_with_a_body_poisons_nobody(service, upstream):
    client = service.connect()
    client.send(request("/1", "HEAD"))
    server = upstream.accept()
    server.read_request()
    server.send(response(b"wrong"))
    assert client.read_response("HEAD").status == 200
    client.send(request("/2"))
    second = upstream.accept()
    second.read_request()
    second.send(response(b"right"))
    assert client.read_response().body == b"right"
