# SPDX-License-Identifier: LGPL-2.1-or-later
"""Routes that go by a request's body, and by regular expressions."""

import ctypes
import json
import pathlib
import platform
import random
import time

import pytest

from relay_lab import wait_for
from relay_wire import Upstream, chunked, request, response

LOOK_MAX = 16384         # SM_BODY_LOOK_MAX
WIRE_MAX = 8 * LOOK_MAX  # LOOK_BYTES_MAX
FORM = ["Content-Type: application/x-www-form-urlencoded"]


class Fork:
    """A service of two endpoints: what matches goes to the first, what does not to the second."""

    def __init__(self, services, match, more=""):
        self.hit, self.miss = upstreams = [Upstream(), Upstream()]
        names = json.dumps([u.text for u in upstreams])
        hit, miss = json.loads(names)
        self.service = services(upstreams, f"""\
subsets: {{hit: {{endpoints: ["{hit}"]}}, miss: {{endpoints: ["{miss}"]}}}}
{more}
routes:
  - name: looks
    match: {match}
    to: hit
  - name: rest
    to: miss
""")
        self.client = self.service.connect()

    def endpoint(self, hit):
        return self.hit if hit else self.miss

    def arrives(self, hit, body, head=b"HTTP/1.1"):
        """The request is there, as it was sent; it is answered."""
        server = self.endpoint(hit).wire()
        got = server.read_request()
        assert got.body == body
        server.send(response(b"hit" if hit else b"miss"))
        assert self.client.read_response().body == (b"hit" if hit else b"miss")
        return got

    def check(self, hit, body, fields=()):
        self.client.send(request("/", "POST", fields, body))
        return self.arrives(hit, body)


@pytest.fixture
def fork(services):
    return lambda match, more="": Fork(services, match, more)


BODIES = [
    ("{body: {contains: needle}}", (), b"a needle in hay", b"only hay, and a needl"),
    ("{body: {contains: needle, first: 16}}", (), b"0123456789needle", b"0123456789-needle"),
    ("{body: {json: {/user/tier: gold}}}", (), b'{"a": [1], "user": {"n": 1, "tier": "g\\u006fld"}}',
     b'{"tier": "gold", "user": {"tier": "golden"}}'),
    ("{body: {json: {/id: {regex: '^[0-9]{3}$'}}}}", (), b'{"id": "123"}', b'{"id": "1234"}'),
    ("{body: {form: {tier: gold}}}", FORM, b"a=1&tier=g%6fld&b=2", b"a=1&tier=silver&b=gold"),
    ("{body: {form: {n: {range: 1..9}}}}", FORM, b"n=7", b"n=70"),
    ("{body: {form: {name: {regex: '^j.*n$'}}}}", FORM, b"name=jo+han%6e", b"name=jane"),
    ("{not: {body: {contains: needle}}}", (), b"hay", b"needle"),
    ("{any: [{body: {contains: one}}, {body: {contains: two}}]}", (), b"one or two", b"neither"),
]
IDS = ["contains", "first", "json", "json-regex", "form", "range", "form-regex", "not", "any"]


@pytest.fixture(params=BODIES, ids=IDS)
def body_case(request, fork):
    match, fields, hit, miss = request.param
    return fork(match), list(fields), hit, miss


def test_one_piece(body_case):
    fork, fields, hit, miss = body_case
    for expected, body in ((True, hit), (False, miss), (True, hit)):
        fork.check(expected, body, fields)
    assert fork.service.settle()["reasons"] == {}


def test_bytewise(body_case):
    fork, fields, hit, miss = body_case
    for expected, body in ((True, hit), (False, miss)):
        fork.client.send_bytewise(request("/", "POST", fields, body))
        fork.arrives(expected, body)


def test_odd_chunks(body_case):
    """The coding goes through as it came."""
    fork, fields, hit, miss = body_case
    dice = random.Random(7)
    for expected, body in ((True, hit), (False, miss)) * 3:
        pieces, rest = [], body
        while rest:
            n = dice.randint(1, 5)
            pieces.append(rest[:n])
            rest = rest[n:]
        coded = chunked(*pieces, extension=b";e=\"x\"", trailers=["X-Sum: 1"])
        head = request("/", "POST", [*fields, "Transfer-Encoding: chunked"])
        if dice.random() < 0.5:
            fork.client.send(head, coded)
        else:
            fork.client.send(head).send_bytewise(coded)
        server = fork.endpoint(expected).wire()
        server.read_head()
        assert server.read_exactly(len(coded)) == coded
        server.send(response(b"ok"))
        assert fork.client.read_response().body == b"ok"


