# SPDX-License-Identifier: LGPL-2.1-or-later
"""decide.c from Python: what is asked is gathered and answered in one go."""
import json
import os
import pathlib
import pwd
import subprocess

import generator

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SLICEMESH_BUILD', TOP / 'build'))


def hexed(text):
    return text.encode('latin-1').hex() or '-'


class Decider:
    def __init__(self, slices=()):
        self.lines = [' '.join(['slices', *sorted(slices)])] if slices else []
        self.asked = 0

    def policy(self, service):
        """Its place among the answers."""
        self.lines.append(f'policy {generator.to_yaml(service).encode().hex()}')
        self.asked += 1
        return self.asked - 1

    def request(self, request, random=0, there='+', who='relay'):
        head = hexed(generator.head(request))
        uid = pwd.getpwnam(request.user).pw_uid if request.user else 0
        words = [who, request.slice or '-', request.unit or '-', uid, request.source, random, there, head,
                 hexed(request.body)]
        self.lines.append(' '.join(['request', *map(str, words)]))
        self.asked += 1
        return self.asked - 1

    def answers(self):
        done = subprocess.run([BUILD / 'tests/routing/decide'], input='\n'.join(self.lines) + '\n',
                              check=True, capture_output=True, text=True)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(found) == self.asked
        return found
