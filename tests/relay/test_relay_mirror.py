# SPDX-License-Identifier: LGPL-2.1-or-later
"""Copies of requests to another subset: nobody waits for them, and nobody notices when they fail."""

import pytest

from relay_lab import wait_for
from relay_wire import chunked, request, response
from test_relay_actions import Routed

HELD = 8 << 20  # bytes of requests that a worker holds for mirrors


@pytest.fixture
def mirrored(services):
    def make(mirror=None, **route):
        return Routed(services, {"mirror": {"to": "canary", **(mirror or {})}, **route}, upstreams=2)
    return make


def counts(r):
    state = r.route()
    return state["mirrored"], state["mirrors_dropped"]


def test_mirror_is_the_same_request(mirrored):
    r = mirrored(rewrite={"host": "h"}, **{"request-headers": {"set": {"x-a": "b"}}})
    client = r.connect()
    for i in range(3):  # over the same connections
        client.send(request(f"/{i}", "POST", ["Connection: x", "X: y"], b"abc"))
        seen = r.upstreams[0].wire().read_request()
        copy = r.upstreams[1].wire().read_request()
        assert copy.head.raw == seen.head.raw and copy.body == b"abc"
        assert copy.head.without("content-length") == [("Host", "h"), ("x-a", "b")]
        r.upstreams[1].wire().send(response(b"thrown away" * 1000, "500 No"))
        r.upstreams[0].wire().send(response(b"mine"))
        assert client.read_response().body == b"mine"
        assert wait_for(lambda: r.service.endpoint(1)["in_flight"] == 0 and r.service.settled())
    assert counts(r) == (3, 0)
    assert r.service.endpoint(1)["requests"] == 3 and r.service.endpoint(1)["connections"] == 1
    assert r.service.counters()["status"][5] == 0 and r.service.counters()["requests"] == 3


def test_mirror_that_does_not_answer(mirrored):
    r = mirrored()
    client = r.connect()
    for _ in range(2):
        client.send(request())
        r.upstreams[0].wire().read_request()
        r.upstreams[0].wire().send(response())
        assert client.read_response().status == 200
    mirrors = [r.upstreams[1].accept() for _ in range(2)]
    assert r.service.endpoint(1)["in_flight"] == 2
    for m in mirrors:
        m.read_request()
        m.close()
    assert wait_for(lambda: r.service.endpoint(1)["in_flight"] == 0)
    assert counts(r) == (2, 0) and r.service.endpoint(1)["failures"] == 2


def test_mirror_to_nobody(mirrored):
    """Refused connections count against the endpoint, which is left alone then."""
    r = mirrored()
    r.upstreams[1].listener.close()
    client = r.connect()
    for _ in range(3):
        client.send(request())
        r.upstreams[0].wire().read_request()
        r.upstreams[0].wire().send(response())
        assert client.read_response().status == 200
    assert wait_for(lambda: counts(r) == (0, 3))
    endpoint = r.service.endpoint(1)
    assert endpoint["avoided"] and endpoint["failures"] == 1 and endpoint["requests"] == 0


@pytest.mark.parametrize("answer", [
    response(b"x" * 300000), b"HTTP/1.1 100 Continue\r\n\r\n" + response(),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 5000, b"y" * 70000),
    response(b"", "204 No", length=False),
])
def test_connection_is_used_again(mirrored, answer):
    r = mirrored()
    client = r.connect()
    for _ in range(2):
        client.send(request())
        r.upstreams[0].wire().read_request()
        r.upstreams[1].wire().read_request()
        r.upstreams[1].wire().send(answer)
        assert wait_for(lambda: r.service.endpoint(1)["in_flight"] == 0)
        r.upstreams[0].wire().send(response())
        assert client.read_response().status == 200
    r.upstreams[1].expect_none(0.02)


