# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the relay does for the kernel's fast path, and when the kernel leaves something to it. The lab plays
the programs: no byte moves by itself here, so the test sends to U what S would have sent to the relay."""

import socket
import time

import pytest

from conftest import start
from relay_lab import LabError, wait_for
from relay_wire import Upstream, Wire, chunked, request, response

REQUESTS, SERVERS = 1, 2  # enum sm_fast_feature
ALL, UNKNOWN = 0xffffff, 0xfffffe
SLICE = 3


@pytest.fixture(scope="module")
def fast_lab():
    lab = start(workers=1)
    lab.command("features", REQUESTS)
    yield lab
    lab.end()


@pytest.fixture
def lab(fast_lab):
    return fast_lab


@pytest.fixture
def local(lab):
    """Servers are in managed slices, and their responses the kernel's."""
    lab.command("features", REQUESTS | SERVERS)
    yield
    lab.command("features", REQUESTS)


class Caller:
    """A connection that the kernel knows, and one to the server that waits for the next request."""

    def __init__(self, service, warm=True):
        self.service, self.lab = service, service.lab
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        connected = self.lab.command("connect", "127.0.0.1", sock.getsockname()[1], service.name, SLICE)
        self.index = connected["downstream"]
        sock.settimeout(20)
        sock.connect(("127.0.0.1", self.lab.port))
        self.wire = Wire(sock)
        service.clients.append(self.wire)
        assert wait_for(lambda: self.state()["relay"])
        if warm:
            self.by_relay(request("/warm"), response(b"warm"))
        self.before = service.settle()

    def by_relay(self, sent, answer):
        """A request that goes the ordinary way; its server's end."""
        self.wire.send(sent)
        server = self.service.upstreams[0].wire()
        server.read_request()
        server.send(answer)
        assert self.wire.read_response().status == 200
        return server

    def state(self):
        return self.lab.command("downstream", self.index)

    def take(self, sent, timeout=0, endpoint=0):
        """The kernel takes a request; the slot."""
        words = self.service.name, self.service.upstreams[endpoint].text, timeout, sent.hex()

        def try_to():
            try:
                return self.lab.command("take", self.index, *words)["slot"]
            except LabError as e:
                if "No such file" not in str(e):
                    raise
        slot = wait_for(try_to)
        assert slot, "no idle connection"
        return slot

    def slot(self, slot):
        return self.lab.command("slot", slot)

    def paths(self):
        return self.lab.command("paths", self.service.name, SLICE)["service"]

    def expect_over(self, counts, **paths):
        """What was taken is over: counted once, and the connection is as before."""
        assert wait_for(lambda: self.state()["state"] == "idle"), self.state()
        self.expect_counted(counts, **paths)

    def expect_counted(self, counts, **paths):
        after = self.service.settle()
        gone = {n: after["status"][n] - self.before["status"][n] for n in range(6)}
        assert {n: c for n, c in gone.items() if c} == counts
        assert after["requests"] == self.before["requests"] + 1
        seen = self.paths()
        assert seen.pop("not-in-step") == 1, "the first request, by the relay"
        assert {k.replace("-", "_"): v for k, v in seen.items() if v} == paths


@pytest.fixture
def caller(service):
    return Caller(service)


def test_what_was_answered_is_told(service):
    caller = Caller(service, warm=False)
    assert caller.state() == {"state": "idle", "socket": True, "relay": True, "answered": 0, "written": 0,
                              "inject_until": 0}
    sent, answer = request("/1", "POST", body=b"x" * 1000), response(b"y" * 2000)
    caller.by_relay(sent, answer)
    assert wait_for(lambda: caller.state()["answered"] == len(sent))
    assert caller.state()["written"] == len(answer)
    again = request("/2", "POST", body=b"z")
    caller.wire.send(again[:-1])
    server = service.upstreams[0].wire()
    server.read_head()
    assert caller.state()["answered"] == len(sent)
    caller.wire.send(again[-1:])
    server.read_exactly(1)
    server.send(response(chunked(b"abc"), fields=["Transfer-Encoding: chunked"], length=False))
    assert caller.wire.read_response().body == b"abc"
    assert wait_for(lambda: caller.state()["answered"] == len(sent) + len(again))
    assert caller.state()["state"] == "idle"


