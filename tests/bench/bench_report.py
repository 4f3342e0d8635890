# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was measured, for people and for programs. cases: {(what, connections): {path: [Run]}}"""
import dataclasses

from bench_measure import median

REFERENCES = ('none', 'haproxy')

# What the fast path is for, with 32 connections: (where, compared with, of what, the ratio's bound).
GOALS = (('local', 'none', 'cpu', '<=', 0.85), ('local', 'none', 'rate', '>=', 1.1),
         ('local', 'haproxy', 'cpu', '<=', 0.35), ('remote', 'haproxy', 'cpu', '<=', 0.75))


def medians(cases):
    return {case: {path: median(runs) for path, runs in paths.items()} for case, paths in cases.items()}


def report(cases, write):
    write(f'{"":48} CPU us/request {"":6}  of none:    of haproxy:')
    write(f'{"what":>6} {"conns":>5} {"path":<9} {"requests/s":>10} {"p50 us":>6} {"p99 us":>6}'
          f' {"machine":>7} {"process":>7} {"errors":>6} ' + f' {"rate":>5} {"CPU":>5}' * len(REFERENCES))
    for (what, connections), paths in medians(cases).items():
        for name, m in paths.items():
            ratios = ''.join(f' {m.rate / paths[r].rate:>5.2f} {m.cpu / paths[r].cpu:>5.2f}'
                             for r in REFERENCES)
            write(f'{what:>6} {connections:>5} {name:<9} {m.rate:>10.0f} {m.p50:>6.0f} {m.p99:>6.0f}'
                  f' {m.cpu:>7.1f} {m.own_cpu:>7.1f} {m.errors:>6} {ratios}')


def report_mesh(cases, more, write):
    write('\nwhich way the requests of "slicemesh" went:')
    for share in more['shares']:
        total = sum(share['paths'].values()) or 1
        ways = sorted(share['paths'].items(), key=lambda item: -item[1])
        write(f'{share["what"]:>6} {share["connections"]:>5} {total:>9} requests: '
              + ', '.join(f'{way} {100 * n / total:.2f} %' for way, n in ways))

    switches = more['switches']
    write(f'\ncontext switches in {switches["seconds"]:.1f} s with {switches["paths"].get("fast", 0)} local'
          ' requests on the fast path, and in as much time without:')
    for unit, n in switches['loaded'].items():
        write(f'  {unit:<25} {n:>6} {switches["idle"][unit]:>6}')

    write('\ngoals:')
    for what, reference, key, relation, bound in GOALS:
        paths = medians(cases)[what, 32]
        ratio = getattr(paths['slicemesh'], key) / getattr(paths[reference], key)
        reached = ratio <= bound if relation == '<=' else ratio >= bound
        write(f'  {what:<6} {key:<4} {relation} {bound:<4} of {reference:<7} {ratio:>5.2f}'
              f' {"reached" if reached else "missed"}')


def as_json(cases):
    return [{'what': what, 'connections': connections, 'path': name,
             'median': dataclasses.asdict(median(runs)), 'runs': [dataclasses.asdict(run) for run in runs]}
            for (what, connections), paths in cases.items() for name, runs in paths.items()]


def errors(cases):
    return sum(run.errors for paths in cases.values() for runs in paths.values() for run in runs)
