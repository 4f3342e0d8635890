# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine against the evaluator in reference.py, on random services and requests; and how it splits."""
import collections
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import reference  # noqa: E402
from decider import Decider  # noqa: E402
from generator import SLICES, Generator  # noqa: E402

LONG = bool(os.environ.get('SLICEMESH_TEST_LONG'))
SEED = int(os.environ.get('SLICEMESH_TEST_SEED', random.SystemRandom().randrange(1 << 32)))
SERVICES, REQUESTS = (40_000 if LONG else 2_000), 50  # of each service
BATCH = 100  # services


class Tally:
    """How often each kind of predicate, and each operator, did and did not hold."""

    def __init__(self):
        self.counts = collections.defaultdict(collections.Counter)

    def watched(self, kind, judge):
        def watch(*arguments):
            holds = judge(*arguments)
            self.counts[kind][bool(holds)] += 1
            return holds
        return watch

    def watch(self, monkeypatch):
        keys = {key: self.watched(key, judge) for key, judge in reference.KEYS.items()}
        monkeypatch.setattr(reference, 'KEYS', keys)
        body = {key: self.watched(f'body: {key}', judge) for key, judge in reference.BODY.items()}
        monkeypatch.setattr(reference, 'BODY', body)
        judge = reference.is_value_by

        def by(op, text, value):
            holds = judge(op, text, value)
            self.counts[f'value: {op}'][holds] += 1
            return holds
        monkeypatch.setattr(reference, 'is_value_by', by)

    def report(self):
        for kind, counts in sorted(self.counts.items()):
            total = counts.total()
            print(f'# {kind}: {total} times, {100 * counts[True] / total:.1f} % held')

    def lacking(self):
        """Of each kind there must have been both."""
        operators = ('exact', 'prefix', 'suffix', 'present', 'range', 'regex')
        wanted = {*reference.KEYS, *(f'body: {key}' for key in reference.BODY),
                  *(f'value: {op}' for op in operators)}
        return {kind for kind in wanted if min(self.counts[kind][True], self.counts[kind][False]) < 20}


def differs(service, request, answer):
    """What the engine says otherwise than the reference."""
    decision = reference.decide(service, request)
    expected = {'reason': decision.reason}
    if decision.reason != reference.AMBIGUOUS:
        expected |= {'shadows': decision.shadows, 'path': decision.path, 'undecided': 'none'}
    if decision.route is not None:
        route = service['routes'][decision.route]
        expected |= {'route': decision.route, 'subset': route['to']}
    answer = {key: value for key, value in answer.items() if key != 'effects'}
    return None if answer == expected else (expected, answer)


def ask(generator, decider):
    """A service and its requests: (service, its number, [(request, number, numbers of who knows less)])"""
    service = generator.service()
    number, asked = decider.policy(service), []
    for _ in range(REQUESTS):
        request = generator.request()
        less = [decider.request(request, who='kernel')] if generator.chance(0.3) else []
        if request.body and generator.chance(0.5):
            less.append(decider.request(request, there=generator.random.randint(0, len(request.body))))
        asked.append((request, decider.request(request), less))
    return service, number, asked


def test_random(monkeypatch, capsys):
    tally = Tally()
    tally.watch(monkeypatch)
    generator, invalid, done, undecided = Generator(SEED), 0, 0, 0
    with capsys.disabled():
        print(f'# SLICEMESH_TEST_SEED={SEED}')
    for _ in range(SERVICES // BATCH):
        decider = Decider(SLICES)
        batch = [ask(generator, decider) for _ in range(BATCH)]
        answers = decider.answers()
        for service, number, asked in batch:
            if answers[number]['errors']:
                invalid += 1
                assert invalid <= SERVICES // 10, (answers[number]['errors'], service)
                continue
            for request, whole, less in asked:
                done += 1
                wrong = differs(service, request, answers[whole])
                assert not wrong, f'seed {SEED}: {service}\n{request}\n{wrong[0]}\n{wrong[1]}'
                for other in less:
                    known = answers[other]
                    if known.get('undecided', 'none') == 'none':
                        assert known == answers[whole], f'seed {SEED}: {service}\n{request}\n{known}'
                    else:
                        undecided += 1
    with capsys.disabled():
        print(f'# {done} requests, {invalid} services were invalid, {undecided} could not be decided')
        tally.report()
    assert not tally.lacking()
    assert undecided > done // 100
