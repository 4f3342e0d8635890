# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a route does with requests beside sending them on: answers, redirects, faults, rewriting."""

import json
import time

import pytest

from relay_wire import Upstream, chunked, request, response


class Routed:
    """A service of which one route does something; over subset stable, and canary if there is another."""

    def __init__(self, services, route, upstreams=1, policy=""):
        self.upstreams = [Upstream() for _ in range(upstreams)]
        subsets = {n: {"endpoints": [u.text]} for n, u in zip(("stable", "canary"), self.upstreams)}
        to = {} if {"respond", "redirect"} & route.keys() else {"to": "stable"}
        routes = [{"name": "r", **to, **route}]
        if "match" in route:
            routes.append({"name": "rest", "to": "stable"})
        text = f"subsets: {json.dumps(subsets)}\nroutes: {json.dumps(routes)}\n{policy}"
        self.service = services(self.upstreams, text)

    def route(self, i=0):
        return self.service.lab.command("route", self.service.name, i)

    def connect(self):
        return self.service.connect()

    def exchange(self, raw, answer=None, method="GET"):
        """What the endpoint saw, and the response."""
        client = self.connect()
        client.send(raw)
        server = self.upstreams[0].wire()
        seen = server.read_request()
        server.send(answer or response())
        return seen, client.read_response(method)

    def ask(self, raw, method="GET"):
        """An answer that is the relay's own."""
        client = self.connect()
        client.send(raw)
        got = client.read_response(method)
        self.upstreams[0].expect_none(0.02)
        return got, client


@pytest.fixture
def routed(services):
    return lambda *args, **keywords: Routed(services, *args, **keywords)


def test_respond(routed):
    r = routed({"respond": {"status": 403, "body": "No.\n", "headers": {"X-Why": "because"}}})
    got, client = r.ask(request())
    assert got.head.raw == (b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n"
                            b"Content-Length: 4\r\nX-Why: because\r\n\r\n")
    assert got.body == b"No.\n"
    client.send(request())  # the connection stays
    assert client.read_response().status == 403
    counters = r.service.settle()
    assert counters["reasons"] == {"answered": 2} and counters["status"][4] == 2
    assert r.route()["requests"] == 2


def test_respond_to_head_and_body_and_close(routed):
    r = routed({"respond": {"status": 200, "body": "x" * 100}})
    got, client = r.ask(request("/", "HEAD"), "HEAD")
    assert got.head.get("content-length") == "100"
    client.send(request("/", "POST", body=b"abc"), request())
    assert [client.read_response().body for _ in range(2)] == [b"x" * 100] * 2
    client.send(request("/", fields=["Connection: close"]))
    got = client.read_response()
    assert got.head.all("connection") == ["close"]
    client.expect_end()


def test_respond_to_http_1_0(routed):
    r = routed({"respond": {"status": 200, "body": "x"}})
    got, client = r.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert got.head.start == "HTTP/1.1 200 OK" and got.head.all("connection") == ["keep-alive"]
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.read_response().head.all("connection") == ["close"]
    client.expect_end()


def test_respond_at_length(routed):
    """More than a socket takes at once."""
    body = "".join(chr(33 + i % 90) for i in range(4000))
    r = routed({"respond": {"status": 200, "body": body}})
    client = r.connect()
    client.send(request() * 1000)
    for _ in range(1000):
        assert client.read_response().body == body.encode()


def test_answer_while_the_body_is_not_here(routed):
    """It is not read to its end, so the connection is closed."""
    r = routed({"respond": {"status": 403}})
    got, client = r.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc")
    assert got.status == 403 and got.head.all("connection") == ["close"]
    client.expect_end()


