# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random services, and random requests that are so near to what the services ask for that many match."""
import json
import random

from reference import Request

HOSTS = ['shop.example', 'www.shop.example', 'a.b.shop.example', 'shop.example.org', 'xshop.example']
SEGMENTS = ['v1', 'v2', 'v20', 'api', 'items', 'a.json', 'b%20c', '%7Euser', '.', '..', '%2e', '%2E%2e', '',
            'A', '%41', '%c3%A9', 'x\\y', '...', '%zz', '%', '%4']
RARE_SEGMENTS = ['a%2Fb', 'a%2fb', '%5c', '%00', '%2F']
METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'BREW']
FIELDS = ['x-beta', 'x-user', 'X-Number', 'accept-language']
COOKIES = ['sid', 'side', 'theme']
PARAMETERS = ['page', 'q', 'a b', 'pa']
VALUES = ['', 'a', 'ab', 'abc', 'gold', 'golden', 'Gold', '0', '7', '-7', '007', '42', '100', '99999999999',
          '1.5', 'x=y', 'a b', 'de,en', '"q"', 'a/b', 'caf\xc3\xa9']
LONG = 'long-value-' * 9  # more than what a predicate has room for
REGEXES = ['^a', 'b$', '^[0-9]+$', '(gold|silver)', 'a.c', '^$', 'x*', '^/v[12]/', 'json$', '[^/]+/items']
SLICES = ['shop.slice', 'shop-web.slice', 'shopping.slice', 'ops.slice']
UNITS = ['cart.service', 'cart@1.service', 'a\\x2db.service', 'run.scope']
USERS = ['root', 'daemon', 'nobody']
NETWORKS = ['127.0.0.0/8', '127.0.0.7', '127.0.0.0/29', '10.0.0.0/8', '0.0.0.0/0', 'fd00::/8', '::/0']
SOURCES = ['127.0.0.1', '127.0.0.7', '127.0.0.9', '10.1.2.3', 'fd00::1', '2001:db8::1']
POINTERS = ['/user/tier', '/user', '/items/0/id', '/items/1', '/n', '', '/a~1b', '/m~0n', '/user/']
KEYS = ['user', 'tier', 'items', 'id', 'n', 'a/b', 'm~n', '']
FORM = 'application/x-www-form-urlencoded'


