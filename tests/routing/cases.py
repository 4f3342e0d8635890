# SPDX-License-Identifier: LGPL-2.1-or-later
"""The conformance suite: each file of cases/ is a service, requests to it, and what is to become of them.

  about     one sentence
  service   as in a file of /etc/slicemesh/services; address and subsets (each of one server) are added
  requests  a list of
    send      METHOD TARGET; or `raw`, all that is sent
    host, headers (a mapping or a list of pairs), body
    chunked   the body is sent in chunks of so many bytes
    expect    the body is sent when 100 Continue has come
    later     the body is sent a moment after the head
    from      slice, unit, user, source: of who sends it
    times     so often, one after the other; then `spread`: {subset: so many}, or `same-side`: all by one
  and of what is expected:
    route     its name; none if it is refused
    to        the subset, or several of which it is one; none if the mesh answers
    status    200
    reason    of an answer that the mesh makes because it cannot do otherwise
    way       what it counts under, with the fast path on; several if it depends on chance
    shadows   routes that are said to match as well
    mirrored  the subset that gets a copy
    server    method, target, headers, absent, body: what arrives there
    client    headers, absent, body, least-seconds: what comes back
"""
import dataclasses
import pathlib
import re

import reference
import yaml

DIRECTORY = pathlib.Path(__file__).with_name('cases')
SUBSETS = {name: f'127.0.2.{n}:8080' for n, name in enumerate(('stable', 'canary', 'blue', 'green'), 1)}
CALLER = {'slice': 'shop.slice', 'unit': 'caller.service', 'user': 'root', 'source': '127.0.0.1'}


def as_pairs(headers):
    """[(name, value)], of a mapping or of what is one already."""
    return [tuple(pair) for pair in (headers.items() if isinstance(headers, dict) else headers)]


@dataclasses.dataclass
class Sent:
    """One request of a case."""
    id: str
    text: dict

    @property
    def caller(self):
        return {**CALLER, **self.text.get('from', {})}

    def plain(self):
        """As the reference evaluator wants it."""
        method, _, target = self.text['send'].partition(' ')
        return reference.Request(method, target, self.text.get('host', 'routing.example'),
                                 as_pairs(self.text.get('headers', {})), self.text.get('body', ''),
                                 **self.caller)

    def steps(self):
        """What is sent, in order: see tests/e2e/clients/routing.py."""
        if 'raw' in self.text:
            return [self.text['raw']]
        body, fields = self.text.get('body', ''), as_pairs(self.text.get('headers', {}))
        fields = [('Host', self.text.get('host', 'routing.example')), *fields, ('X-Case', self.id)]
        if 'chunked' in self.text:
            fields.append(('Transfer-Encoding', 'chunked'))
            n = int(self.text['chunked'])
            parts = [body[i:i + n] for i in range(0, len(body), n)]
            body = ''.join(f'{len(p):x}\r\n{p}\r\n' for p in parts) + '0\r\n\r\n'
        elif body or self.text['send'].startswith(('POST ', 'PUT ')):
            fields.append(('Content-Length', str(len(body))))
        if 'expect' in self.text:
            fields.append(('Expect', '100-continue'))
        head = f'{self.text["send"]} HTTP/1.1\r\n' + ''.join(f'{n}: {v}\r\n' for n, v in fields) + '\r\n'
        between = ['100'] if 'expect' in self.text else [0.02] if 'later' in self.text else None
        return [head, *between, body] if between else [head + body]

    def listed(self, key, default):
        item = self.text.get(key, default)
        return item if isinstance(item, list) else [item]


@dataclasses.dataclass
class Case:
    name: str
    address: str
    service: dict
    requests: list

    def route_index(self, name):
        return [r.get('name') for r in self.service['routes']].index(name)

    def decidable(self):
        """Whether chance has no part in which route it is."""
        matches = [route.get('match') for route in self.service['routes']]
        return not re.search(r"'fraction': '(?!0%|100%)", repr(matches))


def load():
    found = []
    for number, path in enumerate(sorted(DIRECTORY.glob('*.yaml')), 1):
        text = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
        address = f'127.71.1.{number}:80'
        service = {'service': path.stem, 'address': address,
                   'subsets': {name: {'endpoints': [where]} for name, where in SUBSETS.items()},
                   **text['service']}
        requests = [Sent(f'{path.stem}/{n}', request) for n, request in enumerate(text['requests'])]
        found.append(Case(path.stem, address, service, requests))
    return found
