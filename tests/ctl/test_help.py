# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program says of itself: help of every verb, in every language, without a bus."""
import re

import pytest

LANGUAGES = ['en']


def verbs(ctl):
    found = re.findall(r'^  ([a-z][a-z-]*)\b', ctl.output('--help'), re.M)
    assert len(found) >= 10
    return found


@pytest.mark.parametrize('language', LANGUAGES)
def test_help(ctl, language):
    for verb in [[]] + [[v] for v in verbs(ctl)]:
        text = ctl.output(*verb, '--help', LANGUAGE=language)
        assert text == ctl.output('-h', *verb, LANGUAGE=language)
        assert max(map(len, text.splitlines())) <= 80, f'{verb}: the help is wider than 80 columns'
        assert not re.search(r'[ \t]$', text, re.M)


def test_version(ctl):
    assert re.fullmatch(r'slicemeshctl \d+\.\d+\n', ctl.output('--version'))


@pytest.mark.parametrize('arguments, part', [
    (['frobnicate'], 'There is no verb "frobnicate"; "slicemeshctl --help" lists them.'),
    (['drian', 'shop', 'x'], 'There is no verb "drian"; did you mean "drain"?'),
    (['show'], '"show" needs more arguments: SERVICE'),
    (['status', 'all'], '"status" takes fewer arguments'),
    (['status', '--persist'], '"status" does not take --persist.'),
    (['--nonsense'], 'nonsense'),
    (['list', '--root'], 'root'),
])
def test_usage(ctl, arguments, part):
    result = ctl.run(*arguments)
    assert (result.returncode, result.stdout) == (2, '')
    assert part in result.stderr


def test_reasons(ctl):
    text = ctl.output('reasons')
    assert re.search(r'^no-route +404  No route of the service matches the request\.$', text, re.M)
