# SPDX-License-Identifier: LGPL-2.1-or-later
"""What slicemeshd does to a relay at work, and what becomes of the relay without it."""

import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from relay_lab import ROOT, LabError, wait_for
from relay_wire import Upstream, Wire, WireError, request, response


class Servers:
    """Answers with the number of the endpoint, in threads, until closed."""

    def __init__(self, service, pause=0):
        self.pause = pause
        self.counts = [0] * len(service.upstreams)
        for i, upstream in enumerate(service.upstreams):
            threading.Thread(target=self.accept_all, args=(i, upstream), daemon=True).start()

    def accept_all(self, i, upstream):
        upstream.listener.settimeout(None)
        while True:
            try:
                sock, _ = upstream.listener.accept()
            except OSError:
                return
            upstream.wires.append(Wire(sock))
            threading.Thread(target=self.serve, args=(i, upstream.wires[-1]), daemon=True).start()

    def serve(self, i, wire):
        wire.sock.settimeout(None)
        try:
            while True:
                wire.read_request()
                self.counts[i] += 1
                time.sleep(self.pause)
                wire.send(response(b"%d" % i))
        except (WireError, OSError):
            wire.close()


def first_accepted(*upstreams):
    """The connection that is the first to come to one of them, however long a new relay takes to start."""
    ready = select.select([u.listener for u in upstreams], [], [], 30)[0]
    return next(u for u in upstreams if u.listener in ready).accept()


def ask(client, n=1):
    """So many requests, one after the other; the endpoints that answered."""
    answers = []
    for _ in range(n):
        client.send(request())
        got = client.read_response()
        assert got.status == 200, got
        answers.append(int(got.body))
    return answers


# weights

def test_round_robin_by_weight_is_exact(services):
    service = services(3)
    a, b, c = (u.text for u in service.upstreams)
    endpoints = f'[{{address: "{a}", weight: 5}}, {{address: "{b}", weight: 3}}, "{c}"]'
    service.write(f"subsets: {{default: {{endpoints: {endpoints}}}}}\n")
    Servers(service)
    answers = ask(service.connect(), 900)
    assert [answers.count(i) for i in range(3)] == [500, 300, 100]
    for first in range(0, 891, 9):  # in any window
        window = answers[first:first + 9]
        assert [window.count(i) for i in range(3)] == [5, 3, 1]


def test_weight_changes_while_a_connection_lives(lab, services):
    service = services(2)
    Servers(service)
    client = service.connect()
    answers = ask(client, 100)
    assert answers.count(0) == 50
    lab.command("weight", service.name, service.upstreams[0].text, 9)
    answers = ask(client, 100)
    assert answers.count(0) == 90
    lab.command("weight", service.name, service.upstreams[0].text, 0)
    assert ask(client, 20) == [1] * 20


@pytest.mark.parametrize("state", ["drain", "disabled"])
def test_drained_endpoint_gets_nothing_new(lab, services, state):
    service = services(2)
    Servers(service)
    client = service.connect()
    ask(client, 10)
    before = service.endpoint(0)["requests"]
    lab.command("admin", service.name, service.upstreams[0].text, state)
    assert ask(client, 30) == [1] * 30
    assert service.endpoint(0)["requests"] == before
    lab.command("admin", service.name, service.upstreams[0].text, "enabled")
    assert set(ask(client, 10)) == {0, 1}


def test_drain_lets_what_is_under_way_finish(lab, services):
    service = services(2)
    a, b = service.upstreams
    lab.command("admin", service.name, b.text, "drain")
    client = service.connect()
    client.send(request("/slow", "POST", ["Content-Length: 6"]), b"abc")
    server = a.accept()
    server.read_head()
    lab.command("admin", service.name, b.text, "enabled")
    lab.command("admin", service.name, a.text, "drain")
    assert service.endpoint(0)["in_flight"] == 1
    client.send(b"def")
    assert server.read_exactly(6) == b"abcdef"
    server.send(response(b"finished"))
    assert client.read_response().body == b"finished"
    client.send(request())
    other = b.accept()
    other.read_request()
    other.send(response(b"b"))
    assert client.read_response().body == b"b"


