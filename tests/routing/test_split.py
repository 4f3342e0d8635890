# SPDX-License-Identifier: LGPL-2.1-or-later
"""How requests are dealt out: exactly in turn, without bias at random, and sticky; and that chances of one
request have nothing to do with each other."""
import collections
import math
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import reference  # noqa: E402
from decider import Decider  # noqa: E402
from reference import Request  # noqa: E402

SEED = random.SystemRandom().randrange(1 << 32)
NAMES = ('stable', 'canary', 'blue', 'green', 'a-name-of-some-length')
KEYS = [f'user-{n}' for n in range(10_000)]


@pytest.fixture
def dice(capsys):
    with capsys.disabled():
        print(f'# seed {SEED}')
    return random.Random(SEED)


def service(*routes):
    return {'service': 'split', 'address': '127.71.0.10:80', 'routes': list(routes),
            'subsets': {name: {'endpoints': [f'127.0.2.{n}:8080']} for n, name in enumerate(NAMES, 1)}}


def as_text(weights):
    return {name: str(weight) for name, weight in weights.items()}


def decide(policy, requests):
    """The answers; requests are (request, random)."""
    decider = Decider()
    decider.policy(policy)
    for request, chance in requests:
        decider.request(request, random=chance)
    errors, *answers = decider.answers()
    assert errors == {'errors': []}
    return answers


def subsets(policy, requests):
    return [answer['subset'] for answer in decide(policy, requests)]


def assert_share(count, of, share):
    """Within five standard deviations: once in two million times that is wrong."""
    spread = math.sqrt(of * share * (1 - share))
    assert abs(count - of * share) <= 5 * spread + 1e-9, (count, of, share)


def random_weights(dice, n):
    while True:
        weights = {name: dice.choice([0, 1, 2, 3, dice.randint(1, 40)]) for name in dice.sample(NAMES, n)}
        if sum(weights.values()):
            return weights


def test_in_turn(dice):
    """In any window of as many requests as the weights make in lowest terms."""
    for _ in range(40):
        weights = random_weights(dice, dice.randint(1, 5))
        divisor = math.gcd(*weights.values())
        n = sum(weights.values()) // divisor
        policy = service({'split': as_text(weights), 'split-by': 'round-robin'})
        got = subsets(policy, [(Request(), 0)] * (3 * n))
        for start in range(2 * n + 1):
            counts = collections.Counter(got[start:start + n])
            assert all(counts[name] == weight // divisor for name, weight in weights.items()), weights


def test_at_random(dice):
    for _ in range(10):
        weights = random_weights(dice, dice.randint(2, 5))
        policy = service({'split': as_text(weights), 'split-by': 'random'})
        got = subsets(policy, [(Request(), dice.getrandbits(32)) for _ in range(5000)])
        counts = collections.Counter(got)
        for name, weight in weights.items():
            assert_share(counts[name], len(got), weight / sum(weights.values()))


def sides(weights, by='header'):
    """[subset] of all KEYS."""
    policy = service({'split': as_text(weights), 'split-by': {by: 'X-User' if by == 'header' else 'sid'}})
    field = ('x-user', '{}') if by == 'header' else ('Cookie', 'a=b; sid={}')
    return subsets(policy, [(Request(fields=[(field[0], field[1].format(key))]), n)
                            for n, key in enumerate(KEYS)])


def test_sticky_as_documented(dice):
    """By header and cookie, whatever the weights, as the formula says; and in their proportion."""
    for by in ('header', 'cookie', 'header'):
        weights = random_weights(dice, dice.randint(2, 5))
        got = sides(weights, by)
        for key, side in zip(KEYS[:3000], got):
            assert side == reference.sticky(weights, key), (key, weights)
        counts = collections.Counter(got)
        for name, weight in weights.items():
            assert_share(counts[name], len(KEYS), weight / sum(weights.values()))


def test_sticky_is_so(dice):
    """Whatever else the request is like; without the key it is a matter of chance."""
    policy = service({'split': {'stable': '1', 'canary': '1'}, 'split-by': {'header': 'x-user'}})

    def requests(fields):
        return [(Request(target=f'/{n}', source=f'127.0.0.{n % 9 + 1}', fields=fields), dice.getrandbits(32))
                for n in range(1000)]
    for user in ('alice', 'bob', ''):
        assert len(set(subsets(policy, requests([('X-User', user)])))) == 1
    counts = collections.Counter(subsets(policy, requests([('x-users', 'alice')])))
    assert_share(counts['canary'], 1000, 0.5)


def moves(before, after):
    """{(from, to): how many keys}, of those that move."""
    return collections.Counter((a, b) for a, b in zip(sides(before), sides(after)) if a != b)


def test_least_reassignment(capsys):
    """When weights move, keys move to where there is more and from where there is less, and not more of them
    than must."""
    ten = {'stable': 90, 'canary': 10}
    steps = [(ten, {'stable': 80, 'canary': 20}, {('stable', 'canary'): 0.10}),
             (ten, {'stable': 95, 'canary': 5}, {('canary', 'stable'): 0.05}),
             (ten, {'stable': 100, 'canary': 0}, {('canary', 'stable'): 0.10}),
             (ten, {'stable': 900, 'canary': 100}, {}),
             # one more, beside the others: it takes of each in proportion
             ({'stable': 60, 'canary': 30, 'blue': 0}, {'stable': 60, 'canary': 30, 'blue': 10},
              {('stable', 'blue'): 0.1 * 2 / 3, ('canary', 'blue'): 0.1 / 3})]
    for before, after, expected in steps:
        got = moves(before, after)
        with capsys.disabled():
            print(f'# {before} to {after}: {dict(got)} of {len(KEYS)}')
        assert set(got) == set(expected)
        for way, share in expected.items():
            assert_share(got[way], len(KEYS), share)


def test_chances_are_independent(dice):
    """Of a fraction, a split at random, and faults: each combination is as likely as its parts say."""
    fault = {'abort': {'status': '503', 'fraction': '50%'}, 'delay': {'for': '1ms', 'fraction': '25%'}}
    split = {'split': {'stable': '1', 'canary': '1'}, 'split-by': 'random', 'fault': fault}
    policy = service({'match': {'fraction': '50%'}, **split}, {'match': {'fraction': '50%'}, **split}, split)
    answers = decide(policy, [(Request(), dice.getrandbits(32)) for _ in range(40_000)])
    counts = collections.Counter((a['route'], a['subset'], a['effects']) for a in answers)
    for route, of_route in enumerate((0.5, 0.25, 0.25)):
        for subset in ('stable', 'canary'):
            for effects in range(4):  # 1: abort, 2: delay
                share = of_route / 2 / 2 * (0.25 if effects & 2 else 0.75)
                assert_share(counts[route, subset, effects], len(answers), share)


def test_fractions(dice):
    for share in (0.001, 0.05, 0.5, 0.999):
        policy = service({'match': {'fraction': f'{100 * share:g}%'}, 'to': 'canary'}, {'to': 'stable'})
        got = subsets(policy, [(Request(), dice.getrandbits(32)) for _ in range(20_000)])
        assert_share(got.count('canary'), len(got), share)
