# SPDX-License-Identifier: LGPL-2.1-or-later
"""600 requests over one connection, with nothing but Python's own library."""
import http.client

connection = http.client.HTTPConnection('127.71.0.10')
for number in range(600):
    connection.request('GET', f'/echo?{number}')
    print(connection.getresponse().read().decode(), end='')