def test_pipelined_behind_the_body(body_case):
    fork, fields, hit, miss = body_case
    fork.client.send(request("/", "POST", fields, hit), request("/", "POST", fields, miss),
                     request("/", "POST", [*fields, "Transfer-Encoding: chunked"]), chunked(hit))
    for expected, body in ((True, hit), (False, miss), (True, hit)):
        fork.arrives(expected, body)


def test_without_a_body(fork):
    fork = fork("{body: {contains: needle}}")
    fork.client.send(request("/"))
    fork.arrives(False, b"")
    fork.check(False, b"")


def test_other_routes_do_not_wait(fork):
    """What is decided before a route looks at the body goes at once."""
    fork = fork("{path: /looks, body: {contains: needle}}")
    fork.client.send(request("/other", "POST", ["Content-Length: 6"]))
    server = fork.miss.wire()
    assert server.read_head().start == "POST /other HTTP/1.1"
    fork.client.send(b"needle")
    assert server.read_exactly(6) == b"needle"
    server.send(response())
    assert fork.client.read_response().status == 200


def test_goes_on_when_it_is_certain(fork):
    """The text is there: nobody waits for the rest."""
    fork = fork("{body: {contains: needle}}")
    fork.client.send(request("/", "POST", ["Content-Length: 100000"]), b"a needle")
    server = fork.hit.wire()
    server.read_head()
    assert server.read_exactly(8) == b"a needle"
    rest = b"x" * (100000 - 8)
    fork.client.send(rest)
    assert server.read_exactly(len(rest)) == rest
    server.send(response())
    assert fork.client.read_response().status == 200


@pytest.mark.parametrize("size", [LOOK_MAX - 1, LOOK_MAX, LOOK_MAX + 1, 10 * LOOK_MAX, 1 << 20])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_long_bodies(fork, size, coding):
    """Only the first 16 KiB count, whatever the size of the relay's buffers."""
    fork = fork("{body: {contains: needle}}")
    for at, expected in ((0, True), (LOOK_MAX - 6, True), (LOOK_MAX - 5, False)):
        if at + 6 > size:
            continue
        body = b"x" * at + b"needle" + b"y" * (size - at - 6)
        fields = []
        if coding == "chunked":
            fields, sent = ["Transfer-Encoding: chunked"], chunked(*[body[i:i + 997]
                                                                     for i in range(0, size, 997)])
            head = request("/", "POST", fields)
        else:
            head, sent = request("/", "POST", [f"Content-Length: {size}"]), body
        fork.client.send(head, sent[:40000])
        server = fork.endpoint(expected).wire()
        server.read_head()
        assert server.read_exactly(min(40000, len(sent))) == sent[:40000]
        for i in range(40000, len(sent), 40000):
            fork.client.send(sent[i:i + 40000])
            assert server.read_exactly(len(sent[i:i + 40000])) == sent[i:i + 40000]
        server.send(response())
        assert fork.client.read_response().status == 200


def test_smallest_chunks(fork):
    """A body in chunks of a byte fits into what is read ahead."""
    fork = fork("{body: {contains: needle}}")
    body = b"x" * (LOOK_MAX - 6) + b"needle"
    fork.client.send(request("/", "POST", ["Transfer-Encoding: chunked"]),
                     chunked(*[body[i:i + 1] for i in range(len(body))]))
    fork.arrives(True, body)


def test_wasteful_coding(fork):
    """What is read ahead is bounded: then it is decided by what is there."""
    fork = fork("{body: {contains: needle}}")
    body = b"x" * 1000 + b"needle"
    extension = b";e=" + b"z" * 200
    coded = chunked(*[body[i:i + 1] for i in range(len(body))], extension=extension)
    assert len(coded) > WIRE_MAX
    fork.client.send(request("/", "POST", ["Transfer-Encoding: chunked"]), coded)
    fork.arrives(False, body)


def test_coded_content(fork):
    fork = fork("{body: {contains: needle}}")
    fork.check(False, b"needle", ["Content-Encoding: gzip"])
    fork.check(True, b"needle", ["content-encoding: Identity"])
    fork.check(False, b"needle", ["Content-Encoding: identity", "Content-Encoding: br"])