def texts(form):
    """That a value is compared with."""
    if isinstance(form, str):
        return [form]
    return [text for op, text in form.items() if op in ('exact', 'prefix', 'suffix')]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.choice = self.random.choice
        self.constants = []  # texts that the service compares with
        self.near = []       # the same while its requests are made

    def chance(self, p):
        return self.random.random() < p

    def some(self, pool, most=2):
        return self.random.sample(pool, self.random.randint(1, min(most, len(pool))))

    # Services

    def value(self):
        if self.near and self.chance(0.5):
            text = self.choice(self.near)
            return self.choice([text, text, text, f'{text}a', f'a{text}', text[:-1]])
        return LONG if self.chance(0.05) else self.choice(VALUES)

    def form(self):
        """What a value must be like."""
        kind = self.random.randrange(8)
        if kind < 2:
            return self.value()
        text = self.value()
        part = text[:self.random.randint(0, len(text))].removesuffix('\xc3').strip() or 'a'
        bounds = sorted(self.random.choices([-7, 0, 1, 7, 42, 100, 10 ** 12], k=2))
        end = text[-len(part):].removeprefix('\xa9').strip() or 'a'
        return [{'exact': text}, {'prefix': part}, {'suffix': end},
                {'present': self.choice(['true', 'false'])}, {'range': '{}..{}'.format(*bounds)},
                {'regex': self.choice(REGEXES)}][kind - 2]

    def forms(self, names):
        forms = {name: self.form() for name in self.some(names, 1 if self.chance(0.7) else 2)}
        self.constants += [text for form in forms.values() for text in texts(form)]
        return forms

    def path(self, rare=0.0):
        pool = RARE_SEGMENTS if self.chance(rare) else SEGMENTS
        return '/' + '/'.join(self.choice(pool) for _ in range(self.random.randint(0, 4)))

    def plain_path(self):
        return '/' + '/'.join(self.choice(SEGMENTS[:6]) for _ in range(self.random.randint(0, 3)))

    def match_path(self):
        path = self.plain_path()
        return self.choice([path, {'exact': path}, {'prefix': path}, {'prefix': '/'}, {'prefix': path + '/'},
                            {'suffix': path[-3:]}, {'suffix': '.json'},
                            {'regex': self.choice(REGEXES[-4:])}])

    def match_body(self):
        body = {}
        if self.chance(0.5):
            body['first'] = self.choice(['16', '64', '1K', '16K'])
        kinds = self.some(['json', 'form', 'contains'], 1 if self.chance(0.8) else 3)
        if 'json' in kinds:
            body['json'] = self.forms(POINTERS if self.chance(0.3) else POINTERS[:5])
        if 'form' in kinds:
            body['form'] = self.forms(PARAMETERS)
        if 'contains' in kinds:
            body['contains'] = self.choice(['gold', 'needle', '"tier"', 'a'])
        return body

    def caller(self):
        caller = {}
        if self.chance(0.5):
            caller['slice'] = self.choice(SLICES[:2])
        if self.chance(0.4):
            caller['unit'] = self.choice(UNITS)
        if self.chance(0.3) or not caller:
            caller['user'] = self.choice(USERS)
        if len(caller) == 1 and 'user' not in caller and self.chance(0.5):
            return next(iter(caller.values()))
        return caller

    def match(self, depth=0):
        makers = {'host': lambda: self.choice([self.choice(HOSTS), '*.shop.example', self.some(HOSTS),
                                               ['*.example', 'Shop.Example']]),
                  'path': self.match_path,
                  'method': lambda: self.choice([self.choice(METHODS), self.some(METHODS)]),
                  'headers': lambda: self.forms(FIELDS),
                  'cookies': lambda: self.forms(COOKIES),
                  'query': lambda: self.forms(PARAMETERS),
                  'callers': lambda: [self.caller() for _ in range(self.random.randint(1, 2))],
                  'source': lambda: self.choice([self.choice(NETWORKS), self.some(NETWORKS)]),
                  'fraction': lambda: self.choice(['0%', '100%', '100%']),
                  'body': self.match_body}
        if depth < 3:
            makers |= {'all': lambda: self.matches(depth), 'any': lambda: self.matches(depth),
                       'not': lambda: self.match(depth + 1)}
        return {key: makers[key]() for key in self.some(list(makers), 2 if depth else 3)}

    def matches(self, depth):
        return [self.match(depth + 1) for _ in range(self.random.randint(1, 3))]

    def service(self):
        self.near, self.constants = [], []
        routes = []
        for number in range(self.random.randint(1, 6)):
            route = {'name': f'r{number}', 'match': self.match(), 'to': self.choice(['stable', 'canary'])}
            if self.chance(0.15):
                route['shadow'] = 'true'
            routes.append(route)
        if self.chance(0.3):
            routes.append({'name': 'rest', 'to': 'stable'})
        service = {'service': 'random', 'address': '127.71.0.10:80',
                   'subsets': {name: {'endpoints': [f'127.0.2.{n}:8080']}
                               for n, name in enumerate(('stable', 'canary'), 1)}, 'routes': routes}
        if self.chance(0.5):
            paths = {'normalize': self.choice(['auto', 'always', 'never'])}
            for key in ('encoded-slash', 'encoded-nul'):
                if self.chance(0.4):
                    paths[key] = self.choice(['refuse', 'keep'])
            service['paths'] = paths
        self.near = self.constants
        return service

    # Requests

    def quoted(self, text):
        """As in a query: some of it encoded that need not be."""
        plain = set('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/')

        def one(c):
            if c == ' ' and self.chance(0.5):
                return '+'
            if c in plain and not self.chance(0.1) or c == '%':
                return c
            return self.choice(['%{:02x}', '%{:02X}']).format(ord(c))
        return ''.join(one(c) for c in text)

    def pairs(self, names):
        found = []
        for _ in range(self.random.randint(0, 3)):
            name = self.quoted(self.choice(names))
            found.append(name if self.chance(0.1) else f'{name}={self.quoted(self.value())}')
        return self.choice(['&', '&', '&&']).join(found)

    def json_value(self, depth):
        kind = self.random.randrange(8)
        if kind < 2 and depth < 3:
            return {self.choice(KEYS): self.json_value(depth + 1) for _ in range(self.random.randint(0, 3))}
        if kind == 2 and depth < 3:
            return [self.json_value(depth + 1) for _ in range(self.random.randint(0, 3))]
        if kind < 6:
            return self.value()
        return self.choice([0, 7, -7, 42, 1.5, 1e30, True, False, None, 10 ** 12])

    def json(self):
        document = {'user': {'tier': self.value()}, 'items': [{'id': self.value()}, self.value()],
                    'n': self.choice([0, 7, 42, self.value()])}
        if self.chance(0.3):
            document = self.json_value(0)
        text = json.dumps(document, indent=self.choice([None, 1]), ensure_ascii=self.chance(0.5))
        text = text.encode().decode('latin-1')
        if self.chance(0.05):
            text = text.replace('"n":', '"user": {"tier": "gold"}, "n":')  # twice
        if self.chance(0.1):
            text = text[:self.random.randint(0, len(text))]
        if self.chance(0.05):
            at = self.random.randint(0, len(text))
            text = text[:at] + self.choice('{}[],:"\\ x0') + text[at:]
        return text

    def body(self):
        """(body, content type)"""
        kind = self.random.randrange(8)
        if kind < 3:
            return self.json(), 'application/json'
        if kind < 5:
            kind = self.choice([FORM, f'{FORM}; charset=utf-8', FORM.title(), 'text/plain'])
            return self.pairs(PARAMETERS), kind
        if kind == 5:
            filler = 'x' * self.random.choice([0, 10, 60, 1020, 5000])
            return filler + self.choice(['needle', 'gold', 'needl']) + filler[:5], 'text/plain'
        return '', ''

    def request(self):
        fields = [(self.choice([str, str.upper, str.title])(self.choice(FIELDS)), self.value())
                  for _ in range(self.random.randint(0, 3))]
        for _ in range(self.random.randint(0, 2)):
            cookies = [f'{self.choice(COOKIES)}={self.choice(VALUES[:12])}'
                       for _ in range(self.random.randint(1, 3))]
            fields.append(('Cookie', self.choice(['; ', ';', '; ']).join(cookies)))
        body, kind = self.body()
        if kind:
            fields.append((self.choice(['Content-Type', 'content-type']), kind))
        query = self.pairs(PARAMETERS)
        path = self.plain_path() if self.chance(0.5) else self.path(rare=0.1)
        host = self.choice(HOSTS) + (':80' if self.chance(0.1) else '')
        if query or self.chance(0.02):
            path += f'?{query}'
        return Request(self.choice([*METHODS, 'get']), path, host.upper() if self.chance(0.1) else host,
                       fields, body, self.choice(SLICES), self.choice([*UNITS, '']), self.choice(USERS),
                       self.choice(SOURCES))


PLAIN = ('true', 'false')


def to_yaml(item):
    """In flow style, on one line."""
    if isinstance(item, dict):
        return '{' + ', '.join(f'{to_yaml(k)}: {to_yaml(v)}' for k, v in item.items()) + '}'
    if isinstance(item, list):
        return '[' + ', '.join(map(to_yaml, item)) + ']'
    if item in PLAIN:
        return item
    return json.dumps(item.encode('latin-1').decode(), ensure_ascii=False)  # a file is in UTF-8


def head(request, framing=True):
    """The head of a request as it is sent."""
    fields = [('Host', request.host), *request.fields]
    if framing and request.body:
        fields.append(('Content-Length', str(len(request.body))))
    return f'{request.method} {request.target} HTTP/1.1\r\n' + \
        ''.join(f'{name}: {value}\r\n' for name, value in fields) + '\r\n'