@pytest.mark.parametrize("answer", [
    b"HTTP/1.0 200 OK\r\n\r\nto the end",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"nonsense\r\n\r\n", response() + b"more",
])
def test_connection_is_not_used_again(mirrored, answer):
    r = mirrored()
    client = r.connect()
    for _ in range(2):
        client.send(request())
        r.upstreams[0].wire().read_request()
        mirror = r.upstreams[1].accept()
        mirror.read_request()
        mirror.send(answer).shutdown()
        assert wait_for(lambda: r.service.endpoint(1)["connections"] == 0)
        r.upstreams[0].wire().send(response())
        assert client.read_response().status == 200
    assert counts(r) == (2, 0)


@pytest.mark.parametrize("body", [
    request("/", "POST", body=b"x" * 5000),
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 3000, b"y" * 2000),
])
@pytest.mark.parametrize("limit, sent", [(4000, 0), (6000, 1)])
def test_large_bodies_are_not_mirrored(mirrored, body, limit, sent):
    r = mirrored({"body": limit})
    client = r.connect()
    client.send_split(body, len(body) - 1000)
    seen = r.upstreams[0].wire().read_request()
    r.upstreams[0].wire().send(response())
    assert client.read_response().status == 200
    assert wait_for(lambda: counts(r) == (sent, 1 - sent))
    if sent:
        copy = r.upstreams[1].wire().read_request()
        assert (copy.head.raw, copy.body, copy.chunks) == (seen.head.raw, seen.body, seen.chunks)
    else:
        r.upstreams[1].expect_none(0.02)


def test_body_that_a_route_looks_at_is_mirrored(mirrored):
    """It is waited for before there is an endpoint."""
    r = mirrored(match={"body": {"contains": "x", "first": "16K"}})
    client = r.connect()
    client.send(request("/", "POST", body=b"y" * 4999 + b"x" + b"z" * 30000))
    seen = r.upstreams[0].wire().read_request()
    copy = r.upstreams[1].wire().read_request()
    assert copy.head.raw == seen.head.raw and copy.body == seen.body
    r.upstreams[0].wire().send(response())
    assert client.read_response().status == 200


def test_part_of_a_request_is_not_mirrored(mirrored):
    r = mirrored()
    client = r.connect()
    client.send(request("/", "POST", body=b"x" * 5000)[:-1])
    r.upstreams[0].wire().read_head()
    client.reset()
    assert wait_for(lambda: counts(r) == (0, 1))
    r.upstreams[1].expect_none(0.02)


def test_upgrades_are_not_mirrored(mirrored):
    r = mirrored()
    client = r.connect()
    client.send(request("/", fields=["Upgrade: x", "Connection: Upgrade"]))
    r.upstreams[0].wire().read_request()
    r.upstreams[0].wire().send(response())
    assert client.read_response().status == 200
    assert counts(r) == (0, 1)


def test_memory_of_mirrors_is_bounded(mirrored):
    """Requests that never end: what they have sent so far is held for the mirror, but not more than that."""
    size, n = 200000, 60
    r = mirrored({"body": 1 << 20})
    before = r.service.lab.command("ping")["memory"]
    clients = [r.connect() for _ in range(n)]
    for client in clients:
        client.send(request("/", "POST", body=b"x" * size)[:-1])
    servers = [r.upstreams[0].accept() for _ in range(n)]
    for server in servers:
        server.read_head()
        server.read_exactly(size - 1)
    held = r.service.lab.command("ping")["memory"] - before
    assert HELD / 2 < held < HELD + n * 64 * 1024 * 2
    dropped = counts(r)[1]
    assert n - HELD // size <= dropped < n
    for client in clients:
        client.send(b"x")
    for server in servers:  # in the order of their acceptance, which need not be that of the clients
        server.read_exactly(1)
        server.send(response())
    assert all(client.read_response().status == 200 for client in clients)
    assert wait_for(lambda: sum(counts(r)) == n)
    for _ in range(counts(r)[0]):
        r.upstreams[1].accept()


def test_share_of_requests(mirrored):
    """400 throws of a half: less than 120 is 8 standard deviations off."""
    r = mirrored({"fraction": "50%"})
    client = r.connect()
    for _ in range(400):
        client.send(request())
        r.upstreams[0].wire().read_request()
        r.upstreams[0].wire().send(response())
        client.read_response()
    sent, dropped = counts(r)
    assert 120 < sent + dropped < 280