@pytest.mark.parametrize("hit", [True, False])
def test_continue_comes_from_the_relay(fork, hit):
    """The endpoint's own one is not passed on."""
    fork = fork("{body: {contains: needle}}")
    body = b"needle" if hit else b"hay---"
    for _ in range(2):
        fork.client.send(request("/", "POST", ["Expect: 100-continue", "Content-Length: 6"]))
        assert fork.client.read_response().status == 100
        fork.client.send(body)
        server = fork.endpoint(hit).wire()
        assert server.read_request().body == body
        server.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", response(b"done"))
        assert fork.client.read_response().status == 103
        assert fork.client.read_response().body == b"done"


def test_no_continue_where_it_is_not_needed(fork):
    """The body is there, the route does not look at it, or the caller knows no 100."""
    fork = fork("{path: /looks, body: {contains: needle}}")
    expect = ["Expect: 100-continue", "Content-Length: 6"]
    fork.client.send(request("/looks", "POST", expect), b"needle")
    fork.arrives(True, b"needle")
    fork.client.send(request("/", "POST", expect))
    fork.client.expect_silence()
    fork.client.send(b"needle")
    fork.arrives(False, b"needle")
    old = request("/looks", "POST", expect).replace(b"HTTP/1.1", b"HTTP/1.0")
    fork.client.send(old)
    fork.client.expect_silence()
    fork.client.send(b"needle")
    fork.arrives(True, b"needle")


def test_slow_body(fork):
    fork = fork("{body: {contains: needle}}", "timeouts: {idle: 1s}")
    fork.client.send(request("/", "POST", ["Content-Length: 100"]), b"x")
    got = fork.client.read_response()
    assert (got.status, got.reason) == (408, "request-timeout")
    fork.client.expect_gone()
    assert fork.service.settle()["reasons"] == {"request-timeout": 1}
    for upstream in (fork.hit, fork.miss):
        upstream.expect_none()


def test_steady_body(fork):
    """It may take longer than that in all."""
    fork = fork("{body: {contains: needle}}", "timeouts: {idle: 1s}")
    fork.client.send(request("/", "POST", ["Content-Length: 10"]))
    for byte in (b"x", b"y", b"z", b"z"):
        time.sleep(0.5)
        fork.client.send(byte)
    fork.client.send(b"needle")
    fork.arrives(True, b"xyzzneedle")


@pytest.mark.parametrize("leave", ["close", "reset", "shutdown"])
@pytest.mark.parametrize("expect", [[], ["Expect: 100-continue"]])
def test_caller_leaves(fork, leave, expect):
    fork = fork("{body: {contains: needle}}")
    fork.client.send(request("/", "POST", [*expect, "Content-Length: 6"]))
    if expect:
        fork.client.read_response()
    time.sleep(0.05)
    fork.client.send(b"nee")
    getattr(fork.client, leave)()
    assert wait_for(lambda: fork.service.reasons() == {"client-aborted": 1}), fork.service.reasons()
    for upstream in (fork.hit, fork.miss):
        upstream.expect_none()


def test_malformed_chunks(fork):
    fork = fork("{body: {contains: needle}}")
    fork.client.send(request("/", "POST", ["Transfer-Encoding: chunked"]), b"3\r\nabcX")
    got = fork.client.read_response()
    assert (got.status, got.reason) == (400, "bad-chunk")
    fork.client.expect_gone()


def test_sent_again(fork):
    """The endpoint closes the connection that is used again: the request is still there, body and all."""
    fork = fork("{body: {contains: needle}}")
    fork.check(True, b"needle")
    body = b"x" * 9000 + b"needle"
    fork.client.send(request("/", "PUT", [], body))
    server = fork.hit.wire()
    assert server.read_request().body == body
    server.close()
    server = fork.hit.accept()
    assert server.read_request().body == body
    server.send(response(b"again"))
    assert fork.client.read_response().body == b"again"


def test_mirrored(services):
    """The copy has the body that the route has looked at."""
    upstreams = [Upstream(), Upstream()]
    first, copy = (u.text for u in upstreams)
    service = services(upstreams, f"""\
subsets: {{first: {{endpoints: ["{first}"]}}, copy: {{endpoints: ["{copy}"]}}}}
routes:
  - {{name: all, match: {{body: {{contains: needle}}}}, to: first, mirror: {{to: copy, fraction: 100%}}}}
""")
    client = service.connect()
    body = b"x" * 3000 + b"needle" + b"y" * 3000
    client.send(request("/", "POST", [f"Content-Length: {len(body)}"]), body[:3500])
    server = upstreams[0].wire()
    server.read_head()
    client.send(body[3500:])
    assert server.read_exactly(len(body)) == body
    server.send(response())
    assert client.read_response().status == 200
    mirrored = upstreams[1].wire()
    assert mirrored.read_request().body == body
    mirrored.send(response())


