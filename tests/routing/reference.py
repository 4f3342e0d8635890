# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/policy.md says of routes, said once more: slow and obvious, and knowing nothing of src/.

A policy is a service as its file has it, every scalar of it a str (yaml.BaseLoader reads it so). Heads and
bodies are str of which each character is a byte (latin-1).
"""
import dataclasses
import ipaddress
import re
import string

UNRESERVED = set(string.ascii_letters + string.digits + '-._~')
BODY_FIRST = 16384  # what is looked at of a body unless `first` says otherwise
AMBIGUOUS = 'ambiguous-path'


@dataclasses.dataclass
class Request:
    method: str = 'GET'
    target: str = '/'
    host: str = 'routing.example'
    fields: list = dataclasses.field(default_factory=list)  # (name, value), without Host
    body: str = ''
    slice: str = ''
    unit: str = ''
    user: str = ''
    source: str = '127.0.0.1'

    def path(self):
        return self.target.partition('?')[0]

    def parameters(self):
        """[(name, value)] of the query."""
        return pairs(self.target.partition('?')[2])

    def cookies(self):
        """[(name, value)] of all Cookie fields."""
        found = []
        for field in self.values('cookie'):
            for pair in field.split(';'):
                name, equals, value = pair.removeprefix(' ').partition('=')
                if equals:
                    found.append((name, value))
        return found

    def values(self, name):
        """Of all fields of that name."""
        fields = [('host', self.host), *self.fields]
        return [value.strip(' \t') for field, value in fields if field.lower() == name.lower()]


def size(text):
    """Bytes: 64K is 65536."""
    number, unit = re.fullmatch(r'(\d+)(?:(K|M|G)i?B?|B?)', text).groups()
    return int(number) * 1024 ** ['', 'K', 'M', 'G'].index(unit or '')


def decoded(text):
    """As forms are: + is a space, %41 an A. A % without two hexadecimal digits is itself."""
    return re.sub('%([0-9A-Fa-f]{2})', lambda m: chr(int(m[1], 16)), text.replace('+', ' '))


def pairs(text):
    """[(name, value)] of a query or form; a name alone has the empty value."""
    found = []
    for pair in text.split('&'):
        name, _, value = pair.partition('=')
        if pair:
            found.append((decoded(name), decoded(value)))
    return found


def normal_path(path, keep_slashes=False, keep_nuls=False):
    """The normal form of a path, or AMBIGUOUS."""
    if not path.startswith('/'):
        return path  # that of OPTIONS *

    def escape(match):
        digits = match[1].upper()
        character = chr(int(digits, 16))
        return character if character in UNRESERVED else '%' + digits

    path = re.sub('%([0-9A-Fa-f]{2})', escape, path)
    if re.search('%(?![0-9A-F]{2})', path):
        return AMBIGUOUS  # what is decoded next to it could make it an escape
    if '%00' in path and not keep_nuls or ('%2F' in path or '%5C' in path) and not keep_slashes:
        return AMBIGUOUS
    path = re.sub('/+', '/', path)
    kept = []
    segments = path.split('/')[1:]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment in ('.', '..'):
            if segment == '..' and kept:
                kept.pop()
            if last:
                kept.append('')  # it names a directory
        else:
            kept.append(segment)
    return '/' + '/'.join(kept)


# Values

CONTAINER = object()  # the value of a JSON object or array: it is there, and no text


def is_value(form, value):
    """`form` is what may stand as the value of a header, cookie, parameter, form field or JSON pointer. A
    value that is None is not there."""
    if isinstance(form, str):
        return value == form
    results = [is_value_by(op, text, value) for op, text in form.items()]
    return all(results)


def is_value_by(op, text, value):
    if op == 'present':
        return (value is not None) == (text == 'true')
    if value is None or value is CONTAINER:
        return False
    if op == 'exact':
        return value == text
    if op == 'prefix':
        return value.startswith(text)
    if op == 'suffix':
        return value.endswith(text)
    if op == 'regex':
        return re.search(text, value) is not None
    assert op == 'range', op
    low, high = text.split('..')
    if not re.fullmatch('-?[0-9]+', value):
        return False
    return (not low or int(low) <= int(value)) and (not high or int(value) <= int(high))


def any_value(form, values):
    """One that is there several times may be any of them; `present: false` means none of them."""
    if not values:
        return is_value(form, None)
    if isinstance(form, dict) and form.get('present') == 'false':
        return False
    return any(is_value(form, value) for value in values)


# The keys of `match`


def as_list(item):
    return item if isinstance(item, list) else [item]


def match_host(form, request, _):
    host = re.sub(r':\d*$', '', request.host).lower()

    def one(pattern):
        pattern = pattern.lower()
        if pattern.startswith('*.'):
            return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
        return host == pattern
    return any(one(pattern) for pattern in as_list(form))


def match_path(form, request, path):
    def one(op, text):
        if op == 'exact':
            return path == text
        if op == 'suffix':
            return path.endswith(text)
        if op == 'regex':
            return re.search(text, path) is not None
        assert op == 'prefix', op
        return path == text or path.startswith(text if text.endswith('/') else text + '/')
    return any(all(one(op, text) for op, text in (f if isinstance(f, dict) else {'exact': f}).items())
               for f in as_list(form))


def match_method(form, request, _):
    return request.method in as_list(form)


def match_headers(form, request, _):
    return all(any_value(f, request.values(name)) for name, f in form.items())


def match_cookies(form, request, _):
    return all(any_value(f, [v for n, v in request.cookies() if n == name]) for name, f in form.items())


def match_query(form, request, _):
    return all(any_value(f, [v for n, v in request.parameters() if n == name]) for name, f in form.items())


def match_callers(form, request, _):
    def is_slice(name):
        stem, mine = name.removesuffix('.slice'), request.slice.removesuffix('.slice')
        return stem == mine or mine.startswith(stem + '-')

    def one(caller):
        if isinstance(caller, str):
            caller = {'slice' if caller.endswith('.slice') else 'unit': caller}
        tests = {'slice': is_slice, 'unit': lambda name: request.unit == name,
                 'user': lambda name: request.user == name}
        return all(tests[key](name) for key, name in caller.items())
    return any(one(caller) for caller in as_list(form))


def match_source(form, request, _):
    def mapped(address):
        """Those of IPv4 are part of those of IPv6: ::/0 is all."""
        number = int(ipaddress.ip_address(address))
        return number if ':' in address else number | 0xffff << 32

    def one(network):
        address, _, length = network.partition('/')
        width = 128 if ':' in address else 32
        rest = width - int(length or width)
        return mapped(address) >> rest == mapped(request.source) >> rest
    return any(one(network) for network in as_list(form))


def match_fraction(form, request, _):
    """Only what does not depend on chance."""
    share = float(form.removesuffix('%'))
    assert share in (0, 100), form
    return share == 100


def match_body(form, request, _):
    looked_at = request.body[:size(form['first']) if 'first' in form else BODY_FIRST]  # as if that were all
    if any(value.lower() != 'identity' for value in request.values('content-encoding')):
        looked_at = ''
    return all(BODY[key](f, request, looked_at) for key, f in form.items() if key != 'first')


def body_contains(form, _, text):
    return any(part in text for part in as_list(form))


def body_form(form, request, text):
    return all(any_value(f, form_fields(request, text, name)) for name, f in form.items())


def body_json(form, _, text):
    return all(is_value(f, json_at(text, pointer)) for pointer, f in form.items())


BODY = {'contains': body_contains, 'form': body_form, 'json': body_json}


def form_fields(request, text, name):
    kind = (request.values('content-type') or [''])[0].partition(';')[0].strip().lower()
    if kind != 'application/x-www-form-urlencoded':
        return []
    return [value for field, value in pairs(text) if field == name]


class JsonEnd(Exception):
    """The text is no JSON, or not to its end."""


class Json:
    """Reads a text (RFC 8259)."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def space(self):
        while self.at < len(self.text) and self.text[self.at] in ' \t\r\n':
            self.at += 1

    def peek(self):
        self.space()
        if self.at == len(self.text):
            raise JsonEnd
        return self.text[self.at]

    def take(self, character):
        if self.peek() != character:
            raise JsonEnd
        self.at += 1

    def string(self):
        self.take('"')
        units = []
        while True:
            match = re.compile(r'[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}').match(self.text, self.at)
            if not match:
                break
            piece, self.at = match[0], match.end()
            if piece.startswith('\\u'):
                units.append(int(piece[2:], 16))
            elif piece.startswith('\\'):
                units.append({'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}.get(piece[1], piece[1]))
            else:
                units.append(piece)
        self.take_now('"')
        return utf8(units)

    def take_now(self, character):
        """Without white space before it."""
        if self.text[self.at:self.at + 1] != character:
            raise JsonEnd
        self.at += 1

    def scalar(self):
        if self.peek() == '"':
            return self.string()
        kinds = r'true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?'
        match = re.compile(kinds).match(self.text, self.at)
        if not match or not match[0]:
            raise JsonEnd
        self.at = match.end()
        if self.text[self.at:self.at + 1] not in ('', ' ', '\t', '\r', '\n', ',', ']', '}'):
            raise JsonEnd
        return match[0]

    def members(self):
        """Stands at each value of an object or array in turn; gives what a pointer calls it."""
        array = self.peek() == '['
        self.at += 1
        number = 0
        if self.peek() == (']' if array else '}'):
            self.at += 1
            return
        while True:
            if array:
                yield str(number)
            else:
                if self.peek() != '"':
                    raise JsonEnd
                name = self.string()
                self.take(':')
                yield name
            number += 1
            if self.peek() == ',':
                self.at += 1
                continue
            self.take(']' if array else '}')
            return

    def value(self):
        """A text, a list, or a list of pairs in a tuple."""
        if self.peek() == '[':
            return [self.value() for _ in self.members()]
        if self.peek() == '{':
            return tuple((name, self.value()) for name in self.members())
        return self.scalar()

    def document(self):
        value = self.value()
        self.space()
        if self.at < len(self.text):
            raise JsonEnd
        return value


def utf8(units):
    r"""What a string's parts mean in UTF-8; \ud83d\ude00 is one character."""
    text, i = '', 0
    while i < len(units):
        unit = units[i]
        if isinstance(unit, str):
            text += unit
        elif 0xd800 <= unit < 0xdc00 and i + 1 < len(units) and isinstance(units[i + 1], int) \
                and 0xdc00 <= units[i + 1] < 0xe000:
            code = 0x10000 + (unit - 0xd800) * 0x400 + units[i + 1] - 0xdc00
            text += chr(code).encode().decode('latin-1')
            i += 1
        else:
            if 0xd800 <= unit < 0xe000:
                raise JsonEnd  # half of one
            text += chr(unit).encode().decode('latin-1')
        i += 1
    return text


def json_at(text, pointer):
    """Nothing is at any place of what is no JSON, or not all of it."""
    try:
        value = Json(text).document()
    except JsonEnd:
        return None
    for token in pointer.split('/')[1:]:
        token = token.replace('~1', '/').replace('~0', '~')
        members = value if isinstance(value, tuple) else ()
        if isinstance(value, list):
            members = [(str(number), member) for number, member in enumerate(value)]
        found = [member for name, member in members if name == token]
        if not found:
            return None
        value = found[-1]  # as with most parsers
    return value if isinstance(value, str) else CONTAINER


KEYS = {'host': match_host, 'path': match_path, 'method': match_method, 'headers': match_headers,
        'cookies': match_cookies, 'query': match_query, 'callers': match_callers, 'source': match_source,
        'fraction': match_fraction, 'body': match_body}


def matches(match, request, path):
    """All keys must hold."""
    for key, form in match.items():
        if key == 'all':
            holds = all(matches(m, request, path) for m in form)
        elif key == 'any':
            holds = any(matches(m, request, path) for m in form)
        elif key == 'not':
            holds = not matches(form, request, path)
        else:
            holds = KEYS[key](form, request, path)
        if not holds:
            return False
    return True


def looks_at_path(route):
    def in_match(match):
        return 'path' in match or any(in_match(m) for m in (*match.get('all', ()), *match.get('any', ()))) \
            or 'not' in match and in_match(match['not'])
    redirect = route.get('redirect', {})
    return in_match(route.get('match', {})) or 'prefix' in route.get('rewrite', {}) or 'prefix' in redirect


@dataclasses.dataclass
class Decision:
    route: int | None  # its index
    shadows: list      # names of shadow routes that match
    path: str          # as it is matched and sent
    reason: str = 'none'


def decide(service, request):
    """Which route of the service a request takes."""
    paths = service.get('paths', {})
    path = request.path()
    routes = service['routes']
    normalize = paths.get('normalize', 'auto')
    if normalize == 'always' or normalize == 'auto' and any(looks_at_path(r) for r in routes):
        path = normal_path(path, paths.get('encoded-slash') == 'keep', paths.get('encoded-nul') == 'keep')
        if path == AMBIGUOUS:
            return Decision(None, [], request.path(), AMBIGUOUS)
    shadows = []
    for index, route in enumerate(routes):
        if not matches(route.get('match', {}), request, path):
            continue
        if route.get('shadow') == 'true':
            shadows.append(route.get('name', f'route-{index + 1}'))
            continue
        return Decision(index, shadows, path)
    return Decision(None, shadows, path, 'no-route')


# Sticky splits

WORD = (1 << 64) - 1


def finished(h):
    """What MurmurHash3 ends with."""
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 1):
        h ^= h >> 33
        h = h * factor & WORD
    return h


def text_hash(text):
    """FNV-1a, begun with the length."""
    h = 0xcbf29ce484222325 ^ len(text)
    for character in text:
        h = (h ^ ord(character)) * 0x100000001b3 & WORD
    return finished(h)


def score(key, seed):
    """-log2 of a number in (0, 1) that key and seed determine, in units of 2^-24."""
    y = v = finished(key ^ seed) >> 32 | 1
    log = v.bit_length() - 1
    y <<= 31 - log
    for _ in range(24):
        y = y * y >> 31
        bit = y >> 32
        y >>= bit
        log = log << 1 | bit
    return 32 * 2 ** 24 - log


def sticky(split, text):
    """The subset of {name: weight} that a key goes to: the first one with the least score for its weight."""
    key = text_hash(text)
    best = None
    for name, weight in split.items():
        mine = score(key, text_hash(name)), int(weight)
        if mine[1] and (best is None or mine[0] * best[1] < best[0] * mine[1]):
            best, winner = mine, name
    return winner
