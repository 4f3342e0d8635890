# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: script.py ADDRESS SERVICE|- TRIES [CASE...]

Sends the cases of corpus.py over a non-blocking socket, each over a connection of its own that has been used
before, and prints a line for each, in JSON: what came back, how it ended, and under what the service has
counted it. "-" is for talking to the server itself. A case that did not go the way that it was made for,
because nobody was ready for it, is sent again, TRIES times in all.
"""
import collections
import errno
import hashlib
import json
import pathlib
import re
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import corpus  # noqa: E402

PATIENCE = 4.0
WARM = corpus.request('/small/warm')


class Connection:
    def __init__(self, address, source=None):
        host, _, port = address.rpartition(':')
        self.socket = socket.socket()
        if source:
            self.socket.bind((source, 0))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = self.socket.connect_ex((host, int(port)))
        assert error in (0, errno.EINPROGRESS), error
        self.wait(select.POLLOUT)
        assert not self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.buffer = b''
        self.end = ''  # how the peer has ended it

    def wait(self, events):
        poll = select.poll()
        poll.register(self.socket, events)
        return bool(poll.poll(PATIENCE * 1000))

    def send(self, data):
        while data and not self.end:
            try:
                data = data[self.socket.send(data):]
            except BlockingIOError:
                self.wait(select.POLLOUT)
            except (ConnectionResetError, BrokenPipeError):
                self.end = 'sending failed'

    def more(self):
        """Reads once; False at the end."""
        if self.end.startswith(('closed', 'reset', 'silent')):
            return False
        try:
            data = self.socket.recv(1 << 20) if self.wait(select.POLLIN) else None
        except BlockingIOError:
            return True
        except ConnectionResetError:
            self.end = 'reset'
            return False
        if not data:
            self.end = 'silent' if data is None else 'closed'
            return False
        self.buffer += data
        return True

    def upto(self, n):
        while len(self.buffer) < n and self.more():
            pass
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def line(self, end):
        while end not in self.buffer and self.more():
            pass
        at = self.buffer.find(end)
        return self.upto(at + len(end) if at >= 0 else len(self.buffer))

    def response(self, bodiless):
        """Of one request, interim ones included."""
        data = b''
        while True:
            head = self.line(b'\r\n\r\n')
            data += head
            status = head[9:12]
            if not head.endswith(b'\r\n\r\n') or status[:1] != b'1':
                break
        if bodiless or status in (b'204', b'304') or self.end:
            return data
        if re.search(rb'\r\ntransfer-encoding: *chunked', head, re.IGNORECASE):
            while (line := self.line(b'\r\n')) and int(line, 16):
                data += line + self.upto(int(line, 16) + 2)
            data += line
            while (line := self.line(b'\r\n')) not in (b'\r\n', b''):
                data += line
            return data + line
        length = re.search(rb'\r\ncontent-length: *(\d+)', head, re.IGNORECASE)
        return data + self.upto(int(length[1]) if length else 1 << 30)


class Paths:
    """How the service has counted so far; without a mesh nothing."""

    def __init__(self, service):
        self.missed = 0  # requests that were not counted: after some there is no point in waiting long
        if service == '-':
            self.service = None
            return
        import dbus
        bus, name = dbus.SystemBus(), 'io.slicemesh.Mesh1'
        manager = dbus.Interface(bus.get_object(name, '/io/slicemesh/Mesh1'), f'{name}.Manager')
        self.service = dbus.Interface(bus.get_object(name, manager.GetService(service)),
                                      'org.freedesktop.DBus.Properties')

    def now(self):
        counts = self.service.Get('io.slicemesh.Mesh1.Service', 'Paths') if self.service else {}
        return collections.Counter({str(path): int(n) for path, n in counts.items()})

    def since(self, before, n):
        """What has been counted since then, when it is n or does not get there."""
        deadline = time.monotonic() + (PATIENCE if self.missed < 3 else 0.1)
        while self.service and (found := self.now() - before).total() < n:
            if time.monotonic() > deadline:
                self.missed += 1
                return dict(found)
            time.sleep(0.001)
        return dict(found) if self.service else {}


def warm(connection, paths, tries):
    """Until a request is answered in the usual way: what then is not is so because of the case."""
    for _ in range(2 * tries if paths.missed < 3 else 2):
        before = paths.now()
        connection.send(WARM)
        assert connection.response(False) == corpus.SMALL, connection.end
        time.sleep(0.001)
        if not paths.since(before, 1).keys() - {'fast', 'remote'}:
            break


def run(case, address, paths, tries):
    connection = Connection(address)
    warm(connection, paths, tries)
    before = paths.now()
    for step in case.send:
        if isinstance(step, bytes):
            connection.send(step)
        else:
            time.sleep(step)
    bodiless = case.send[0].startswith(b'HEAD ')
    answers = [connection.response(bodiless) for _ in range(case.answers)]
    if case.gone:
        time.sleep(case.gone)
        connection.socket.close()
    counted = paths.since(before, max(case.answers, 1))
    after = b''
    if not case.gone and not connection.end:
        connection.send(WARM)
        after = connection.response(False)
    connection.socket.close()
    data = b''.join(answers)
    return {'case': case.name, 'lengths': [len(a) for a in answers],
            'sha256': hashlib.sha256(data).hexdigest(), 'start': data[:300].decode('latin-1'),
            'end': connection.end, 'paths': counted, 'after': after.decode('latin-1'),
            'left': len(connection.buffer)}


def main(address, service, tries, *names):
    paths = Paths(service)
    for case in [corpus.CASES[name] for name in names] or corpus.CASES.values():
        if not paths.service and not case.same:
            continue
        for runs in range(1, int(tries) + 1):
            result = {'runs': runs, **run(case, address, paths, int(tries))}
            if not paths.service or set(result['paths']) & {*case.near, *case.far}:
                break  # else it was not in step, or no connection was idle: once more
        print(json.dumps(result), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
