# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a terminal gets: width, colours, pager."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios


def on_terminal(ctl, *arguments, columns=80, **environment):
    """Standard output and exit status on a terminal of that width, on which all of it fits."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 100, columns, 0, 0))
    process = subprocess.Popen([ctl.program, *arguments], env={**ctl.environment, **environment},
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    output = b''
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError: # nobody has the other end any more
            break
        if not part:
            break
        output += part
    os.close(ours)
    assert process.stderr.read() == b''
    process.stderr.close()
    return output.decode().replace('\r\n', '\n'), process.wait()


def without_colors(text):
    return re.sub(r'\x1b\[[0-9;]*m', '', text)


def test_width(ctl):
    for columns in 200, 80, 50:
        text, status = on_terminal(ctl, 'reasons', columns=columns, PAGER='')
        lines = without_colors(text).splitlines()
        assert status == 0
        assert max(map(len, lines)) <= columns
        assert any('…' in line for line in lines) == (columns < 200)


def test_ascii_ellipsis(ctl):
    text, _ = on_terminal(ctl, 'reasons', columns=50, PAGER='', LC_ALL='C')
    assert text.isascii() and '...' in text


def test_pipe_is_not_cut(ctl):
    assert '…' not in ctl.output('reasons')


def test_colors(ctl):
    assert '\x1b[1mREASON' in on_terminal(ctl, 'reasons', PAGER='')[0]
    for plain in {'NO_COLOR': '1'}, {'SYSTEMD_COLORS': '0'}, {'TERM': 'dumb'}:
        assert '\x1b' not in on_terminal(ctl, 'reasons', **{'PAGER': '', **plain})[0]


def test_pager(ctl):
    text, status = on_terminal(ctl, 'reasons', PAGER='sed s/^/paged:/')
    assert status == 0
    assert all(line.startswith('paged:') for line in text.splitlines())
    assert '\x1b[1mREASON' in text, 'what goes through the pager is still for a terminal'
    assert max(map(len, without_colors(text).splitlines())) <= 80 + len('paged:')


def test_no_pager(ctl):
    for arguments, environment in ((['--no-pager'], {}), (['--json'], {}), ([], {'SYSTEMD_PAGER': ''}),
                                   ([], {'TERM': 'dumb'}), (['--help'], {})):
        text, status = on_terminal(ctl, 'reasons', *arguments, **{'PAGER': 'sed s/^/paged:/', **environment})
        assert status == 0
        assert 'paged:' not in text


def test_pager_that_is_not_there(ctl):
    """less, more or cat take its place: the output is not lost."""
    text, status = on_terminal(ctl, 'reasons', PAGER='/nonexistent/pager', LESS='', SYSTEMD_LESS='FRX')
    assert status == 0
    assert 'no-route' in text


def test_exit_status_goes_through_the_pager(ctl, tmp_path):
    (tmp_path / 'services').mkdir()
    (tmp_path / 'services/a.yaml').write_text('service: a\n')
    text, status = on_terminal(ctl, 'check', str(tmp_path), PAGER='cat -v')
    assert status == 1
    assert '1 error.' in text
