# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that relay and kernel share: what becomes of them when the relay, slicemeshd, the tables or
the endpoints are replaced, and with time."""

import pathlib
import time

import pytest

from relay_lab import LabError, wait_for
from relay_wire import Upstream, request, response
from test_relay_fast import REQUESTS, Caller

N_SLOTS = 255  # of relay-lab


@pytest.fixture
def fast(own_lab):
    lab = own_lab(workers=1)
    lab.command("features", REQUESTS)
    return lab


def by_kernel(caller, server, path="/"):
    """What the kernel takes and the relay answers."""
    caller.take(request(path))
    server.send(response(path.encode()))
    assert caller.wire.read_response().body == path.encode()


def is_idle(caller):
    """Whether the kernel could take a request: then it does, and lets it be answered."""
    try:
        caller.lab.command("take", caller.index, caller.service.name, caller.service.upstreams[0].text, 0,
                           request().hex())
    except LabError:
        return False
    return True


def test_slicemeshd_comes_back_with_the_same_tables(fast):
    service = fast.service([Upstream()])
    idle, busy = Caller(service), Caller(service, warm=False)
    server = service.upstreams[0].wire()
    busy.take(request("/busy"))
    fast.command("relink")
    fast.command("ping")
    assert busy.state()["state"] == "kernel"
    server.send(response(b"busy"))
    assert busy.wire.read_response().body == b"busy"
    server.expect_gone()  # its endpoint might have been another one's before
    service.upstreams[0].wires.clear()
    server = idle.by_relay(request(), response())
    by_kernel(idle, server)
    assert idle.paths()["remote"] == 2
    service.finish()


def test_slicemeshd_comes_back_with_other_tables(fast):
    """What the kernel had under way in the old ones is the relay's to end."""
    service = fast.service([Upstream()])
    Caller(service)
    busy = Caller(service, warm=False)
    server = service.upstreams[0].wire()
    busy.take(request("/busy"))
    fast.kill()
    fast.start_lab()
    fast.command("features", REQUESTS)
    fast.command("reload")
    assert fast.command("ping")["connections"] == 2
    server.send(response(b"busy"))
    assert busy.wire.read_response().body == b"busy"
    service.upstreams[0].wires.clear()
    after = Caller(service)
    by_kernel(after, service.upstreams[0].wire())
    service.finish()


def test_relay_is_replaced(fast):
    service = fast.service([Upstream()])
    Caller(service)
    busy = Caller(service, warm=False)
    slot = busy.take(request())
    fast.replace_relay()
    busy.wire.expect_gone()
    assert busy.slot(slot)["state"] == "unused"
    assert busy.state() | {"socket": True, "relay": False} == busy.state()
    assert busy.state()["state"] == "closed"
    assert not is_idle(busy)
    assert service.settle()["active"] == 0
    fast.command("release", busy.index)
    service.upstreams[0].wires.clear()
    after = Caller(service)
    by_kernel(after, service.upstreams[0].wire())
    service.finish()


def test_endpoint_that_is_removed(fast):
    """Its id is another's only after the kernel can get no connection to it any more."""
    service = fast.service([Upstream(), Upstream()])
    caller = Caller(service)
    used = [u for u in service.upstreams if u.wires][0]
    other = [u for u in service.upstreams if u is not used][0]
    service.upstreams = [other]
    service.write()
    server = used.wire()
    for _ in range(4):
        fast.command("ping")
    server.expect_gone()
    caller.by_relay(request("/other"), response())
    used.close()
    service.finish()


def test_connection_that_ends(fast):
    service = fast.service([Upstream()])
    caller = Caller(service)
    service.upstreams[0].wire().close()
    assert wait_for(lambda: caller.slot(1)["state"] == "unused")  # it was the first to get one
    assert not is_idle(caller)
    service.upstreams[0].wires.clear()
    by_kernel(caller, caller.by_relay(request(), response()))
    service.finish()


def test_no_more_slots_than_there_are(fast):
    """Connections without one are the relay's alone."""
    service = fast.service([Upstream()])
    clients = [service.connect() for _ in range(N_SLOTS + 20)]
    for client in clients:
        client.send(request())
    servers = [service.upstreams[0].accept() for _ in clients]
    for server in servers:
        server.read_request()
        server.send(response())
    for client in clients:
        assert client.read_response().status == 200
    assert all(fast.command("slot", i)["state"] == "free" for i in range(1, N_SLOTS + 1))
    assert fast.command("ping")["upstreams"] == N_SLOTS + 20
    for server in servers:
        server.close()
    assert wait_for(lambda: fast.command("ping")["upstreams"] == 0)
    assert all(fast.command("slot", i)["state"] == "unused" for i in range(1, N_SLOTS + 1))
    service.finish()


def switches(lab):
    """How often the relay's threads had to wake up."""
    return sum(int(line.split()[1]) for task in pathlib.Path(f"/proc/{lab.relay.pid}/task").iterdir()
               for line in (task / "status").read_text().splitlines()
               if line.startswith("voluntary_ctxt_switches"))


def test_relay_sleeps_while_the_kernel_serves(fast):
    service = fast.service([Upstream()], "timeouts: {pool-idle: 60s}\n")
    caller = Caller(service)
    for _ in range(20):  # until what was in use before is given back
        before = switches(fast)
        time.sleep(1.5)
        if switches(fast) == before:
            break
    before = switches(fast)
    for _ in range(200):
        slot = caller.take(request())
        fast.command("respond", slot, 0, 200, 2)
        fast.command("finish", slot)
    assert switches(fast) == before
    assert caller.paths()["fast"] == 200
    service.finish()
