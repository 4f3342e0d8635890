# SPDX-License-Identifier: LGPL-2.1-or-later
"""What of a head passes, what does not, what takes its place (RFC 9110 section 7, RFC 9112 section 3)."""

import pytest

from relay_wire import chunked, request, response

# What the relay may say about its own connections.
CONNECTION = ("connection", "keep-alive")


def exchange(service, raw, answer=None, method="GET"):
    """One request over new connections; the request that the server saw, and the response."""
    client = service.connect()
    client.send(raw)
    server = service.upstreams[0].wire()
    seen = server.read_request()
    server.send(answer or response())
    return seen, client.read_response(method)


def test_request_passes_as_it_is(service):
    line = "GET /a//b/../c;d?e=f&g=%20%2f? HTTP/1.1"
    fields = [("Host", "example.test:8080"), ("User-Agent", "probe/1.0"), ("accept", "*/*"),
              ("X-Mixed-CASE", "a, b ,c"), ("Cookie", "a=b; c=d"), ("X-Empty", ""), ("X-Bytes", "\xe9\xff"),
              ("X-Twice", "1"), ("X-Other", "."), ("X-Twice", "2")]
    raw = "\r\n".join([line] + [f"{name}: {value}" for name, value in fields]) + "\r\n\r\n"
    seen, got = exchange(service, raw.encode("latin-1"))
    assert seen.head.start == line
    assert seen.head.without(*CONNECTION) == fields
    assert (got.status, got.body) == (200, b"ok")


def test_response_passes_as_it_is(service):
    fields = [("Date", "Tue, 15 Nov 1994 08:12:31 GMT"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
              ("x-lower", "Y"), ("X-Empty", ""), ("Content-Type", "text/plain; charset=utf-8")]
    answer = response(b"body", "299 Quite Fine", [f"{name}: {value}" for name, value in fields])
    _, got = exchange(service, request(), answer)
    assert got.head.start == "HTTP/1.1 299 Quite Fine"
    assert got.head.without(*CONNECTION, "content-length") == fields
    assert got.body == b"body"
    assert not got.head.all("x-slicemesh") and not got.head.all("via") and not got.head.all("server")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE",
                                    "PROPFIND", "M-SEARCH", "get", "X!#$%&'*+-.^_`|~9"])
def test_any_method_passes(service, method):
    seen, got = exchange(service, request("/m", method), response(b"" if method == "HEAD" else b"x"), method)
    assert seen.head.start == f"{method} /m HTTP/1.1"
    assert got.status == 200


@pytest.mark.parametrize("status", ["600 Beyond", "999 Denied"])
def test_status_of_no_class_counts_as_server_error(service, status):
    """It passes; RFC 9110 section 15 says how to take it."""
    _, got = exchange(service, request(), response(b"x", status))
    assert got.head.start == f"HTTP/1.1 {status}"
    assert service.settle()["status"] == [0, 0, 0, 0, 0, 1]