@pytest.mark.parametrize("redirect, path, target, location", [
    ({"url": "https://shop.example/new"}, "/v2", "/v2/x?y", "https://shop.example/new"),
    ({"prefix": "/new"}, "/v2", "/v2/x?y=z", "http://example.test/new/x?y=z"),
    ({"prefix": "/new"}, "/v2", "/v2", "http://example.test/new"),
    ({"prefix": "/new"}, "/v2", "/v2?", "http://example.test/new?"),
    ({"prefix": "/"}, "/v2", "/v2/x", "http://example.test/x"),
    ({"prefix": "/"}, "/v2", "/v2//evil.test/x", "http://example.test/evil.test/x"),
    ({"prefix": "/a/"}, "/v2/", "/v2/x", "http://example.test/a/x"),
    ({"host": "other.example", "scheme": "https"}, "/", "/p/q?r", "https://other.example/p/q?r"),
    ({"host": "other.example", "scheme": "https"}, "/", "//evil.test", "https://other.example/evil.test"),
    ({"host": "other.example"}, "/", "http://a.test/p", "http://other.example/p"),
    ({"host": "other.example"}, "/", "http://a.test?q", "http://other.example/?q"),
    ({"prefix": "/new"}, "/v2", "http://a.test:8080/v2/x", "http://a.test:8080/new/x"),
])
def test_redirect(routed, redirect, path, target, location):
    r = routed({"match": {"path": {"prefix": path}}, "redirect": {"status": 308, **redirect}})
    got, _ = r.ask(request(target))
    assert got.head.start == "HTTP/1.1 308 Permanent Redirect"
    assert got.head.all("location") == [location]
    assert r.service.settle()["reasons"] == {"redirected": 1}


def test_redirect_of_a_request_without_host(routed):
    r = routed({"match": {"path": {"prefix": "/v2"}}, "redirect": {"status": 302, "prefix": "/new"}})
    got, _ = r.ask(b"GET /v2/x HTTP/1.0\r\n\r\n")
    assert got.head.get("location") == "/new/x"


def test_abort(routed):
    r = routed({"fault": {"abort": {"status": 503, "body": "broken\n"}}})
    got, _ = r.ask(request())
    assert (got.status, got.body) == (503, b"broken\n")
    assert r.service.settle()["reasons"] == {"fault-injected": 1}
    assert r.route()["aborted"] == 1


def test_abort_of_a_share(routed):
    """400 throws of a half: less than 120 is 8 standard deviations off."""
    r = routed({"fault": {"abort": {"status": 503, "fraction": "50%"}}, "respond": {"status": 200}})
    client, statuses = r.connect(), []
    for _ in range(20):
        client.send(request() * 20)
        statuses += [client.read_response().status for _ in range(20)]
    assert min(statuses.count(200), statuses.count(503)) > 120
    assert r.route()["aborted"] == statuses.count(503)
    assert r.service.settle()["reasons"]["answered"] == statuses.count(200)


def test_delay(routed):
    r = routed({"fault": {"delay": {"for": "200ms"}}})
    client, begin = r.connect(), time.monotonic()
    client.send(request("/1"), request("/2"))
    for target in ("/1", "/2"):
        server = r.upstreams[0].wire()
        assert server.read_request().head.start == f"GET {target} HTTP/1.1"
        server.send(response())
        assert client.read_response().status == 200
    assert time.monotonic() - begin >= 0.4
    assert r.route()["delayed"] == 2 and r.route()["requests"] == 2


def test_delay_before_an_answer(routed):
    r = routed({"fault": {"delay": {"for": "100ms"}, "abort": {"status": 503}}})
    begin = time.monotonic()
    got, _ = r.ask(request())
    assert got.status == 503 and time.monotonic() - begin >= 0.1
    assert (r.route()["delayed"], r.route()["aborted"]) == (1, 1)


def test_caller_goes_away_in_a_delay(routed):
    r = routed({"fault": {"delay": {"for": "60s"}}})
    client = r.connect()
    client.send(request())
    while not r.route()["delayed"]:
        time.sleep(0.01)
    client.reset()
    assert r.service.settle()["reasons"] == {"client-aborted": 1}
    r.upstreams[0].expect_none(0.02)


def test_timeout_counts_the_delay(routed):
    r = routed({"fault": {"delay": {"for": "60s"}}, "timeout": "100ms"})
    got, _ = r.ask(request())
    assert got.status == 504 and got.reason == "upstream-timeout"


def test_policy_changes_in_a_delay(routed):
    """It is let go of meanwhile, so its place can be used again, and the request goes by the new one."""
    r = routed({"fault": {"delay": {"for": "500ms"}}})
    client = r.connect()
    client.send(request())
    while not r.route()["delayed"]:
        time.sleep(0.01)
    lab = r.service.lab
    lab.command("weight", r.service.name, r.upstreams[0].text, 7)
    lab.command("ping")
    pong = lab.command("ping")
    assert pong["epoch"] == pong["asked"]
    r.upstreams[0].wire().read_request()
    r.upstreams[0].wire().send(response())
    assert client.read_response().status == 200
    assert r.route()["delayed"] == 1