def test_nothing_left_to_send_to(lab, services):
    service = services(2)
    Servers(service)
    client = service.connect()
    ask(client)
    for u in service.upstreams:
        lab.command("admin", service.name, u.text, "drain")
    client.send(request())
    got = client.read_response()
    assert (got.status, got.reason) == (503, "no-endpoint")
    lab.command("admin", service.name, service.upstreams[1].text, "enabled")
    client.close()
    assert ask(service.connect()) == [1]
    assert service.settle()["reasons"] == {"no-endpoint": 1}


def test_split_by_share(services):
    service = services(2)
    a, b = (u.text for u in service.upstreams)
    service.write(f'subsets: {{a: {{endpoints: ["{a}"]}}, b: {{endpoints: ["{b}"]}}}}\n'
                  "routes: [{name: canary, split: {a: 95, b: 5}}]\n")
    Servers(service)
    assert ask(service.connect(), 400).count(1) == 20


@pytest.mark.parametrize("how", ["header", "cookie"])
def test_consistent_hash_keeps_to_its_endpoint(services, how):
    service = services(3)
    texts = ", ".join(f'"{u.text}"' for u in service.upstreams)
    balance = f"balance: consistent-hash, hash: {{{how}: user}}"
    service.write(f"subsets: {{default: {{endpoints: [{texts}], {balance}}}}}\n")
    Servers(service)
    client = service.connect()
    homes = {}
    for i in range(300):
        user = i % 60
        field = f"User: u{user}" if how == "header" else f"Cookie: a=b; user=u{user}; c=d"
        client.send(request(fields=[field]))
        homes.setdefault(user, set()).add(client.read_response().body)
    assert all(len(h) == 1 for h in homes.values())
    assert len(set.union(*homes.values())) == 3


def test_least_request_prefers_the_idle(services):
    """Five requests hang at one endpoint: the less busy of two is then always the other one."""
    service = services(2)
    a, b = service.upstreams
    service.write(f'subsets: {{default: {{endpoints: ["{a.text}", "{b.text}"], balance: least-request}}}}\n')
    service.lab.command("admin", service.name, b.text, "drain")
    hanging = [service.connect() for _ in range(5)]
    for client in hanging:
        client.send(request("/hang"))
        a.accept().read_request()
    service.lab.command("admin", service.name, b.text, "enabled")
    client = service.connect()
    picked = []
    for _ in range(40):
        client.send(request())
        b.listener.settimeout(0.3)
        server = b.wire()
        server.sock.settimeout(0.3)
        try:
            server.read_request()
        except TimeoutError:  # the same one was drawn twice, and it was the busy one
            a_server = a.accept()
            a_server.read_request()
            a_server.send(response())
            picked.append("a")
        else:
            server.send(response())
            picked.append("b")
        client.read_response()
    assert picked.count("b") >= 20, picked


# the policy changes under traffic

def test_reload_under_traffic(lab, services):
    service = services(2)
    Servers(service)
    stop = threading.Event()
    failures, done = [], [0]

    def client_loop(client):
        while not stop.is_set():
            try:
                ask(client)
                done[0] += 1
            except Exception as e:
                failures.append(e)
                return

    threads = [threading.Thread(target=client_loop, args=(service.connect(),)) for _ in range(8)]
    for t in threads:
        t.start()
    a, b = (u.text for u in service.upstreams)
    for i in range(60):
        order = [a, b] if i % 2 else [b, a]
        endpoints = ", ".join(f'{{address: "{t}", weight: {i % 7 + 1}}}' for t in order)
        via = "true" if i % 3 else "false"
        service.write(f"subsets: {{default: {{endpoints: [{endpoints}]}}}}\nvia: {via}\n")
        time.sleep(0.01)
    pong = lab.command("ping")
    stop.set()
    for t in threads:
        t.join()
    assert not failures
    assert done[0] > 60
    assert pong["epoch"] <= pong["asked"]
    assert service.settle()["reasons"] == {}


