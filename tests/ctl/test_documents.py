# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manuals know all that there is."""
import json
import pathlib
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
INTERFACES = sorted((TOP / 'dbus').glob('*.xml'))


def manual(name):
    return (TOP / 'docs' / name).read_text()


def test_slicemeshctl(ctl):
    text, help_text = manual('slicemeshctl.md'), ctl.output('--help')
    verbs = re.findall(r'^  ([a-z][a-z-]*)(.*?)(?:  |$)', help_text, re.M)
    assert len(verbs) >= 12
    for verb, arguments in verbs:
        written = arguments.strip().replace('[', r'\[')
        assert f'**{verb}** {written}'.strip() + '\n:' in text, f'{verb} {arguments} is missing'
    for option in re.findall(r'--[a-z-]+', help_text.split('Options:')[1].split('"slicemeshctl VERB')[0]):
        assert re.search(rf'^(\*\*-.\*\*, )?\*\*{option}\*\*', text, re.M), f'{option} is missing'


@pytest.mark.parametrize('program', ['daemon/slicemeshd', 'relay/slicemesh-relay'])
def test_programs(ctl, program):
    text = manual(program.split('/')[1] + '.md')
    help_text = subprocess.run([ctl.program.parent.parent / program, '--help'], check=True,
                               capture_output=True, text=True).stdout
    options = re.findall(r'^ .*?(--[a-z-]+)', help_text, re.M)
    assert len(options) >= 5
    for option in options:
        assert re.search(rf'^(\*\*-.\*\*, )?\*\*{option}\*\*', text, re.M), f'{option} is missing'


def test_problems():
    """All that slicemeshd can have."""
    daemon = ''.join(f.read_text() for f in (TOP / 'src/daemon').glob('daemon-*.c'))
    found = re.findall(r'manager_set_problem\([^,]+, "([a-z-]+)"', daemon)
    found += re.findall(r'asprintf\(&id, "([a-z-]+:)%s"', daemon)
    section = re.search(r'^# PROBLEMS\n(.*?)(?=^# )', manual('slicemeshd.md'), re.M | re.S)[1]
    assert len(found) >= 4
    assert {p + 'NAME' if p.endswith(':') else p for p in found} == set(
        re.findall(r'^\| `(.*?)`', section, re.M))


def members(interface):
    for kind in 'property', 'method', 'signal':
        for element in interface.iter(kind):
            arguments = element.iter('arg')
            yield element.get('name'), element.get('type') or ''.join(a.get('type') for a in arguments)


@pytest.mark.parametrize('file', INTERFACES, ids=lambda f: f.stem.split('.')[-1])
def test_bus(file):
    interface = ElementTree.parse(file).getroot().find('interface')
    title = interface.get('name').split('.')[-1].upper()
    section = re.search(rf'^# {title}\n(.*?)(?=^# )', manual('bus.md'), re.M | re.S)[1]
    found = list(members(interface))
    assert found
    for name, signature in found:
        lines = re.findall(rf'^.*`{name}`.*$', section, re.M)
        assert lines, f'{name} is missing'
        # A method's row has what goes in apart from what comes out.
        assert any(signature in re.sub(r'[|, ]', '', line) for line in lines), f'{name} is not {signature}'


def test_bus_errors():
    """Those that the daemon can return are documented, and no others."""
    header = (TOP / 'src/daemon/daemon-bus-object.h').read_text()
    section = re.search(r'^# ERRORS\n(.*?)(?=^# )', manual('bus.md'), re.M | re.S)[1]
    rows = [line.split('|')[1] for line in section.splitlines() if line.startswith('| `')]
    assert re.findall(r'BUS_ERROR\("(\w+)"\)', header)
    assert set(re.findall(r'BUS_ERROR\("(\w+)"\)', header)) == set(re.findall(r'`(\w+)`', ' '.join(rows)))


def test_slow_reasons(ctl):
    """Each has its advice, and there are no others."""
    reasons = json.loads(ctl.output('reasons', '--json'))
    section = re.search(r'^# For administrators\n(.*?)(?=^# )', manual('fast-path.md'), re.M | re.S)[1]
    rows = re.findall(r'^\| `([a-z-]+)` \| .+ \|$', section, re.M)
    assert len(rows) > 10
    assert rows == [r['reason'] for r in reasons if r['kind'] == 'slow']
