# SPDX-License-Identifier: LGPL-2.1-or-later
"""What test_parity.py has sent and answered: requests and responses, byte by byte and send by send.

Client and server (clients/script.py, servers/script.py) both read this. A request's target is /ANSWER/CASE,
and ANSWER names what the server is to do. Steps are bytes, one send each; a number of seconds to wait; and
of the server CLOSE and RESET.
"""
import dataclasses
import random

CLOSE, RESET = 'close', 'reset'
NODELAY_PAUSE = 0.002  # so much later a send is a segment of its own for sure

# As src/abi/abi-limits.h has them.
FAST_MAX, HEAD_MAX, KEPT_MAX = 65536, 8192, 12288
RESPONSE_HEAD_MAX = 4096  # as bpf/server.bpf.c has it


def content(size):
    return random.Random(size).randbytes(size)


def message(start, fields=(), body=b'', length=True):
    lines = [start, *fields, *([f'Content-Length: {len(body)}'] if length else []), '', '']
    return '\r\n'.join(lines).encode() + body


def request(target, method='GET', fields=(), body=None):
    return message(f'{method} {target} HTTP/1.1', ('Host: parity.example', *fields), body or b'',
                   length=body is not None)


def response(body=b'', fields=(), status='200 OK'):
    return message(f'HTTP/1.1 {status}', fields, body)


def sized(size, make):
    """make(body) such that all of it is `size` bytes long."""
    body = content(size - len(make(content(min(size, 100_000)))) + min(size, 100_000))
    body += b'x' * (size - len(make(body)))
    assert len(make(body)) == size
    return make(body)


def padded(size, start, fields=(), body=None):
    """A message whose head is `size` bytes long."""
    def make(n):
        return message(start, (*fields, 'X-Pad: ' + 'p' * n), body or b'', length=body is not None)
    return make(size - len(make(0)) + len(body or b''))


def chunks(body, size):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b''.join(b'%x\r\n%s\r\n' % (len(p), p) for p in parts) + b'0\r\n\r\n'


def pieces(data, size, pause=None):
    parts = [data[i:i + size] for i in range(0, len(data), size)]
    return parts if pause is None else [s for p in parts for s in (p, pause)][:-1]


def endless(*fields):
    """The head of a response whose length it does not say."""
    return message('HTTP/1.1 200 OK', fields, length=False)


def chunked(body, size):
    return endless('Transfer-Encoding: chunked') + chunks(body, size)


SMALL = response(b'small answer\n', ('X-Answer: small',))
BODILESS = 'HTTP/1.1 {}\r\nX-Answer: bodiless\r\n{}\r\n'

ANSWERS = {
    'small': [SMALL],
    'empty': [response()],
    'many-fields': [response(b'x', tuple(f'X-Field-{i}: {i}' for i in range(60)))],
    'no-reason-phrase': [message('HTTP/1.1 200 ', body=b'x')],
    'error': [response(b'gone wrong\n', status='500 Internal Server Error')],
    'redirect': [response(b'', ('Location: http://elsewhere.example/',), '302 Found')],
    **{f'total-{n}': [sized(n, response)] for n in (1000, 8192, 8193, 16384, 65535, FAST_MAX, FAST_MAX + 1)},
    **{f'body-{n}': [response(content(n))] for n in (100_000, 200_000)},
    **{f'head-{n}': [padded(n, 'HTTP/1.1 200 OK', body=b'body')]
       for n in (RESPONSE_HEAD_MAX, RESPONSE_HEAD_MAX + 1, 12_000)},
    # HEAD, and statuses that have no body whatever they announce
    'announced': [BODILESS.format('200 OK', 'Content-Length: 100000\r\n').encode()],
    'status-204': [BODILESS.format('204 No Content', '').encode()],
    'status-304': [BODILESS.format('304 Not Modified', 'Content-Length: 5000\r\n').encode()],
    # sent in parts
    'head-then-body': [response(content(5000))[:-5000], content(5000)],
    'head-pause-body': [response(content(5000))[:-5000], 0.02, content(5000)],
    'body-in-parts': pieces(sized(60_000, response), 7001),
    'body-trickles': pieces(sized(3000, response), 500, NODELAY_PAUSE),
    'head-in-two': [SMALL[:30], NODELAY_PAUSE, SMALL[30:]],
    'bytewise': pieces(SMALL, 1, 0.0005),
    'late': [0.1, SMALL],
    # whose end is told otherwise, or not
    'chunked': [chunked(content(5000), 1000)],
    'chunked-empty': [chunked(b'', 1)],
    'chunked-parts': pieces(chunked(content(20_000), 3000), 1111, NODELAY_PAUSE),
    'chunked-large': [chunked(content(150_000), 10_000)],
    'trailers': [chunked(b'abc', 2)[:-2] + b'X-Trailer: t\r\n\r\n'],
    'until-close': [endless('X-Answer: until close') + content(3000), CLOSE],
    # interim ones
    'early-hints': [b'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', NODELAY_PAUSE, SMALL],
    'interim-at-once': [b'HTTP/1.1 102 Processing\r\n\r\n' + SMALL],
    # that the relay changes
    'says-close': [response(b'bye\n', ('Connection: close',)), CLOSE],
    'says-keep-alive': [response(b'hop\n', ('Connection: keep-alive', 'Keep-Alive: timeout=5'))],
    'names-fields': [response(b'hop\n', ('Connection: X-Hop', 'X-Hop: 1', 'X-End: 2'))],
    'http-1.0': [message('HTTP/1.0 200 OK', body=b'old\n'), CLOSE],
    # broken ones
    'more-than-announced': [SMALL + b'more'],
    'less-than-announced': [response(content(4000))[:-1000], CLOSE],
    'reset-in-body': [response(content(4000))[:-1000], NODELAY_PAUSE, RESET],
    'nonsense': [b'nonsense\r\n\r\n', CLOSE],
    'closes': [CLOSE],
    'resets': [RESET],
    'timed-out': [1.0, SMALL],  # its route's time is shorter
}