def test_epoch_waits_for_who_reads_under_it(lab, services):
    """A request keeps the cells of the policy it was matched by from being reused; not longer."""
    service = services(1)
    client = service.connect()
    client.send(request())
    server = service.upstreams[0].accept()
    server.read_request()
    service.write("via: true\n")
    service.write("via: false\n")
    server.send(response())
    assert client.read_response().status == 200
    assert wait_for(lambda: (p := lab.command("ping"))["epoch"] >= p["asked"])


def test_service_that_is_withdrawn(lab, services):
    kept, gone = services(1), lab.service([Upstream()])
    Servers(kept)
    Servers(gone)
    client = gone.connect()
    ask(client)
    gone.remove()
    client.send(request())
    got = client.read_response()
    assert (got.status, got.reason) == (503, "no-service")
    assert ask(kept.connect()) == [0]
    client.close()
    for u in gone.upstreams:
        u.close()


def test_broken_policy_changes_nothing(lab, services):
    service = services(1)
    Servers(service)
    good = service.file.read_text()
    service.file.write_text(good + "no-such-key: 1\n")
    with pytest.raises(LabError):
        lab.command("reload")
    assert ask(service.connect()) == [0]
    service.file.write_text(good)
    lab.command("reload")


# the link

def test_relink_under_traffic(own_lab):
    service = own_lab().service([Upstream()])
    Servers(service)
    client = service.connect()
    for _ in range(10):
        ask(client, 5)
        service.lab.command("relink")
        assert service.lab.command("ping")["connections"] == 1
    ask(service.connect(), 5)
    assert service.settle()["requests"] == 55
    service.finish()


def test_slicemeshd_is_killed(own_lab):
    """Traffic goes on, also over new connections of callers on record; the next slicemeshd takes over."""
    lab = own_lab()
    service = lab.service([Upstream()])
    servers = Servers(service)
    old = service.connect()
    ask(old, 5)
    recorded = service.socket()
    old_port = lab.port
    lab.kill()
    ask(old, 20)
    recorded.connect(("127.0.0.1", old_port))
    recorded.settimeout(20)
    assert ask(Wire(recorded), 20) == [0] * 20
    lab.relay.check_alive()

    lab.start_lab()  # with tables and listeners of its own
    ask(old, 5)
    new = service.connect()
    assert ask(new, 5) == [0] * 5
    assert service.settle()["requests"] >= 5
    assert servers.counts == [55]
    old.close()
    new.close()
    service.finish()


def test_relay_is_killed(own_lab):
    """What was under way is lost. What comes while there is no relay waits for the next one, which begins to
    count from nothing."""
    lab = own_lab()
    service = lab.service([Upstream(), Upstream()])
    a, b = service.upstreams
    hanging = [service.connect() for _ in range(6)]
    for client in hanging:
        client.send(request("/hang"))
    for upstream in (a, b):
        for _ in range(3):
            upstream.accept().read_request()
    assert service.counters()["active"] == 6
    recorded = service.socket()
    lab.relay.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, lab.relay.pid, os.WSTOPPED | os.WNOWAIT)  # until then it may still accept
    recorded.settimeout(20)
    recorded.connect(("127.0.0.1", lab.port))
    recorded.sendall(request("/waits"))
    lab.replace_relay()
    for client in hanging:
        client.expect_gone()
    server = first_accepted(a, b)
    assert server.read_request().head.start == "GET /waits HTTP/1.1"
    assert service.counters()["active"] == 1
    assert service.endpoint(0)["in_flight"] + service.endpoint(1)["in_flight"] == 1
    assert service.endpoint(0)["connections"] + service.endpoint(1)["connections"] == 1
    server.send(response())
    assert Wire(recorded).read_response().status == 200
    service.finish()


LIMITS, LINK = ((ROOT / "src/abi" / name).read_text() for name in ("abi-limits.h", "abi-link.h"))
HELLO = struct.pack("IIII", 1, 8, int(re.search(r"define SM_ABI_VERSION (\d+)", LIMITS)[1]), 0)
TABLES = len(re.findall(r"^ +SM_TABLE_\w+", LINK, re.M))


