# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: routing.py PLAN MODE

Sends what PLAN, a file in JSON, lists, over non-blocking sockets, and prints a line for each, in JSON: what
came back and under what the service has counted it. An item of the plan:

  id, service, address   of the service
  source                 where to send from
  send                   texts (a send each, a byte a character), seconds to wait, or "100" to wait for that
  bodiless               the answer has no body
  ways                   what it shall count under while the fast path is on; it is tried again until it does
  times                  so often in any case
"""
import json
import sys
import time

from script import Connection, Paths


class Caller:
    """A connection to each service from each address, kept until it ends."""

    def __init__(self):
        self.connections, self.paths = {}, {}

    def connection(self, item):
        key = item['address'], item['source']
        found = self.connections.get(key)
        if not found or found.end or found.buffer:
            found = self.connections[key] = Connection(*key)
        return found

    def counts(self, service):
        if service not in self.paths:
            self.paths[service] = Paths(service)
        return self.paths[service]

    def send_once(self, item):
        connection, paths = self.connection(item), self.counts(item['service'])
        before, start, interim = paths.now(), time.monotonic(), b''
        for step in item['send']:
            if step == '100':
                interim += connection.line(b'\r\n\r\n')
            elif isinstance(step, str):
                connection.send(step.encode('latin-1'))
            else:
                time.sleep(step)
        data = interim + connection.response(item['bodiless'])
        seconds = time.monotonic() - start
        return {'id': item['id'], 'answer': data.decode('latin-1'), 'seconds': seconds,
                'left': connection.buffer.decode('latin-1'), 'paths': paths.since(before, 1)}

    def run(self, item, mode):
        """All that was seen; the last is the one that went the way that was asked for."""
        seen = [self.send_once(item) for _ in range(item['times'])]
        most = item['times'] + (5 if mode == 'on' else 0)
        while len(seen) < most and not set(item['ways']) & set(seen[-1]['paths']):
            time.sleep(0.002)
            seen.append(self.send_once(item))
        return seen


def main(plan, mode):
    caller = Caller()
    with open(plan, encoding='ascii') as file:
        items = json.load(file)
    for item in items:
        print(json.dumps(caller.run(item, mode)), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