@dataclasses.dataclass
class Case:
    """near, far: what its requests may count under while the fast path is on; far: if the server is remote
    or in no managed slice. same: also without a mesh all is the same, byte for byte.
    answers: so many the client waits for. gone: it closes after so many seconds instead."""
    name: str
    send: list
    near: tuple = ('fast',)
    far: tuple = ()
    same: bool = True
    answers: int = 1
    gone: float = 0

    def __post_init__(self):
        self.far = self.far or tuple({'fast': 'remote'}.get(path, path) for path in self.near)


def case(name, make, *near, **more):
    """make: of the target, all bytes or a list of steps"""
    steps = make(f'/small/{name}')
    return Case(name, steps if isinstance(steps, list) else [steps], near or ('fast',), **more)


def post(size):
    return lambda target: request(target, 'POST', body=content(size))


def of_size(size):
    return lambda target: sized(size, lambda body: request(target, 'POST', body=body))


def with_head(size, body=None):
    return lambda target: padded(size, f'POST {target} HTTP/1.1' if body else f'GET {target} HTTP/1.1',
                                 ('Host: parity.example',), body)


def request_cases():
    yield Case('method-HEAD', [request('/announced/method-HEAD', 'HEAD')])
    for method in ('GET', 'DELETE', 'BREW'):
        yield case(f'method-{method}', lambda target, m=method: request(target, m))
    yield case('method-OPTIONS', lambda target: request(target, 'OPTIONS'), 'rewritten')
    for method in ('POST', 'PUT', 'PATCH'):
        yield case(f'method-{method}', lambda target, m=method: request(target, m, body=b'a=b'))
    for size in (0, 1, 1000, 4096, 10_000):
        yield case(f'post-{size}', post(size))
    for size in (KEPT_MAX - 1, KEPT_MAX):
        yield case(f'request-{size}', of_size(size))
    for size in (KEPT_MAX + 1, 20_000, 32_768, 50_000, FAST_MAX - 1, FAST_MAX):
        yield case(f'request-{size}', of_size(size), far=('too-large',))
    yield case(f'request-{FAST_MAX + 1}', of_size(FAST_MAX + 1), 'too-large')
    for size in (100_000, 200_000):
        yield case(f'request-{size}', of_size(size), 'too-large', 'split')
    for size in (HEAD_MAX - 1, HEAD_MAX):
        yield case(f'head-{size}', with_head(size))
        yield case(f'head-{size}-body', with_head(size, b'body'))
    for size in (HEAD_MAX + 1, 12_000):
        yield case(f'head-{size}', with_head(size), 'too-large')
    yield case('long-query', lambda target: request(f'{target}?{"q" * 3000}'))
    yield case('absolute-target', lambda target: request(f'http://parity.example{target}'),
               'rewritten', 'fast', same=False)
    coding = ('Transfer-Encoding: chunked',)
    yield case('chunked', lambda target: request(target, 'POST', coding) + chunks(content(3000), 700),
               'coded')
    yield case('chunked-parts', lambda target: pieces(
        request(target, 'POST', coding) + chunks(content(3000), 700), 333, NODELAY_PAUSE),
        'coded', 'split', 'not-in-step')
    yield case('hop-keep-alive', lambda target: request(target, fields=('Connection: keep-alive',)))
    fields = {'close': 'Connection: close',
              'keep-alive-field': 'Keep-Alive: timeout=5', 'te': 'TE: trailers',
              'named': 'Connection: X-Hop\r\nX-Hop: 1', 'proxy': 'Proxy-Connection: keep-alive'}
    for name, field in fields.items():
        yield case(f'hop-{name}', lambda target, f=field: request(target, fields=(f,)),
                   'rewritten', same=False)
    yield case('malformed', lambda target: f'GET {target} HTTP/1.1\r\n\r\n'.encode(), 'refused', same=False)
    yield case('no-route', lambda target: f'GET {target} HTTP/1.1\r\nHost: elsewhere\r\n\r\n'.encode(),
               'fast', far=('fast',), same=False)