@pytest.mark.parametrize("messages", [
    [b""], [b"x"], [b"\0" * 7], [b"\0" * 8], [struct.pack("II", 99, 0)],
    [struct.pack("II", 1, 4) + b"\0" * 4], [struct.pack("IIII", 1, 8, 999, 0)], [struct.pack("II", 18, 0)],
    [HELLO, HELLO], [HELLO, struct.pack("II", 18, 0)],
    [HELLO, struct.pack("II", 16, 48) + b"\0" * 48], [HELLO, struct.pack("IIII", 17, 8, 0, 2)],
    [struct.pack("II", 1, 8) + b"\0" * 60000], [struct.pack("II", 1, 0xffffffff) + b"\0" * 8],
    [HELLO, struct.pack("IIQQ", 19, 16, 1, 1)],
])
def test_nonsense_on_the_link(lab, service, messages):
    """The relay hangs up and serves on."""
    Servers(service)
    client = service.connect()
    ask(client)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(20)
        link.connect(str(lab.relay.path))
        try:
            for message in messages:
                link.send(message)
            while link.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
    lab.relay.check_alive()
    ask(client)
    lab.command("relink")
    ask(client)


@pytest.mark.parametrize("n", [0, 1, TABLES - 1, TABLES, TABLES + 1])
def test_wrong_descriptors_on_the_link(lab, service, n):
    """Tables that are no maps, too few, too many: none is kept open."""
    Servers(service)
    client = service.connect()
    ask(client)
    before = lab.relay.descriptors()
    tables = struct.pack(f"II{TABLES}I4I", 16, 4 * TABLES + 16, *[100] * TABLES, 100, 65536, 32768, 1000)
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.settimeout(20)
            link.connect(str(lab.relay.path))
            link.send(HELLO)
            link.recv(100)
            fds = [os.open("/dev/null", os.O_RDWR) for _ in range(n)]
            socket.send_fds(link, [tables], fds) if n else link.send(tables)
            for fd in fds:
                os.close(fd)
            try:
                while link.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    lab.relay.check_alive()
    lab.command("relink")
    ask(client)
    assert wait_for(lambda: lab.relay.descriptors() <= before), (lab.relay.descriptors(), before)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.confined
def test_no_descriptor_is_closed_twice(own_lab):
    """In a process of several threads the second close would hit whatever got the number in between."""
    lab = own_lab()
    service = lab.service([Upstream()])
    Servers(service)
    ask(service.connect())
    trace = lab.directory / "trace"
    with subprocess.Popen(["strace", "-f", "-e", "trace=close", "-o", trace, "-p", str(lab.relay.pid)],
                          stderr=subprocess.PIPE, text=True) as strace:
        if "attached" not in strace.stderr.readline():
            pytest.skip("strace cannot attach here")
        for _ in range(3):
            lab.command("relink")
            with service.connect() as client:
                ask(client)
        lab.command("stop", 0)
        assert lab.relay.process.wait(20) == 0
    lines = trace.read_text().splitlines()
    assert len([line for line in lines if " close(" in line]) > 3 * 8, "those of the tables at least"
    assert not [line for line in lines if "EBADF" in line]


# stopping

@pytest.mark.parametrize("how", ["message", "signal"])
def test_stop_finishes_what_is_under_way(own_lab, how):
    lab = own_lab(drain_ms=10000)
    service = lab.service([Upstream()])
    upstream = service.upstreams[0]
    idle, busy, tunnel = (service.connect() for _ in range(3))
    idle.send(request())
    server = upstream.accept()
    server.read_request()
    server.send(response())
    idle.read_response()
    busy.send(request("/", "POST", ["Content-Length: 6"]), b"abc")
    server.read_head()
    if how == "message":
        lab.command("stop", 10000)
    else:
        lab.relay.process.send_signal(signal.SIGTERM)
    idle.expect_end()
    busy.send(b"def")
    assert server.read_exactly(6) == b"abcdef"
    server.send(response(b"done"))
    got = busy.read_response()
    assert got.body == b"done" and "close" in got.head.tokens("connection")
    busy.expect_end()
    tunnel.close()
    assert lab.relay.process.wait(20) == 0