def test_policy_changes_meanwhile(fork):
    """The request goes by what is in force when its body is there."""
    fork = fork("{body: {contains: needle}}")
    fork.client.send(request("/", "POST", ["Content-Length: 6"]), b"nee")
    time.sleep(0.05)
    text = fork.service.file.read_text()
    fork.service.file.write_text(text.replace("needle", "eedl"))
    fork.service.lab.command("reload")
    fork.client.send(b"dl!")
    fork.arrives(True, b"needl!")


REGEX = [
    ("{path: {regex: '^/v[0-9]+/x$'}}", ("/v12/x", []), ("/v12/xy", [])),
    ("{headers: {x-user: {regex: '^(ann|bob)$'}}}", ("/", ["X-User: eve", "x-user: bob"]),
     ("/", ["X-User: bobby"])),
    ("{query: {q: {regex: 'a b+$'}}}", ("/?q=1&q=a+b%62", []), ("/?q=a%20b%20", [])),
    ("{cookies: {sid: {regex: '^[0-9a-f]{4}$'}}}", ("/", ["Cookie: a=b; sid=00ff"]),
     ("/", ["Cookie: sid=00fg"])),
    ("{not: {path: {regex: x}}}", ("/a", []), ("/x", [])),
]


@pytest.mark.parametrize("match, hit, miss", REGEX, ids=["path", "header", "query", "cookie", "not"])
def test_regex(fork, match, hit, miss):
    fork = fork(match)
    for expected, (target, fields) in ((True, hit), (False, miss), (True, hit)):
        fork.client.send(request(target, fields=fields))
        fork.arrives(expected, b"")
    assert fork.service.settle()["reasons"] == {}


@pytest.mark.parametrize("pattern, value", [
    ("(a+)+$", "a" * 8000 + "!"), ("(a|aa)+$", "a" * 8000 + "!"), ("a.*bc", "ab" * 4000 + "ac"),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 8000),
])
def test_catastrophic_patterns(fork, pattern, value):
    """They end, do not match, are counted and told once; the relay serves others."""
    fork = fork(f"{{headers: {{x: {{regex: '{pattern}'}}}}}}")
    begin = time.monotonic()
    for _ in range(3):
        fork.client.send(request("/", fields=["X: " + value]))
        fork.arrives(False, b"")
    assert time.monotonic() - begin < 15  # each would take seconds to centuries
    assert fork.service.settle()["reasons"] == {"regex-limit": 3}
    said = fork.service.lab.relay.said()
    assert said.count(f"Service {fork.service.name}:") == 1 and pattern in said


def deny_machine_code():
    """As MemoryDenyWriteExecute= does: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), since Linux 6.3."""
    assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0


def machine_code(lab):
    """Whether the relay has memory that is writable and executable."""
    maps = pathlib.Path(f"/proc/{lab.relay.pid}/maps").read_text()
    return any(line.split()[1].startswith("rwx") for line in maps.splitlines())


@pytest.mark.confined
@pytest.mark.parametrize("options, before, expected", [
    ([], None, False), (["--regex-jit"], None, True), (["--regex-jit"], deny_machine_code, False),
], ids=["default", "jit", "denied"])
def test_machine_code(own_lab, options, before, expected):
    """Only if it is asked for; what is denied is said, and makes no difference."""
    if before and tuple(int(n) for n in platform.release().split(".")[:2]) < (6, 3):
        pytest.skip("PR_SET_MDWE is Linux 6.3")
    lab = own_lab(relay_options=options, before_relay=before)
    upstreams = [Upstream()]
    service = lab.service(upstreams, "routes: [{name: a, match: {path: {regex: '^/a+$'}}, to: default}]\n")
    with service.connect() as client:
        client.send(request("/aaa"))
        server = upstreams[0].accept()
        server.read_request()
        server.send(response())
        assert client.read_response().status == 200
        client.send(request("/aab"))
        assert client.read_response().reason == "no-route"
    assert machine_code(lab) == expected
    assert ("is denied" in lab.relay.said()) == (before is not None)