def routed_cases():
    """Of routes that the kernel leaves to the relay; test_parity.py has the policy."""
    field = 'X-Route: {}'.format
    for name, tail in (('regex', '.aab'), ('regex-missed', '.abb')):
        yield case(name, lambda target, t=tail: request(target + t, fields=(field('regex'),)), 'regex')
    for size in (10, KEPT_MAX):
        yield case(f'body-looked-at-{size}', lambda target, n=size: request(
            target, 'POST', (field('body'),), content(n) + b'needle'),
            'body' if size == KEPT_MAX else 'fast')
    yield case('action', lambda target: request(target, fields=(field('action'),)), 'action')


def split_cases():
    whole = request('/small/split', 'POST', body=b'0123456789')
    for at in range(1, len(whole)):
        yield Case(f'split-{at}', [whole[:at], NODELAY_PAUSE, whole[at:]], ('split', 'not-in-step'))
    yield Case('split-bytewise', pieces(whole, 1, 0.0005), ('split', 'not-in-step'))
    # Without a pause the kernel may make one of the two, or not.
    yield Case('split-at-once', [whole[:60], whole[60:]], ('split', 'not-in-step'))
    slow = request('/small/slow-body', 'POST', body=content(30_000))
    yield Case('slow-body', pieces(slow, 5000, 0.01), ('split', 'not-in-step'))
    expect = request('/small/expect', 'POST', ('Expect: 100-continue',), b'0123456789')
    yield Case('expect', [expect[:-10], 0.02, expect[-10:]], ('split', 'rewritten', 'not-in-step'))


def pipelined_cases():
    one, late = request('/small/pipelined'), request('/late/pipelined')
    large = request('/total-65535/pipelined')
    yield Case('pipelined-2', [one * 2], ('split', 'not-in-step'), answers=2)
    yield Case('pipelined-50', [one * 50], ('split', 'not-in-step'), answers=50)
    yield Case('pipelined-large', [large * 8], ('split', 'not-in-step'), answers=8)
    yield Case('pipelined-late', [late, one, late, one, one], ('fast', 'split', 'not-in-step'), answers=5)
    yield Case('pipelined-and-a-half', [one + one[:20], NODELAY_PAUSE, one[20:]], ('split', 'not-in-step'),
               answers=2)


NEAR = {
    'bytewise': 'response-malformed', 'head-in-two': 'response-malformed',
    'until-close': 'response-framing', 'chunked-parts': 'response-framing',
    'chunked-large': 'response-too-large',
    'early-hints': 'interim', 'interim-at-once': 'interim',
    'says-close': 'response-rewritten',
    'names-fields': 'response-rewritten', 'http-1.0': 'response-rewritten',
    'more-than-announced': 'response-broken', 'nonsense': 'response-malformed',
    'less-than-announced': 'upstream-died', 'reset-in-body': 'upstream-died',
    'closes': 'upstream-died', 'resets': 'upstream-died', 'timed-out': 'patience',
    f'total-{FAST_MAX + 1}': 'response-too-large', 'body-100000': 'response-too-large',
    'body-200000': 'response-too-large', f'head-{RESPONSE_HEAD_MAX + 1}': 'response-too-large',
    'head-12000': 'response-too-large',
}
# What a relay must do otherwise than nobody in between.
CHANGED = ('says-close', 'says-keep-alive', 'names-fields', 'http-1.0', 'more-than-announced', 'until-close',
           'less-than-announced', 'reset-in-body', 'nonsense', 'closes', 'resets', 'timed-out')
DYING = ('closes', 'resets')
# Of all answers of a server that is not reached by the kernel, what is not remote.
FAR = {'closes': 'upstream-died', 'resets': 'upstream-died', 'less-than-announced': 'upstream-died',
       'reset-in-body': 'upstream-died', 'nonsense': 'response-malformed', 'timed-out': 'patience'}


def response_cases():
    for answer in ANSWERS:
        method = 'HEAD' if answer == 'announced' else 'GET'
        near = (NEAR.get(answer, 'fast'),)
        yield Case(f'answer-{answer}', [request(f'/{answer}/x', method)], near,
                   far=(FAR.get(answer, 'remote'),), same=answer not in CHANGED)
    yield Case('caller-gone', [request('/late/gone')], ('caller-gone',), far=('caller-gone', 'remote'),
               answers=0, gone=0.02)


CASES = {c.name: c for c in (*request_cases(), *routed_cases(), *split_cases(), *pipelined_cases(),
                             *response_cases())}