def test_stop_does_not_wait_for_ever(own_lab):
    lab = own_lab()
    service = lab.service([Upstream()])
    client = service.connect()
    client.send(request())
    service.upstreams[0].accept().read_request()
    lab.command("stop", 300)
    raw = client.expect_gone()
    assert raw == b"" or b"shutting-down" in raw
    assert lab.relay.process.wait(20) == 0


def test_stop_ends_tunnels_in_the_end(own_lab):
    lab = own_lab()
    service = lab.service([Upstream()])
    client = service.connect()
    client.send(request(fields=["Connection: Upgrade", "Upgrade: websocket"]))
    server = service.upstreams[0].accept()
    server.read_request()
    server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    client.read_head()
    lab.command("stop", 500)
    client.send(b"still open")
    assert server.read_exactly(10) == b"still open"
    client.expect_gone()
    server.expect_gone()
    assert lab.relay.process.wait(20) == 0


def test_stop_of_an_idle_relay(own_lab):
    lab = own_lab()
    lab.command("stop", 10000)
    assert lab.relay.process.wait(20) == 0


# workers

def test_more_than_one_worker(own_lab):
    lab = own_lab(workers=3)
    service = lab.service([Upstream(), Upstream()])
    Servers(service)
    clients = [service.connect() for _ in range(30)]
    answers = [a for client in clients for a in ask(client, 10)]
    assert answers.count(0) == answers.count(1) == 150
    counters = service.settle()
    assert counters["requests"] == 300 and counters["connections"] == 30
    assert lab.command("ping")["connections"] == 30
    service.write("via: true\n")
    assert len(ask(clients[0], 10)) == 10
    service.finish()


# confinement

@pytest.mark.confined
def test_relay_can_do_nothing_but_relay(lab, service):
    Servers(service)
    ask(service.connect())
    status = lab.relay.status()
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) & 0 == 0
    for task in pathlib.Path(f"/proc/{lab.relay.pid}/task").iterdir():
        assert "\nSeccomp:\t2\n" in (task / "status").read_text()


def test_relay_holds_no_file_open(lab, service):
    Servers(service)
    ask(service.connect())
    for entry in pathlib.Path(f"/proc/{lab.relay.pid}/fd").iterdir():
        target = os.readlink(entry)
        known = ("socket:", "anon_inode:", "/dev/null", str(lab.relay.log))
        assert target.startswith(known), f"{entry.name} -> {target}"


def test_relay_links_little(lab):
    """No libbpf, no libyaml: /proc/PID/maps tells what is loaded."""
    maps = pathlib.Path(f"/proc/{lab.relay.pid}/maps").read_text()
    for library in ("libbpf", "libyaml", "libcares", "libelf"):
        assert library not in maps


def test_every_counter_adds_up(services):
    """Status classes, bodies, connections: exact."""
    service = services(1)
    upstream = service.upstreams[0]
    client = service.connect()
    server = None
    for status, body in (("200 OK", b"a" * 10), ("204 No Content", None), ("301 Moved", b""),
                         ("404 Not Found", b"b" * 7), ("503 Busy", b"c")):
        client.send(request("/", "POST", body=b"12345"))
        server = server or upstream.accept()
        server.read_request()
        server.send(response(body or b"", status, length=body is not None))
        client.read_response()
    client.send(request("/x", "GET"))
    server.read_request()
    server.send(b"HTTP/1.1 103 Early Hints\r\n\r\n", response(b"z"))
    client.read_response()
    client.read_response()
    bad = service.connect()
    bad.send(b"NONSENSE\r\n\r\n")
    bad.read_response()
    counters = service.settle()
    assert counters["connections"] == 2
    assert counters["requests"] in (6, 7)  # what could not be parsed may count or not
    assert counters["status"] == [0, 1, 3, 1, 2, 1]
    assert counters["request_bytes"] == 25
    assert counters["response_bytes"] == 19
    assert counters["active"] == 0
    assert service.endpoint()["requests"] == 6 and service.endpoint()["failures"] == 0