@pytest.mark.parametrize("target, seen", [
    ("/a/./b/../c?x=/../y", "/a/c?x=/../y"),
    ("/a//%62?", "/a/b?"),
    ("/%7e/%c3%a9", "/~/%C3%A9"),
    ("/../../x", "/x"),
    ("/a/%2e%2e/b", "/b"),
    ("http://a.test//x/./y?z", "/x/y?z"),
    ("http://a.test?z", "/?z"),
    ("/as/it/is?%2f", "/as/it/is?%2f"),
])
def test_path_is_sent_in_normal_form(services, target, seen):
    service = services(1, "paths: {normalize: always}\n")
    client = service.connect()
    for method, body in (("GET", None), ("POST", b"abc")):
        client.send(request(target, method, body=body))
        got = service.upstreams[0].wire().read_request()
        assert got.head.start == f"{method} {seen} HTTP/1.1" and got.body == (body or b"")
        service.upstreams[0].wire().send(response())
        assert client.read_response().status == 200


def test_path_is_matched_in_normal_form(routed):
    r = routed({"match": {"path": {"prefix": "/v2"}}, "rewrite": {"prefix": "/v1"}})
    for target, seen in (("/x/../v2//%61", "/v1/a"), ("/v2/../x", "/x"), ("/v2/..", "/")):
        got, _ = r.exchange(request(target))
        assert got.head.start == f"GET {seen} HTTP/1.1"


@pytest.mark.parametrize("target", ["/a%2fb", "/a%2Fb?x", "/%5c", "/%00", "http://a.test/%2f"])
def test_ambiguous_paths(services, target):
    service = services(1, "paths: {normalize: always}\n")
    client = service.connect()
    for _ in range(2):  # the connection stays
        client.send(request(target))
        got = client.read_response()
        assert (got.status, got.reason) == (400, "ambiguous-path")
    keep = "paths: {normalize: always, encoded-slash: keep, encoded-nul: keep}\n"
    service.write(keep)
    client.send(request(target))
    assert "%" in service.upstreams[0].wire().read_request().head.start
    service.upstreams[0].wire().send(response())
    assert client.read_response().status == 200


def test_paths_stay_as_they_are(services):
    service = services(1, "paths: {normalize: never}\n")
    client = service.connect()
    client.send(request("/a//b/../%2f"))
    assert service.upstreams[0].wire().read_request().head.start == "GET /a//b/../%2f HTTP/1.1"
    service.upstreams[0].wire().send(response())
    assert client.read_response().status == 200


@pytest.mark.parametrize("path, prefix, target, seen", [
    ({"prefix": "/v2"}, "/v1", "/v2/x?y=z", "/v1/x?y=z"),
    ({"prefix": "/v2"}, "/v1", "/v2", "/v1"),
    ({"prefix": "/v2"}, "/", "/v2/x", "/x"),
    ({"prefix": "/v2"}, "/", "/v2?q", "/?q"),
    ({"prefix": "/v2/"}, "/", "/v2/x", "/x"),
    ({"prefix": "/"}, "/a", "/x", "/a/x"),
    ({"exact": "/v2"}, "/other", "/v2?", "/other?"),
    ({"prefix": "/v2"}, "/v1", "http://a.test/v2/x?y", "/v1/x?y"),
    ({"prefix": "/"}, "/a", "http://a.test?y", "/a?y"),
])
def test_rewrite_prefix(routed, path, prefix, target, seen):
    r = routed({"match": {"path": path}, "rewrite": {"prefix": prefix}})
    got, _ = r.exchange(request(target))
    assert got.head.start == f"GET {seen} HTTP/1.1"


