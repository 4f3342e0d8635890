# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program says of itself: help of every verb, in every language, without a bus; the translations
and completions that belong to it."""
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent


def lines_of(path):
    return [line for line in (TOP / path).read_text().splitlines() if not line.startswith('#')]


TRANSLATIONS = lines_of('po/LINGUAS')


def verbs(ctl):
    found = re.findall(r'^  ([a-z][a-z-]*)\b', ctl.output('--help'), re.M)
    assert len(found) >= 10
    return found


@pytest.mark.parametrize('language', ['en', *TRANSLATIONS])
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
    assert re.search(r'^no-route +failure +404  No route of the service matches the request\.$', text, re.M)
    assert re.search(r'^off +slow +-  The fast path is switched off\.$', text, re.M)


def test_translated(ctl):
    assert 'Optionen:' in ctl.output('--help', LANGUAGE='de')
    text = ctl.output('reasons', LANGUAGE='de')
    assert 'Keine Route des Dienstes passt' in text and 'Der schnelle Weg ist abgeschaltet.' in text
    assert 'reasons' in ctl.output('--help', LANGUAGE='de'), 'verbs stay what they are'


def test_sources_of_messages():
    """Every file with messages is looked at for them."""
    listed = lines_of('po/POTFILES.in')
    found = [str(f.relative_to(TOP)) for f in (TOP / 'src/ctl').glob('*.c')
             if re.search(r'\b(_|N_|ngettext)\("', f.read_text())]
    assert sorted(listed) == listed
    lists = {'src/abi/abi-connection.h', 'src/abi/abi-reason.h', 'src/abi/abi-slow.h',
             'src/policy/policy-fast.h'}
    assert set(found) | lists == set(listed)


@pytest.mark.parametrize('language', TRANSLATIONS)
def test_translation_is_complete(language, tmp_path):
    po, pot = TOP / f'po/{language}.po', tmp_path / 'slicemesh.pot'
    files = [TOP / name for name in lines_of('po/POTFILES.in')]
    keywords = re.findall(r"'(--keyword=[^']*)'", (TOP / 'po/meson.build').read_text())
    subprocess.run(['xgettext', '--from-code=UTF-8', *keywords, '-o', pot, *files], check=True)
    assert pot.read_text().count('\nmsgid') > 100
    compare = subprocess.run(['msgcmp', po, pot], capture_output=True, text=True)
    assert compare.returncode == 0, f'ninja -C build slicemesh-update-po, and translate: {compare.stderr}'
    check = subprocess.run(['msgfmt', '--check', '--statistics', '-o', tmp_path / 'mo', po], check=True,
                           capture_output=True, text=True)
    assert re.fullmatch(r'\d+ translated messages\.\n', check.stderr)


def options(ctl):
    return re.findall(r'--[a-z-]+', ctl.output('--help').split('Options:')[1].split('"slicemeshctl VERB')[0])


@pytest.mark.parametrize('file', ['slicemeshctl.bash', '_slicemeshctl.zsh'])
def test_completion_knows_all(ctl, file):
    text = (TOP / 'src/ctl/completion' / file).read_text()
    for word in verbs(ctl) + options(ctl):
        assert re.search(rf'(?<![a-z-]){word}(?![a-z-])', text), f'{file} does not know {word}'


def complete(ctl, line):
    """What bash offers for the last word of a line, without the package bash-completion."""
    script = f'''
        _init_completion() {{
                words=({line}); cword=$((${{#words[@]}} - 1))
                cur=${{words[cword]}}; prev=${{words[cword - 1]}}
        }}
        __ltrimcolon_completions() {{ :; }}
        _filedir() {{ COMPREPLY=(FILES); }}
        . {TOP}/src/ctl/completion/slicemeshctl.bash
        _slicemeshctl
        printf '%s\\n' "${{COMPREPLY[@]}}"'''
    environment = {**ctl.environment, 'PATH': f'{ctl.program.parent}:{ctl.environment["PATH"]}'}
    return subprocess.run(['bash', '-c', script], env=environment, check=True, capture_output=True,
                          text=True).stdout.split()


def test_bash_completion(mesh):
    assert complete(mesh, 'slicemeshctl sh') == ['show', 'shift']
    assert complete(mesh, "slicemeshctl --json ''")[:2] == ['status', 'list']
    assert complete(mesh, 'slicemeshctl --pers') == ['--persist']
    assert complete(mesh, "slicemeshctl show ''") == ['cart', 'db', 'shop', 'batch.slice', 'shop.slice']
    assert complete(mesh, "slicemeshctl fast-path o") == ['on', 'off']
    assert complete(mesh, 'slicemeshctl drain --persist shop can') == ['canary/10.1.0.11:9090']
    assert complete(mesh, "slicemeshctl set-balance shop canary l") == ['least-request']
    assert complete(mesh, 'slicemeshctl trace --service s') == ['shop']
    assert complete(mesh, 'slicemeshctl shift --route v2 shop s') == ['stable=']
    assert complete(mesh, 'slicemeshctl shift shop --route d') == ['default']
    assert complete(mesh, "slicemeshctl swap shop stable ''") == ['canary', 'stable']
    assert complete(mesh, "slicemeshctl check ''") == ['FILES']
    assert complete(mesh, "slicemeshctl explain --from s") == ['shop.slice']
