# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel has complained about while tests ran."""
import contextlib
import os

WARNINGS = ('WARNING', 'BUG', 'Oops', 'RIP:', 'refcount_t', 'stall', 'blocked for more than', 'KASAN',
            'UBSAN', 'lockdep')


@contextlib.contextmanager
def no_warning():
    """Also of those that scroll out of the kernel's log meanwhile one is told: reading then fails once."""
    log = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)
    yield
    new, overrun = [], False
    while True:
        try:
            new.append(os.read(log, 8192).decode(errors='replace').splitlines()[0])
        except BlockingIOError:
            break
        except BrokenPipeError:
            overrun = True
    os.close(log)
    warnings = [line for line in new if any(word in line for word in WARNINGS)]
    assert not warnings, f'the kernel warned: {warnings}'
    assert not overrun, 'the kernel said more than its log holds'
