# SPDX-License-Identifier: LGPL-2.1-or-later
"""A relay under test: this module plays systemd and starts it, relay-lab plays slicemeshd."""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import relay_wire as wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLICEMESH_BUILD", ROOT / "build"))
RELAY = BUILD / "src/relay/slicemesh-relay"
LAB = BUILD / "tests/relay/relay-lab"
LONG = os.environ.get("SLICEMESH_TEST_LONG") == "1"
SANITIZED = os.environ.get("SLICEMESH_SANITIZED") == "1"
RELAY_OPTIONS = ["--no-sandbox"] if SANITIZED else []  # sanitizers look at /proc and trace themselves
EXIT_SKIPPED = 77
NOBODY = 65534


class LabError(Exception):
    pass


class Skipped(Exception):
    """Why the lab cannot run here."""


def wait_for(condition, seconds=wire.TIMEOUT):
    """Until the condition holds; its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


class Relay:
    """A slicemesh-relay process of its own user, as its unit would start it."""

    def __init__(self, directory, max_files=None, options=(), before=None):
        self.path = directory / "relay.sock"
        self.log = directory / "relay.log"
        self.path.unlink(missing_ok=True)  # of a relay before this one
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self.path))
        listener.listen(4)
        # a copy, since the user must be able to reach it
        binary = shutil.copy(RELAY, directory / "slicemesh-relay")

        def become_service():
            os.dup2(listener.fileno(), 3)
            for fd in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):  # the one that the list was read from
                    os.set_inheritable(int(fd), int(fd) <= 3)
            os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
            if before:
                before()
            if max_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([binary, *RELAY_OPTIONS, *options], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=become_service,
                                            close_fds=False, cwd="/")
        listener.close()
        self.pid = self.process.pid

    def status(self):
        """/proc/PID/status as a dictionary."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def rss(self):
        return int(self.status()["VmRSS"].split()[0]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def said(self):
        return self.log.read_text(errors="replace")

    def check_alive(self):
        assert self.process.poll() is None, f"the relay ended with {self.process.returncode}:\n{self.said()}"

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGTERM)  # the second one is for not waiting
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        for mark in ("ThreadSanitizer:", "AddressSanitizer:", "LeakSanitizer:", "runtime error:"):
            assert mark not in self.said(), self.said()


class Lab:
    """Relay, relay-lab and a policy directory."""

    def __init__(self, max_files=None, relay_options=(), before_relay=None, **options):
        for binary in (RELAY, LAB):
            if not binary.exists():
                raise Skipped(f"{binary} is not built")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="relay-lab-"))
        self.directory.chmod(0o755)
        self.policy = self.directory / "policy"
        (self.policy / "services").mkdir(parents=True)
        (self.policy / "mesh.yaml").write_text("slices: [lab.slice]\n")
        self.counter = 0
        self.relay = Relay(self.directory, max_files, relay_options, before_relay)
        self.process = None
        self.options = options
        try:
            self.start_lab()
        except BaseException:
            self.end()
            raise

    def start_lab(self):
        words = [LAB, "--relay", self.relay.path, "--policy", self.policy]
        for name, value in self.options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            _, error = self.process.communicate()
            if self.process.returncode == EXIT_SKIPPED:
                raise Skipped(error.strip())
            raise LabError(f"{error}\nrelay: {self.relay.said()}")
        hello = json.loads(line)
        self.port, self.port6 = hello["ipv4"], hello["ipv6"]

    def command(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"ok":false,"error":"relay-lab ended"}')
        if not answer.pop("ok"):
            self.relay.check_alive()
            raise LabError(f"{' '.join(map(str, words))}: {answer['error']}")
        return answer

    def service(self, upstreams, policy="", name=None):
        """A new service over these endpoints; `policy` is more YAML for it."""
        self.counter += 1
        name = name or f"s{self.counter}"
        return Service(self, name, upstreams).write(policy)

    def end(self):
        if self.process:
            if self.process.poll() is None:
                self.process.stdin.close()
                self.process.wait(20)
            self.process.stdout.close()
            self.process.stderr.close()
        try:
            self.relay.end()
        finally:
            shutil.rmtree(self.directory)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def replace_relay(self):
        """Kills it; systemd would start another, to which slicemeshd connects with the tables it has."""
        self.relay.process.send_signal(signal.SIGKILL)
        self.relay.process.wait()
        self.relay = Relay(self.directory)
        self.command("relink")


class Service:
    def __init__(self, lab, name, upstreams):
        self.lab, self.name, self.upstreams = lab, name, list(upstreams)
        self.file = lab.policy / "services" / f"{name}.yaml"
        self.clients = []
        self.address = f"127.71.{lab.counter // 200 + 1}.{lab.counter % 200 + 1}"

    def write(self, policy=""):
        """Writes the policy file and loads it."""
        text = f"service: {self.name}\nprotocol: http\naddress: {self.address}:80\n"
        if self.upstreams and "subsets:" not in policy:
            text += f"endpoints: {json.dumps([u.text for u in self.upstreams])}\n"
        self.file.write_text(text + policy)
        self.lab.command("reload")
        return self

    def remove(self):
        self.file.unlink()
        self.lab.command("reload")

    def socket(self, source="127.0.0.1"):
        """Bound, known as a caller of the service, and not connected yet."""
        sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_STREAM)
        sock.bind((source, 0))
        port = sock.getsockname()[1]
        self.lab.command("callers", source, port, port, self.name)
        return sock

    def connect(self, source="127.0.0.1"):
        sock = self.socket(source)
        sock.settimeout(wire.TIMEOUT)
        sock.connect(("::1", self.lab.port6) if ":" in source else ("127.0.0.1", self.lab.port))
        client = wire.Wire(sock)
        self.clients.append(client)
        return client

    def counters(self):
        return self.lab.command("counters", self.name)

    def reasons(self):
        return self.counters()["reasons"]

    def endpoint(self, i=0):
        return self.lab.command("endpoint", self.name, self.upstreams[i].text)

    def settled(self):
        """Nothing of the service is under way; the counters then."""
        counters = self.counters()
        in_flight = sum(self.endpoint(i)["in_flight"] for i in range(len(self.upstreams)))
        return counters if counters["active"] == in_flight == 0 else None

    def settle(self):
        counters = wait_for(self.settled)
        if not counters:
            ends = [self.endpoint(i) for i in range(len(self.upstreams))]
            raise AssertionError(f"requests are still counted as under way: {self.counters()}, {ends}")
        return counters

    def finish(self):
        for client in self.clients:
            client.close()
        for upstream in self.upstreams:
            upstream.close()
        self.lab.relay.check_alive()
        self.settle()
        self.remove()


class Callers:
    """Connections from an address all of whose ports are on record as callers of the service: there is
    nothing to do for each of them. A record serves one connection, so no port is used twice."""

    numbers = itertools.count(1)

    def __init__(self, service):
        self.target = ("127.0.0.1", service.lab.port)
        self.source = f"127.9.0.{next(self.numbers)}"
        self.ports = iter(range(20000, 65536))
        service.lab.command("callers", self.source, 20000, 65535, service.name)

    def bind(self):
        for port in self.ports:
            sock = socket.socket()
            try:
                sock.bind((self.source, port))
            except OSError:  # somebody has it on all addresses
                sock.close()
                continue
            sock.setblocking(False)
            return sock
        raise RuntimeError("all ports are used up")

    async def connect(self):
        sock = self.bind()
        await asyncio.get_running_loop().sock_connect(sock, self.target)
        return await asyncio.open_connection(sock=sock)
