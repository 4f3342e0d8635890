# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: client.py http.client|requests|asyncio URL N HASHES

A client of the tests. Each of them, whatever it is written in, does N rounds of

  GET  URL/echo?NONCE     expecting "SERVER NONCE\n"
  GET  URL/file/F         for the F of HASHES ("F=SHA-256,..."), one each round
  GET  URL/chunked/F      the same
  POST URL/sum            with a body of its own, expecting its SHA-256

checks that every answer is 200 and names one server in X-Server, and prints {"SERVER": answers, ...} as
JSON. The first thing that is wrong ends it with status 1.
"""
import asyncio
import collections
import hashlib
import http.client
import json
import os
import sys
import urllib.parse

mode, url, rounds, hashes = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
HASHES = dict(pair.split('=') for pair in hashes.split(','))
servers = collections.Counter()


def plan():
    """(method, path, body, check of the answer's body)"""
    files = list(HASHES)
    for number in range(rounds):
        nonce = f'{os.getpid()}-{number}'
        file = files[number % len(files)]
        body = os.urandom(number * 1009 % 200_000)

        def is_file(answer, file=file):
            return hashlib.sha256(answer).hexdigest() == HASHES[file]

        yield 'GET', f'/echo?{nonce}', None, lambda a, n=nonce: a.split(b' ', 1)[1] == n.encode() + b'\n'
        yield 'GET', f'/file/{file}', None, is_file
        yield 'GET', f'/chunked/{file}', None, is_file
        yield 'POST', '/sum', body, lambda a, b=body: a.decode() == hashlib.sha256(b).hexdigest()


def judge(method, path, check, status, server, answer):
    if status != 200 or not server or not check(answer):
        sys.exit(f'{method} {path}: status {status}, server {server}, {len(answer)} bytes: {answer[:80]!r}')
    servers[server] += 1


def with_http_client():
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=20)
    for method, path, body, check in plan():
        connection.request(method, path, body)
        response = connection.getresponse()
        judge(method, path, check, response.status, response.headers['X-Server'], response.read())


def with_requests():
    import requests
    with requests.Session() as session:
        for method, path, body, check in plan():
            response = session.request(method, url + path, data=body, timeout=20)
            judge(method, path, check, response.status_code, response.headers.get('X-Server'),
                  response.content)


async def with_aiohttp():
    import aiohttp
    limit = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(limit=16)) as session:
        async def one(method, path, body, check):
            async with session.request(method, url + path, data=body) as response:
                judge(method, path, check, response.status, response.headers.get('X-Server'),
                      await response.read())
        await asyncio.gather(*(one(*step) for step in plan()))


if mode == 'asyncio':
    asyncio.run(with_aiohttp())
else:
    {'http.client': with_http_client, 'requests': with_requests}[mode]()
print(json.dumps(servers))