def test_pipelined_requests_are_not_answered_before_they_are(service):
    caller = Caller(service, warm=False)
    first, second = request("/1"), request("/2", "POST", body=b"abc")
    caller.wire.send(first + second)
    server = service.upstreams[0].wire()
    server.read_request()
    server.send(response(b"1"))
    assert caller.wire.read_response().body == b"1"
    server.read_request()
    assert caller.state()["answered"] == len(first)
    server.send(response(b"2"))
    assert caller.wire.read_response().body == b"2"
    assert wait_for(lambda: caller.state()["answered"] == len(first + second))


def test_response_that_begins_before_the_body_is_through(service):
    """What was forwarded of the body must not be taken for the next request."""
    caller = Caller(service, warm=False)
    sent = request("/", "POST", body=b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n")
    caller.wire.send(sent[:-10])
    server = service.upstreams[0].wire()
    server.read_until(b"\r\n\r\n")
    answer = response(b"ok")
    server.send(answer[:5])
    time.sleep(0.1)
    caller.wire.send(sent[-10:])
    assert server.read_until(b"Host: x\r\n\r\n")
    server.send(answer[5:])
    assert caller.wire.read_response().body == b"ok"
    assert wait_for(lambda: caller.state()["answered"] == len(sent))
    caller.wire.expect_silence()
    assert service.settle()["requests"] == 1


def test_reason_of_each_request_is_counted(lab, service):
    caller = Caller(service, warm=False)
    for reason in ("too-large", "split", "none", "no-upstream"):
        lab.command("slow", caller.index, reason)
        caller.by_relay(request(), response())
    expected = {"too-large": 1, "split": 1, "not-in-step": 1, "no-upstream": 1}
    paths = lab.command("paths", service.name, SLICE)
    assert {k: v for k, v in paths["service"].items() if v} == expected
    assert all(paths["slice"][k] >= n for k, n in expected.items())


def test_remote_response_goes_by_way_of_the_relay(service, caller):
    server = service.upstreams[0].wire()
    for n in range(3):
        caller.before = service.settle()
        slot = caller.take(request(f"/{n}"))
        assert (caller.slot(slot)["state"], caller.state()["state"]) == ("waiting", "kernel")
        before = caller.state()
        answer = response(b"%d" % n)
        server.send(answer)
        assert caller.wire.read_response().body == b"%d" % n
        caller.expect_over({2: 1}, remote=n + 1)
        assert caller.slot(slot)["state"] == "free"
        assert caller.state()["answered"] == before["answered"]
        assert caller.state()["written"] == before["written"] + len(answer)
    caller.by_relay(request("/by-relay"), response())


def test_bytes_of_bodies_are_counted_once(service, caller):
    body, answer = b"b" * 700, b"a" * 5000
    caller.take(request("/", "POST", body=body))
    service.upstreams[0].wire().send(response(answer))
    assert caller.wire.read_response().body == answer
    caller.expect_over({2: 1}, remote=1)
    after = service.counters()
    assert after["request_bytes"] - caller.before["request_bytes"] == len(body)
    assert after["response_bytes"] - caller.before["response_bytes"] == len(answer)


def test_small_answers_may_be_injected_and_large_ones_not(service, caller):
    server = service.upstreams[0].wire()
    for size, inject in ((10, True), (100000, False), (10, True)):
        caller.take(request())
        answer = response(b"x" * size)
        server.send(answer[:-1])
        assert wait_for(lambda: caller.state()["state"] == "relay")
        assert caller.wire.read_until(b"\r\n\r\n")
        assert (caller.state()["inject_until"] > 0) == inject
        server.send(answer[-1:])
        assert caller.wire.read_exactly(size) == b"x" * size
        assert wait_for(lambda: caller.state()["state"] == "idle")
        assert caller.state()["inject_until"] == 0


def test_answer_after_an_interim_one_is_not_injected(service, caller):
    server = service.upstreams[0].wire()
    caller.take(request())
    server.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert caller.wire.read_head().start.startswith("HTTP/1.1 103")
    server.send(response(b"x")[:-1])
    assert caller.wire.read_until(b"\r\n\r\n")
    assert caller.state()["inject_until"] == 0
    server.send(b"x")
    assert caller.wire.read_exactly(1)
    caller.expect_over({1: 1, 2: 1}, remote=1)


def test_response_that_is_not_for_the_kernel(local, service):
    """S's program hands over before a byte has moved: all of it comes by TCP."""
    caller = Caller(service)
    slot = caller.take(request())
    assert caller.slot(slot)["local"]
    caller.lab.command("hand-over", slot, ALL, "response-framing")
    service.upstreams[0].wire().send(response(chunked(b"abc", b"de"), fields=["Transfer-Encoding: chunked"],
                                              length=False))
    assert caller.wire.read_response().body == b"abcde"
    caller.expect_over({2: 1}, response_framing=1)
    assert caller.slot(slot)["state"] == "free"


def test_rest_of_a_response(local, service):
    """The kernel has moved the beginning; so many bytes are owed, and the connection is of no use then."""
    caller = Caller(service)
    before = caller.state()
    slot = caller.take(request())
    caller.lab.command("respond", slot, 3000, 201, 3500)
    caller.lab.command("hand-over", slot, 3000, "response-broken")
    service.upstreams[0].wire().send(b"r" * 1000).send(b"r" * 2000 + b"more than was announced")
    assert caller.wire.read_exactly(3000) == b"r" * 3000
    caller.expect_over({2: 1}, response_broken=1)
    assert caller.state()["written"] == before["written"] + 3000
    assert service.counters()["response_bytes"] - caller.before["response_bytes"] == 3500
    service.upstreams[0].wire().expect_gone()
    caller.wire.expect_silence()


def test_rest_of_a_response_that_does_not_come(local, service):
    caller = Caller(service)
    slot = caller.take(request())
    caller.lab.command("respond", slot, 30, 200, 30)
    caller.lab.command("hand-over", slot, 30, "response-broken")
    service.upstreams[0].wire().send(b"r" * 10).close()
    assert caller.wire.expect_gone() == b"r" * 10
    assert wait_for(lambda: not caller.state()["relay"])
    caller.expect_counted({2: 1}, response_broken=1)


def test_nobody_knows_what_the_caller_has(local, service):
    caller = Caller(service)
    slot = caller.take(request())
    caller.lab.command("respond", slot, 30, 200, 40)
    service.upstreams[0].wire().close()
    with pytest.raises(ConnectionResetError):
        caller.wire.fill()
    caller.expect_counted({2: 1}, upstream_died=1)
    assert wait_for(lambda: caller.state()["state"] == "closed")
    assert not caller.state()["relay"]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_server_that_has_gone_is_asked_again(local, service, how):
    """Over a new connection, with what the kernel has kept of the request."""
    caller = Caller(service)
    sent = request("/again", "PUT", fields=["X-Test: kept"], body=b"k" * 2000)
    caller.take(sent)
    getattr(service.upstreams[0].wire(), how)()
    server = service.upstreams[0].accept()
    assert server.read_exactly(len(sent)) == sent
    server.send(response(b"again"))
    assert caller.wire.read_response().body == b"again"
    caller.expect_over({2: 1}, upstream_died=1)


def test_server_that_may_have_seen_the_request_is_not_asked_again(local, service):
    """No acknowledgment tells, as the request did not go by TCP."""
    caller = Caller(service)
    caller.take(request("/", "POST", body=b"abc"))
    service.upstreams[0].wire().close()
    got = caller.wire.read_response()
    assert (got.status, got.reason) == (502, "upstream-closed")
    caller.expect_over({5: 1}, upstream_died=1)
    service.upstreams[0].expect_none()


def test_request_that_was_not_kept_is_not_sent_again(local, service):
    caller = Caller(service)
    caller.take(request("/", "PUT", body=b"k" * 20000))
    service.upstreams[0].wire().close()
    got = caller.wire.read_response()
    assert (got.status, got.reason) == (502, "upstream-closed")
    caller.expect_over({5: 1}, upstream_died=1)
    service.upstreams[0].expect_none()


def test_server_that_does_not_come_back_is_replaced(services):
    service = services(2)
    caller = Caller(service)
    first, second = service.upstreams
    caller.take(request("/elsewhere"))
    first.listener.close()
    first.wire().close()
    server = second.accept()
    assert server.read_request().head.start == "GET /elsewhere HTTP/1.1"
    server.send(response(b"elsewhere"))
    assert caller.wire.read_response().body == b"elsewhere"
    caller.expect_over({2: 1}, upstream_died=1)


def test_patience_ends_with_the_timeout_of_the_route(services):
    service = services(policy="routes:\n  - to: default\n    timeout: 300ms\n")
    caller = Caller(service)
    begin = time.monotonic()
    caller.take(request(), timeout=300)
    got = caller.wire.read_response()
    assert (got.status, got.reason) == (504, "upstream-timeout")
    assert time.monotonic() - begin >= 0.3
    caller.expect_over({5: 1}, patience=1)
    service.upstreams[0].wire().expect_gone()
    caller.wire.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(response())
    assert caller.wire.read_response().status == 200


def test_caller_that_is_gone(service, caller):
    slot = caller.take(request())
    caller.wire.reset()
    assert wait_for(lambda: not caller.state()["relay"])
    caller.expect_counted({0: 1}, caller_gone=1)
    assert service.counters()["reasons"] == {"client-aborted": 1}
    assert caller.slot(slot)["state"] == "unused"


def test_caller_that_only_listens_gets_its_answer(service, caller):
    caller.take(request())
    caller.wire.shutdown()
    time.sleep(0.1)
    service.upstreams[0].wire().send(response(b"late"))
    assert caller.wire.read_response().body == b"late"
    caller.wire.expect_end()
    caller.expect_counted({2: 1}, remote=1)
    assert wait_for(lambda: not caller.state()["relay"])


def test_caller_that_only_listens_is_closed_when_the_kernel_has_answered(local, service):
    caller = Caller(service)
    slot = caller.take(request())
    caller.lab.command("respond", slot, 0, 200, 0)
    caller.wire.shutdown()
    time.sleep(0.1)
    assert caller.state()["state"] == "kernel"
    caller.lab.command("finish", slot)
    caller.wire.expect_end()
    assert wait_for(lambda: not caller.state()["relay"])
    caller.expect_counted({2: 1}, fast=1)


def test_what_comes_while_the_kernel_answers_waits(service, caller):
    server = service.upstreams[0].wire()
    caller.take(request("/1"))
    caller.wire.send(request("/2") + request("/3"))
    time.sleep(0.1)
    assert caller.state()["state"] == "kernel"
    server.send(response(b"1"))
    assert caller.wire.read_response().body == b"1"
    for n in (b"2", b"3"):
        assert server.read_request().head.start == f"GET /{n.decode()} HTTP/1.1"
        server.send(response(n))
        assert caller.wire.read_response().body == n
    assert service.settle()["requests"] == caller.before["requests"] + 3


def test_what_comes_while_the_kernel_answers_is_served_after_it(local, service):
    """The kernel does not tell when it is through."""
    caller = Caller(service)
    slot = caller.take(request("/1"))
    caller.lab.command("respond", slot, 0, 200, 1)
    caller.wire.send(request("/2"))
    service.upstreams[0].expect_none()
    caller.lab.command("finish", slot)
    server = service.upstreams[0].wire()
    assert server.read_request().head.start == "GET /2 HTTP/1.1"
    server.send(response(b"2"))
    assert caller.wire.read_response().body == b"2"


def test_idle_is_what_the_kernel_does_not_use_either(services):
    service = services(policy="timeouts: {idle: 300ms}\n")
    caller = Caller(service)
    slot = caller.take(request())
    time.sleep(0.7)
    assert caller.state()["state"] == "kernel"
    service.upstreams[0].wire().send(response(b"slow"))
    assert caller.wire.read_response().body == b"slow"
    for _ in range(5):
        time.sleep(0.15)
        caller.lab.command("used", caller.index, 0)
    assert caller.state()["state"] == "idle"
    assert caller.slot(slot)["state"] == "free"
    caller.wire.expect_end()
    assert wait_for(lambda: not caller.state()["relay"])
    assert service.counters()["reasons"] == {"idle-closed": 1}


def test_connection_that_was_refused_an_index_goes_the_ordinary_way(lab, service):
    """D has closed and its index been given away before the relay accepts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        index = lab.command("connect", "127.0.0.1", sock.getsockname()[1], service.name, SLICE)["downstream"]
        lab.command("release", index)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", lab.port))
        wire = Wire(sock)
        wire.send(request())
        server = service.upstreams[0].wire()
        server.read_request()
        server.send(response())
        assert wire.read_response().status == 200
        assert lab.command("downstream", index)["state"] == "closed"
        assert lab.command("paths", service.name, SLICE)["service"]["caller-gone"] == 1


def test_choice_of_the_kernel_holds(services):
    """The cursors have moved already."""
    service = services(3)
    caller = Caller(service, warm=False)
    at = 0
    for n in (2, 2, 0, 2, 1):
        caller.lab.command("choose", caller.index, at, service.name, service.upstreams[n].text, 0)
        sent = request(f"/{n}")
        caller.wire.send(sent)
        server = service.upstreams[n].wire()
        server.read_request()
        server.send(response(b"%d" % n))
        assert caller.wire.read_response().body == b"%d" % n
        at += len(sent)


def test_choice_for_another_request_does_not_hold(services):
    service = services(2)
    caller = Caller(service, warm=False)
    caller.lab.command("choose", caller.index, 1, service.name, service.upstreams[1].text, 0)
    caller.by_relay(request("/0"), response())  # the first in turn
    assert not service.upstreams[1].wires


def test_choice_that_fails_is_made_anew(services):
    service = services(2)
    caller = Caller(service, warm=False)
    caller.lab.command("choose", caller.index, 0, service.name, service.upstreams[1].text, 0)
    service.upstreams[1].listener.close()
    caller.by_relay(request("/0"), response())


@pytest.mark.parametrize("effects, status", [(0, 200), (1, 503), (2, 200), (3, 503)])
def test_dice_of_the_kernel_hold(services, effects, status):
    """Also where the relay would hardly ever have thrown so."""
    never = "0.000001%"
    fault = f"{{abort: {{status: 503, fraction: {never}}}, delay: {{for: 50ms, fraction: {never}}}}}"
    service = services(1, policy=f"routes: [{{name: r, to: default, fault: {fault}}}]\n")
    caller = Caller(service, warm=False)
    caller.lab.command("choose", caller.index, 0, service.name, service.upstreams[0].text, effects)
    caller.wire.send(request())
    if status == 200:
        service.upstreams[0].wire().read_request()
        service.upstreams[0].wire().send(response())
    assert caller.wire.read_response().status == status
    route = caller.lab.command("route", service.name, 0)
    assert (route["aborted"], route["delayed"]) == (effects & 1, effects >> 1)
    assert route["requests"] == 1


def test_stopping_waits_for_the_kernel(own_lab):
    lab = own_lab(workers=1)
    lab.command("features", REQUESTS)
    service = lab.service([Upstream()])
    idle, busy = Caller(service), Caller(service, warm=False)
    busy.take(request())
    lab.command("stop", 20000)
    idle.wire.expect_end()
    assert busy.state()["state"] == "kernel"
    service.upstreams[0].wire().send(response(b"last"))
    assert busy.wire.read_response().body == b"last"
    busy.wire.expect_end()
    lab.relay.process.wait(20)
    assert lab.relay.process.returncode == 0


def test_stopping_does_not_wait_for_ever(own_lab):
    lab = own_lab(workers=1)
    lab.command("features", REQUESTS)
    service = lab.service([Upstream()])
    caller = Caller(service)
    caller.take(request())
    lab.command("stop", 300)
    caller.wire.expect_gone()
    lab.relay.process.wait(20)
    assert lab.relay.process.returncode == 0
    assert not caller.state()["relay"]
