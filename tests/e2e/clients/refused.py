# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: refused.py ADDRESS ROUNDS

Sends requests over one non-blocking connection, one in six of them to /small/here, and prints every
response, byte for byte, in JSON.
"""
import json
import sys

from script import Connection, corpus

REQUESTS = [
    corpus.request('/nowhere'),
    corpus.request('/nowhere', 'HEAD'),
    corpus.request('/small/here'),
    corpus.request('/nowhere', 'POST', body=b''),  # the relay closes if it has not all of a body yet
    corpus.padded(8000, 'GET /nowhere HTTP/1.1', ('Host: parity.example',)),
    corpus.request('/nowhere', 'BREW'),
]


def main(address, rounds):
    connection = Connection(address)
    responses = []
    for data in REQUESTS * int(rounds):
        connection.send(data)
        responses.append(connection.response(data.startswith(b'HEAD ')).decode('latin-1'))
    assert not connection.end and not connection.buffer, (connection.end, connection.buffer)
    print(json.dumps(responses))


if __name__ == '__main__':
    main(*sys.argv[1:])
