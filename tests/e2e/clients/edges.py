# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: edges.py ADDRESS PORT WHAT

What programs do with sockets besides send and recv, against servers/script.py; an assertion tells what is
wrong.
"""
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import time

from script import Connection, corpus

SMALL = corpus.request('/small/edge')
ANSWER = corpus.SMALL
address, port, what = sys.argv[1:]


def connect(warm=3):
    c = Connection(f'{address}:{port}')
    for _ in range(warm):
        ask(c)
        time.sleep(0.005)
    return c


def ask(c, request=SMALL, answer=ANSWER):
    c.send(request)
    got = c.response(False)
    assert got == answer, (got, c.end)


def readable(c):
    return struct.unpack('i', fcntl.ioctl(c.socket, termios.FIONREAD, b'\0' * 4))[0]


def fionread():
    """What is to be read, to the byte, whichever way it came."""
    c = connect()
    for name in ('small', 'total-16384', 'total-65535', 'body-100000'):
        answer = corpus.ANSWERS[name][0]
        c.send(corpus.request(f'/{name}/edge'))
        got = b''
        while len(got) < len(answer):
            assert c.wait(select.POLLIN)
            n = readable(c)
            assert n > 0, (name, len(got))
            part = c.socket.recv(n)
            assert len(part) == n, (name, len(part), n)
            got += part
        assert got == answer and readable(c) == 0, name


def peek():
    c = connect()
    c.send(SMALL)
    assert c.wait(select.POLLIN)
    for n in (1, 10, 1000, 1000):
        assert c.socket.recv(n, socket.MSG_PEEK) == ANSWER[:n]
    assert c.socket.recv(20) == ANSWER[:20]
    assert c.socket.recv(1000, socket.MSG_PEEK) == ANSWER[20:]
    assert c.socket.recv(1000) == ANSWER[20:]
    ask(c)


def edge_triggered():
    """One event for each answer: who misses it waits for ever."""
    c = connect()
    with select.epoll() as poll:
        poll.register(c.socket, select.EPOLLIN | select.EPOLLET)
        for _ in range(500):
            c.send(SMALL)
            got = b''
            while len(got) < len(ANSWER):
                assert poll.poll(5), 'no event'
                try:
                    while True:
                        got += c.socket.recv(11)
                except BlockingIOError:
                    pass
            assert got == ANSWER


def half_close():
    """Who has said that it sends nothing more still gets its answer, and then the end."""
    for request, answer in ((SMALL, ANSWER), (corpus.request('/late/edge'), ANSWER),
                            (corpus.request('/body-100000/edge'), corpus.ANSWERS['body-100000'][0])):
        c = connect()
        c.send(request)
        c.socket.shutdown(socket.SHUT_WR)
        assert c.response(False) == answer
        assert not c.more() and c.end == 'closed', c.end


def alarm():
    """A blocking recv goes on after a signal, as SA_RESTART says."""
    ticks = 0

    def tick(*_):
        nonlocal ticks
        ticks += 1
    s = socket.create_connection((address, int(port)))
    assert s.gettimeout() is None
    signal.signal(signal.SIGALRM, tick)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    for _ in range(5):
        s.sendall(corpus.request('/late/edge'))
        got = b''
        while len(got) < len(ANSWER):
            part = s.recv(1000)  # BlockingIOError here is what this is about
            assert part
            got += part
        assert got == ANSWER
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert ticks, 'no signal came'


def reconnects():
    for _ in range(2000):
        c = connect(0)
        ask(c)
        ask(c)
        c.socket.close()


def abrupt():
    """Gone in the middle of a request, by FIN and by RST, at once or while the answer comes."""
    for number in range(400):
        c = connect(2)
        c.send(corpus.request('/late/edge' if number % 4 < 2 else '/total-65535/edge'))
        time.sleep((0, 0.0005, 0.005)[number % 3])
        if number % 2:
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        c.socket.close()


def blocking():
    s = socket.create_connection((address, int(port)))
    for _ in range(50):
        s.sendall(SMALL)
        got = b''
        while len(got) < len(ANSWER):
            got += s.recv(1000)
        assert got == ANSWER
        time.sleep(0.001)


def steady():
    """As many as 200 in a row, so that what does not go the usual way shows."""
    c = connect()
    for _ in range(200):
        ask(c)
        time.sleep(0.0005)


def unread():
    """Until the standard input ends: 100 connections with 30 requests each under way, which read nothing."""
    large = corpus.request('/total-65535/edge')
    connections = [connect(2) for _ in range(100)]
    for c in connections:
        c.socket.send(large)
    time.sleep(0.5)
    for c in connections:
        for _ in range(29):
            c.socket.send(large)
    print('sent', flush=True)
    os.read(0, 1)


{f.__name__: f for f in (fionread, peek, edge_triggered, half_close, alarm, reconnects, abrupt, blocking,
                         steady, unread)}[what]()
