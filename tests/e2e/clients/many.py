# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: many.py ADDRESS CONNECTIONS ROUNDS

Opens all of the connections, then asks once over each of them, round by round. Prints what was answered.
"""
import http.client
import sys

address, n, rounds = sys.argv[1], *map(int, sys.argv[2:])
connections = [http.client.HTTPConnection(address, timeout=20) for _ in range(n)]
for c in connections:
    c.connect()
for i in range(rounds):
    for c in connections:
        c.request('GET', f'/echo?{i}')
        print(c.getresponse().read().decode(), end='')