def test_rewrite_host(routed):
    r = routed({"rewrite": {"host": "internal.example"}})
    seen, _ = r.exchange(b"GET /x HTTP/1.1\r\nA: 1\r\nhoSt:  a.test \r\nB: 2\r\n\r\n")
    assert seen.head.raw == b"GET /x HTTP/1.1\r\nA: 1\r\nhoSt:  internal.example \r\nB: 2\r\n\r\n"
    seen, _ = r.exchange(b"GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert seen.head.raw == b"GET /x HTTP/1.1\r\nHost: internal.example\r\n\r\n"
    seen, _ = r.exchange(b"GET /x HTTP/1.0\r\n\r\n")
    assert seen.head.raw == b"GET /x HTTP/1.1\r\nHost: internal.example\r\n\r\n"


def test_edit_both_heads(routed):
    edits = {"add": {"x-a": "b"}, "set": {"X-C": "d"}, "remove": ["x-e"]}
    r = routed({"request-headers": edits, "response-headers": edits}, policy="via: true\n")
    sent = ["x-A: 1", "x-c: 2", "X-E: 3", "x-c: 4", "x-f: 5"]
    seen, got = r.exchange(request("/", fields=sent), response(fields=sent))
    expected = [("x-A", "1"), ("x-f", "5"), ("X-C", "d"), ("x-a", "b"), ("Via", "1.1 slicemesh")]
    assert seen.head.without("host") == expected
    assert got.head.without("content-length") == expected


def test_interim_responses_are_not_edited(routed):
    r = routed({"response-headers": {"set": {"x-a": "b"}}})
    client = r.connect()
    client.send(request())
    server = r.upstreams[0].wire()
    server.read_request()
    server.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", response())
    assert client.read_head().fields == [("Link", "x")]
    assert client.read_response().head.all("x-a") == ["b"]


def test_request_is_written_anew(routed):
    """A connection that closed in the pool: the request goes once more, with the same changes."""
    r = routed({"match": {"path": {"prefix": "/v2"}}, "rewrite": {"prefix": "/v1", "host": "h"},
                "request-headers": {"set": {"x-a": "b"}}, "response-headers": {"set": {"x-b": "c"}}})
    client = r.connect()
    for i in range(2):
        client.send(request("/v2/x"))
        server = r.upstreams[0].accept() if i else r.upstreams[0].wire()
        seen = server.read_request()
        assert seen.head.start == "GET /v1/x HTTP/1.1"
        assert (seen.head.get("host"), seen.head.get("x-a")) == ("h", "b")
        server.send(response())
        assert client.read_response().head.get("x-b") == "c"
        if i == 0:  # read the next one, then close
            client.send(request("/v2/y"))
            server.read_request()
            server.close()
            server = r.upstreams[0].accept()
            seen = server.read_request()
            assert (seen.head.start, seen.head.get("host")) == ("GET /v1/y HTTP/1.1", "h")
            server.send(response(fields=["Connection: close"]))
            assert client.read_response().head.get("x-b") == "c"


def test_largest_head_with_changes(routed):
    """A buffer holds it, however long the head is that came in."""
    edits = {"set": {f"x-{i}": "v" * 100 for i in range(35)}}
    r = routed({"request-headers": edits, "response-headers": edits})
    fields = ["X-Long: " + "l" * 16000]
    seen, got = r.exchange(request("/", fields=fields), response(fields=fields))
    for head in (seen.head, got.head):
        assert all(head.get(name) == value for name, value in edits["set"].items())
        assert len(head.get("x-long")) == 16000


def test_other_requests_are_left_alone(routed):
    r = routed({"match": {"path": {"prefix": "/v2"}}, "rewrite": {"prefix": "/v1"},
                "request-headers": {"set": {"x-a": "b"}}})
    raw = request("/v20/x")
    seen, _ = r.exchange(raw)
    assert seen.head.raw == raw


def test_shadow_routes_are_counted_once(services):
    """However often the request is tried; and whether or not another route takes it."""
    dead, alive = Upstream(), Upstream()
    dead.listener.close()
    service = services([dead, alive], f"""
routes:
  - {{name: dark, match: {{path: /x}}, to: default, shadow: true}}
  - {{name: darker, match: {{method: GET}}, to: default, shadow: true}}
  - {{name: r, match: {{path: {{prefix: /x}}}}, to: default}}
""")
    client = service.connect()
    for target in ("/x", "/x/y"):
        client.send(request(target))
        alive.wire().read_request()
        alive.wire().send(response())
        assert client.read_response().status == 200
    client.send(request("/y"))
    assert client.read_response().status == 404
    states = [service.lab.command("route", service.name, i) for i in range(3)]
    assert [s["shadow"] for s in states] == [1, 3, 0]
    assert [s["requests"] for s in states] == [0, 0, 2]