def test_empty_reason_phrase(service):
    _, got = exchange(service, request(), b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")
    assert got.head.start.rstrip() == "HTTP/1.1 200"


def test_no_reason_phrase_and_no_space(service):
    """Not in the grammar, but a status line that servers in use send."""
    _, got = exchange(service, request(), b"HTTP/1.1 204\r\n\r\n")
    assert got.head.start.rstrip() in ("HTTP/1.1 204", "HTTP/1.1 502 Bad Gateway")


@pytest.mark.parametrize("connection, gone", [
    (["Connection: close, X-Hop", "X-Hop: 1"], ["x-hop"]),
    (["X-Hop: 1", "Connection: x-HOP"], ["x-hop"]),
    (["Connection: X-One", "X-Two: 2", "Connection: keep-alive , X-Two,, ,", "X-One: 1"], ["x-one"]),
    (["Connection: X-One", "X-Two: 2", "Connection: keep-alive , X-Two,, ,", "X-One: 1"], ["x-two"]),
    (["Connection: keep-alive", "Keep-Alive: timeout=5"], ["keep-alive"]),
    (["Keep-Alive: timeout=5"], ["keep-alive"]),
    (["Proxy-Connection: keep-alive"], ["proxy-connection"]),
    (["TE: trailers, deflate;q=0.5", "Connection: TE"], []),
    (["Upgrade: h2c"], ["upgrade"]),
])
def test_hop_by_hop_fields_are_removed(service, connection, gone):
    seen, got = exchange(service, request("/", fields=["X-Before: b", *connection, "X-After: a"]))
    for name in gone:
        assert not seen.head.all(name), name
    assert seen.head.get("x-before") == "b" and seen.head.get("x-after") == "a"
    assert not set(seen.head.tokens("connection")) - {"keep-alive", "close", "te"}
    if seen.head.all("te"):
        assert "te" in seen.head.tokens("connection") and seen.head.tokens("te") == ["trailers"]
    assert got.status == 200


def test_keep_alive_alone_passes(service):
    """It is as true of the next connection, so neither head needs to be rewritten for it."""
    answer = b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"
    seen, got = exchange(service, request("/", fields=["X-Before: b", "Connection: Keep-Alive"]), answer)
    assert seen.head.all("connection") == ["Keep-Alive"]
    assert got.head.all("connection") == ["keep-alive"]
    closing = request("/", fields=["Connection: keep-alive, close"])
    seen, got = exchange(service, closing, answer)
    assert not seen.head.all("connection")
    assert got.head.all("connection") == ["close"]


def test_end_to_end_fields_cannot_be_named_away(service):
    """`Connection: Host` and the like must not take from the request what frames or routes it."""
    named = ["Connection: Host, Content-Length, keep-alive"]
    seen, _ = exchange(service, request("/", "POST", named, b"abc"))
    assert seen.head.get("host") == "example.test"
    assert seen.body == b"abc"


def test_hop_by_hop_fields_of_a_response_are_removed(service):
    answer = response(b"x", fields=["Connection: X-Private, keep-alive", "X-Private: 1", "X-Public: 2",
                                    "Keep-Alive: timeout=9", "Proxy-Connection: close"])
    _, got = exchange(service, request(), answer)
    for name in ("x-private", "keep-alive", "proxy-connection"):
        assert not got.head.all(name)
    assert got.head.get("x-public") == "2"


@pytest.mark.parametrize("target, line, host", [
    ("http://other.test/p?q", "GET /p?q HTTP/1.1", "other.test"),
    ("http://other.test:81/", "GET / HTTP/1.1", "other.test:81"),
    ("HTTP://other.test", "GET / HTTP/1.1", "other.test"),
    ("http://other.test?q", "GET /?q HTTP/1.1", "other.test"),
    ("http://[::1]:80/x", "GET /x HTTP/1.1", "[::1]:80"),
])
def test_absolute_form_decides_the_host(service, target, line, host):
    seen, _ = exchange(service, request(target, host="example.test"))
    assert seen.head.start == line
    assert seen.head.all("host") == [host]


def test_options_asterisk(service):
    seen, _ = exchange(service, request("*", "OPTIONS"))
    assert seen.head.start == "OPTIONS * HTTP/1.1"


def test_options_absolute_form_without_path_becomes_asterisk(service):
    seen, _ = exchange(service, request("http://other.test", "OPTIONS"))
    assert seen.head.start == "OPTIONS * HTTP/1.1"
    assert seen.head.all("host") == ["other.test"]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards_counts_down(service, method):
    """RFC 9110 section 7.6.2 wants it of every intermediary."""
    seen, _ = exchange(service, request("/", method, ["Max-Forwards: 10"]))
    assert seen.head.all("max-forwards") == ["9"]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards_of_zero_is_answered(service, method):
    client = service.connect()
    client.send(request("/", method, ["Max-Forwards: 0"]))
    assert client.read_response().status < 500
    service.upstreams[0].expect_none()


def test_max_forwards_of_other_methods_is_left_alone(service):
    seen, _ = exchange(service, request("/", "GET", ["Max-Forwards: 0"]))
    assert seen.head.all("max-forwards") == ["0"]


@pytest.mark.parametrize("host", ["h", "h:80", "127.0.0.1", "[::1]", "[::1]:8080", "a_b.c-d.test",
                                  "EXAMPLE.test", "h:"])
def test_hosts_that_are_accepted(service, host):
    seen, got = exchange(service, request("/", host=host))
    assert seen.head.all("host") == [host] and got.status == 200


def test_empty_host_is_accepted(service):
    """RFC 9112 section 3.2: an empty Host says that the target has no authority."""
    seen, got = exchange(service, b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
    assert seen.head.all("host") == [""] and got.status == 200


def test_empty_lines_before_a_request(service):
    seen, got = exchange(service, b"\r\n" + request("/first"))
    assert seen.head.start == "GET /first HTTP/1.1" and got.status == 200


def test_white_space_around_values(service):
    fields = b"Host: \t example.test \t\r\nX-Tab:\ta b\t \r\nX-None:c\r\n"
    seen, _ = exchange(service, b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
    assert seen.head.get("host") == "example.test"
    assert seen.head.get("x-tab") == "a b" and seen.head.get("x-none") == "c"


def test_no_via_and_forwarded_for_unless_asked_for(service):
    seen, got = exchange(service, request("/", fields=["X-Forwarded-For: 192.0.2.1", "Via: 1.0 before"]))
    assert seen.head.all("x-forwarded-for") == ["192.0.2.1"]
    assert seen.head.all("via") == ["1.0 before"] and not got.head.all("via")


def test_forwarded_for(services):
    service = services(policy="forwarded-for: true\n")
    seen, _ = exchange(service, request())
    assert seen.head.tokens("x-forwarded-for") == ["127.0.0.1"]
    before = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"]
    seen, _ = exchange(service, request("/", fields=before))
    assert seen.head.tokens("x-forwarded-for") == ["192.0.2.1", "192.0.2.2", "127.0.0.1"]


def test_forwarded_for_of_an_ipv6_caller(services):
    service = services(policy="forwarded-for: true\n")
    client = service.connect("::1")
    client.send(request())
    server = service.upstreams[0].accept()
    assert server.read_request().head.tokens("x-forwarded-for") == ["::1"]
    server.send(response())
    assert client.read_response().status == 200


def test_via_both_ways(services):
    service = services(policy="via: true\n")
    answer = response(fields=["Via: 1.1 behind"])
    seen, got = exchange(service, request("/", fields=["Via: 1.0 before"]), answer)
    way = ", ".join(seen.head.all("via")).split(", ")
    assert way[0] == "1.0 before" and len(way) == 2 and way[1].startswith("1.1 ")
    way = ", ".join(got.head.all("via")).split(", ")
    assert way[0] == "1.1 behind" and len(way) == 2 and way[1].startswith("1.1 ")


def test_connect_is_refused(service):
    client = service.connect()
    client.send(b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\nnot-http\r\n\r\n")
    got = client.read_response()
    assert (got.status, got.reason) == (405, "connect-method")
    client.expect_gone()
    service.upstreams[0].expect_none()
    assert service.reasons()["connect-method"] == 1


def test_ipv6_endpoint(services):
    import socket

    from relay_wire import Upstream
    service = services([Upstream(family=socket.AF_INET6)])
    _, got = exchange(service, request())
    assert got.status == 200


def test_routes_by_host_and_path(services):
    service = services(3, policy="")
    a, b, c = (u.text for u in service.upstreams)
    service.write(f"""subsets:
  a: {{endpoints: ["{a}"]}}
  b: {{endpoints: ["{b}"]}}
  c: {{endpoints: ["{c}"]}}
routes:
  - {{name: by-host, match: {{host: b.test}}, to: b}}
  - {{name: by-path, match: {{path: {{prefix: /c}}}}, to: c}}
  - {{name: one, match: {{path: {{exact: /}}}}, to: a}}
""")
    client = service.connect()
    servers = {}
    for target, host, i in [("/", "x.test", 0), ("/", "B.test", 1), ("/c/d", "x.test", 2),
                            ("/c", "x.test", 2), ("http://b.test/c", "x.test", 1), ("/", "b.test:80", 1)]:
        client.send(request(target, host=host))
        if i not in servers:
            servers[i] = service.upstreams[i].accept()
        servers[i].read_request()
        servers[i].send(response(b"%d" % i))
        assert client.read_response().body == b"%d" % i, (target, host)
    client.send(request("/cd", host="x.test"))
    got = client.read_response()
    assert (got.status, got.reason) == (404, "no-route")
    assert not got.head.all("connection"), "the request was in order, so the connection is still good"
    client.send(request("/", host="x.test"))
    servers[0].read_request()
    servers[0].send(response())
    assert client.read_response().status == 200
    assert service.reasons() == {"no-route": 1}


def test_a_refused_request_with_a_body_does_not_disturb_the_next(services):
    """No route: the body is read and dropped, or the connection closed; it is never taken for a request."""
    service = services(1, policy="routes: [{name: only, match: {path: {exact: /yes}}, to: default}]\n")
    client = service.connect()
    body = b"GET /yes HTTP/1.1\r\nHost: smuggled.test\r\n\r\n"
    client.send(request("/no", "POST", body=body))
    got = client.read_response()
    assert (got.status, got.reason) == (404, "no-route")
    service.upstreams[0].expect_none()
    if "close" in got.head.tokens("connection"):
        client.expect_gone()
        return
    client.send(request("/yes"))
    server = service.upstreams[0].accept()
    assert server.read_request().head.get("host") == "example.test"
    server.send(response())
    assert client.read_response().status == 200


def test_chunked_request_without_route_does_not_disturb_the_next(services):
    service = services(1, policy="routes: [{name: only, match: {path: {exact: /yes}}, to: default}]\n")
    client = service.connect()
    client.send(request("/no", "POST", ["Transfer-Encoding: chunked"]),
                chunked(b"GET /yes HTTP/1.1\r\nHost: s\r\n\r\n"))
    assert client.read_response().reason == "no-route"
    service.upstreams[0].expect_none()
