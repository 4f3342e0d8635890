# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTP/1.1 over raw sockets, for both ends of a relay under test: whatever is not in order is an error."""

import socket
import struct
import time

TIMEOUT = 20.0  # of one read; a sanitizer build on a busy machine stays far below it


class WireError(AssertionError):
    """The peer sent something else than HTTP, or nothing at all."""


class Head:
    """The start line and fields of one message."""

    def __init__(self, raw):
        assert raw.endswith(b"\r\n\r\n")
        lines = raw[:-4].split(b"\r\n")
        for line in lines:
            if b"\r" in line or b"\n" in line or b"\0" in line:
                raise WireError(f"control character in a head: {raw!r}")
        self.raw = raw
        self.start = lines[0].decode("latin-1")
        self.fields = []
        for line in lines[1:]:
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip():
                raise WireError(f"bad field line {line!r}")
            self.fields.append((name, value.strip(" \t")))

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def tokens(self, name):
        return [t.strip().lower() for v in self.all(name) for t in v.split(",") if t.strip()]

    def without(self, *names):
        """The fields but for those named, in order."""
        drop = {n.lower() for n in names}
        return [(n, v) for n, v in self.fields if n.lower() not in drop]

    def content_length(self):
        values = self.all("content-length")
        if len(values) > 1 or (values and not values[0].isdigit()):
            raise WireError(f"bad Content-Length {values}")
        return int(values[0]) if values else None

    def chunked(self):
        codings = self.tokens("transfer-encoding")
        if codings and codings != ["chunked"]:
            raise WireError(f"unexpected transfer codings {codings}")
        if codings and self.content_length() is not None:
            raise WireError("both Content-Length and Transfer-Encoding")
        return bool(codings)


class Message:
    """A head with its body; `trailers` is None unless the body was chunked."""

    def __init__(self, head, body=b"", trailers=None, chunks=None):
        self.head, self.body, self.trailers, self.chunks = head, body, trailers, chunks

    @property
    def status(self):
        version, status, _ = (self.head.start + " ").split(" ", 2)
        assert version == "HTTP/1.1", self.head.start
        assert len(status) == 3 and status.isdigit(), self.head.start
        return int(status)

    @property
    def reason(self):
        """Of a reply that the relay made itself."""
        return self.head.get("x-slicemesh")

    def __repr__(self):
        return f"<{self.head.start} {self.head.fields} {self.body[:200]!r}>"


class Wire:
    """A connected socket and what was read from it ahead."""

    def __init__(self, sock, timeout=TIMEOUT):
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.buffer, self.eof = sock, b"", False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *data):
        self.sock.sendall(b"".join(data))
        return self

    def send_split(self, data, at, pause=0.01):
        """In two segments: the peer sees the first one alone, or at least may."""
        self.send(data[:at])
        time.sleep(pause)
        return self.send(data[at:])

    def send_bytewise(self, data):
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])
        return self

    def fill(self):
        """Reads once; False at the end."""
        data = self.sock.recv(262144)
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def take(self, n):
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_until(self, mark, limit=1 << 20):
        while mark not in self.buffer:
            if len(self.buffer) > limit or not self.fill():
                raise WireError(f"no {mark!r} in {self.buffer[:2000]!r}")
        return self.take(self.buffer.index(mark) + len(mark))

    def read_exactly(self, n):
        parts, missing = [], n
        while missing > 0:
            if not self.buffer and not self.fill():
                raise WireError(f"end of stream with {missing} of {n} bytes missing")
            parts.append(self.take(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def read_to_end(self):
        parts = [self.take(len(self.buffer))]
        while self.fill():
            parts.append(self.take(len(self.buffer)))
        return b"".join(parts)

    def read_head(self):
        return Head(self.read_until(b"\r\n\r\n"))

    def read_chunks(self):
        """The chunks and the trailer fields."""
        chunks = []
        while True:
            line = self.read_until(b"\r\n", 4096)[:-2]
            digits = line.split(b";")[0]
            if not digits or digits.strip(b"0123456789abcdefABCDEF"):
                raise WireError(f"bad chunk size line {line!r}")
            size = int(digits, 16)
            if size == 0:
                break
            chunks.append(self.read_exactly(size))
            if self.read_exactly(2) != b"\r\n":
                raise WireError("no CRLF after a chunk")
        fields = []
        while line := self.read_until(b"\r\n")[:-2]:
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip(" \t")))
        return chunks, fields

    def read_body(self, head, until_close):
        if head.chunked():
            chunks, trailers = self.read_chunks()
            return Message(head, b"".join(chunks), trailers, chunks)
        n = head.content_length()
        if n is not None:
            return Message(head, self.read_exactly(n))
        return Message(head, self.read_to_end() if until_close else b"")

    def read_request(self):
        return self.read_body(self.read_head(), until_close=False)

    def read_response(self, method="GET"):
        head = self.read_head()
        m = Message(head)
        if method == "HEAD" or m.status < 200 or m.status in (204, 304):
            return m
        return self.read_body(head, until_close=True)

    def expect_end(self):
        """The peer closed in good order and sent nothing more."""
        rest = self.read_to_end()
        if rest:
            raise WireError(f"unexpected bytes before the end: {rest[:2000]!r}")

    def expect_gone(self):
        """The peer closed or reset; what it may have sent before is returned."""
        try:
            while self.fill():
                pass
        except ConnectionResetError:
            pass
        return self.take(len(self.buffer))

    def expect_silence(self, seconds=0.15):
        """Nothing arrives, and the connection stays. Not a proof, but wrong only in favour of the relay."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(4096)
        except TimeoutError:
            assert not self.buffer
            return
        finally:
            self.sock.settimeout(TIMEOUT)
        raise WireError(f"expected silence, got {data!r}")

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Upstream:
    """A listening socket; the test itself is the server."""

    def __init__(self, backlog=1024, family=socket.AF_INET, port=0):
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
        self.listener.listen(backlog)
        self.listener.settimeout(TIMEOUT)
        self.port = self.listener.getsockname()[1]
        self.text = f"127.0.0.1:{self.port}" if family == socket.AF_INET else f"[::1]:{self.port}"
        self.wires = []  # accepted, the newest last

    def wire(self):
        """The connection that was accepted last, or the first: for a relay that needs no second."""
        return self.wires[-1] if self.wires else self.accept()

    def accept(self):
        wire = Wire(self.listener.accept()[0])
        self.wires.append(wire)
        return wire

    def expect_none(self, seconds=0.1):
        """Nobody connects."""
        self.listener.settimeout(seconds)
        try:
            sock, _ = self.listener.accept()
        except TimeoutError:
            return
        finally:
            self.listener.settimeout(TIMEOUT)
        sock.settimeout(1)
        raise WireError(f"unexpected connection with {sock.recv(4096)!r}")

    def close(self):
        for wire in self.wires:
            wire.close()
        self.listener.close()


def response(body=b"ok", status="200 OK", fields=(), length=True):
    lines = [f"HTTP/1.1 {status}"] + list(fields)
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def request(target="/", method="GET", fields=(), body=None, host="example.test"):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"] + list(fields)
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def chunked(*chunks, extension=b"", trailers=()):
    out = [b"%x%s\r\n%s\r\n" % (len(c), extension, c) for c in chunks]
    return b"".join(out) + b"0\r\n" + b"".join(t.encode() + b"\r\n" for t in trailers) + b"\r\n"
