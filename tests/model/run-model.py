# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: run-model.py proofs|mistakes|events|names TOP

proofs    spin finds nothing wrong with the models, in any of their sizes
mistakes  it finds what is wrong with each of the models that are broken on purpose
events    what is proven to go well really happens in the model
names     states and transitions are called in the model what they are called in the code
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

MEMORY = 4000  # MiB, of one search
SECONDS = 300  # of one search, on a machine that has other things to do

ONE_CLIENT = {'N_CLIENTS': 1, 'N_SLOTS': 1, 'N_REQUESTS': 2, 'DEPTH': 2}
ONE_REQUEST = {**ONE_CLIENT, 'N_REQUESTS': 1, 'DEPTH': 1}
TWO_CLIENTS = {**ONE_REQUEST, 'N_CLIENTS': 2}

SIZES = {
    'pipelining': {**ONE_CLIENT, 'N_REQUESTS': 3, 'N_SERVERS': 4},
    'pipelining over two slots': {**ONE_CLIENT, 'N_SLOTS': 2, 'N_SERVERS': 2, 'KINDS': 2},
    'the same without a verdict': {**ONE_CLIENT, 'N_SLOTS': 2, 'N_SERVERS': 2, 'KINDS': 2, 'VERDICT': 0},
    'two clients': {**TWO_CLIENTS, 'N_SERVERS': 3},
    'the relay closes idle connections': {**ONE_CLIENT, 'N_SERVERS': 3, 'IDLE_CLOSES': 1},
    'servers speak unasked': {**ONE_REQUEST, 'N_SERVERS': 2, 'STRAYS': 1},
    'a death': {**ONE_REQUEST, 'N_SERVERS': 2, 'FAULTS': 1},
    'two deaths': {**ONE_REQUEST, 'N_SERVERS': 1, 'FAULTS': 2},
    'a death, unasked': {**ONE_REQUEST, 'N_SERVERS': 1, 'FAULTS': 1, 'STRAYS': 1},
    'a death while pipelining': {**ONE_CLIENT, 'N_SERVERS': 2, 'FAULTS': 1, 'KINDS': 1},
    'impatience with two clients': {**TWO_CLIENTS, 'N_SERVERS': 2, 'FAULTS': 1, 'DEATHS': 0, 'KINDS': 1},
    'the relay dies': {**ONE_REQUEST, 'N_SERVERS': 1, 'FAULTS': 1, 'RELAY_DIES': 1},
}

# What is broken, and the size in which it shows.
MISTAKES = {
    'BREAK_ANSWERED': 'pipelining',
    'BREAK_WRITTEN': 'pipelining',
    'BREAK_UNREAD': 'the same without a verdict',
    'BREAK_WRITTEN_LATE': 'pipelining',
    'BREAK_READ_ORDER': 'pipelining',
    'BREAK_PIPELINING': 'pipelining',
    'BREAK_AT_VERDICT': 'pipelining over two slots',
    'BREAK_PUSH_FIRST': 'two clients',
    'BREAK_DOWNSTREAM_FIRST': 'a death',
    'BREAK_TURN': 'a death while pipelining',
    'BREAK_GENERATION': 'impatience with two clients',
    'BREAK_READ_LATE': 'impatience with two clients',
    'BREAK_TAKEN': 'a death',
    'BREAK_TAKE_OVER': 'a death',
    'BREAK_KEEP': 'a death while pipelining',
    'BREAK_TOMBSTONE': 'a death',
    'BREAK_SHUT': 'the relay closes idle connections',
}

# An event, and the size in which it must be possible.
EVENTS = {
    'by_kernel == 6': 'pipelining',
    'by_kernel > 0 && by_relay > 0': 'pipelining',
    'by_kernel == 4': 'pipelining over two slots',
    'continued && by_kernel > 0 && by_relay > 0': 'pipelining',
    'taken_over && by_relay > 0': 'a death',
    'found': 'pipelining',
    'rebound && by_kernel > 0': 'impatience with two clients',
}

HEADERS = ('src/engine/engine-slot.h', 'src/engine/engine-downstream.h')
# What only reads or makes words; what comes after the death of a relay, with which the model ends; and who
# owns a downstream, which test-engine-slot-threads.c tries.
NOT_IN_MODEL = {'sm_slot_state', 'sm_slot_remaining', 'sm_slot_generation', 'sm_slot_connection',
                'sm_slot_word', 'sm_slot_move', 'sm_slot_next_turn', 'sm_slot_return', 'sm_slot_reset',
                'sm_downstream_state', 'sm_downstream_slot', 'sm_downstream_kernel', 'sm_downstream_owners',
                'sm_downstream_new', 'sm_downstream_adopt', 'sm_downstream_recover',
                'sm_downstream_release', 'sm_downstream_reset'}


def search(model, defines):
    """Everything that spin says, of the whole state space or up to the first error."""
    text = ''.join(f'#define {name} {value}\n' for name, value in defines.items()) + model.read_text()
    with tempfile.TemporaryDirectory(prefix='slicemesh-model-') as place:
        (pathlib.Path(place) / model.name).write_text(text, encoding='utf-8')
        spin = subprocess.run(['spin', '-a', model.name], cwd=place, capture_output=True, text=True,
                              check=True)
        subprocess.run(['gcc', '-O2', '-w', '-DSAFETY', '-DCOLLAPSE', f'-DMEMLIM={MEMORY}', '-o', 'pan',
                        'pan.c'], cwd=place, check=True)
        pan = subprocess.run(['./pan', '-n', '-m100000'], cwd=place, capture_output=True, text=True,
                             check=False, timeout=SECONDS)
    return spin.stdout + pan.stdout


def states(output):
    return int(re.search(r'(\d+) states, stored', output)[1])


def proven(output):
    """Nothing was found, and nothing was left out."""
    return ('errors: 0' in output and 'Search not completed' not in output and
            'max search depth too small' not in output)


def check(what, good, output):
    print(f'{"ok" if good else "NOT OK"}: {what}, {states(output)} states', flush=True)
    if not good:
        print(output)
    return good


def check_all(searches, good):
    """Of {what: (model, defines)}, two at a time; good() is given what spin says."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outputs = pool.map(lambda arguments: search(*arguments), searches.values())
        return all([check(what, good(output), output) for what, output in zip(searches, outputs)])


def proofs(folder):
    slot = folder / 'slot.pml'
    return check_all({**{size: (slot, defines) for size, defines in SIZES.items()},
                      'stack': (folder / 'stack.pml', {})}, proven)


def mistakes(folder):
    slot = folder / 'slot.pml'
    good = check_all({**{f'{mistake}, in "{size}"': (slot, {**SIZES[size], mistake: 1})
                         for mistake, size in MISTAKES.items()},
                      'BREAK_TAG': (folder / 'stack.pml', {'BREAK_TAG': 1})},
                     lambda output: 'assertion violated' in output)
    tried = {*MISTAKES, 'BREAK_TAG'}
    written = set(re.findall(r'\bBREAK_\w+', (folder / 'slot.pml').read_text() +
                             (folder / 'stack.pml').read_text()))
    if tried != written:
        print(f'not tried, or not there: {tried ^ written}')
    return good and tried == written


def events(folder):
    slot = folder / 'slot.pml'
    return check_all({f'{event}, in "{size}"': (slot, {**SIZES[size], 'REACH': event})
                      for event, size in EVENTS.items()},
                     lambda output: 'assertion violated  !(' in output)


def enumerators(text, name):
    body = re.search(rf'enum {name} \{{(.*?)\}};', text, re.DOTALL)[1]
    return re.findall(r'^\s*(SM_\w+),', body, re.MULTILINE)


def names(folder):
    top = folder.parent.parent
    model = (folder / 'slot.pml').read_text(encoding='utf-8')
    abi = ''.join((top / f'src/abi/abi-{name}.h').read_text(encoding='utf-8')
                  for name in ('slot', 'downstream'))
    wrong = []
    for prefix, enum in (('SM_SLOT', 'sm_slot_state'), ('SM_DOWNSTREAM', 'sm_downstream_state')):
        code = dict(zip(enumerators(abi, enum), range(99)))
        proof = {name: int(value) for name, value in re.findall(rf'^#define ({prefix}_\w+) (\d+)$', model,
                                                                re.MULTILINE)}
        wrong += [f'{enum}: {code} in the code, {proof} in the model'] if code != proof else []
    functions = set()
    for header in HEADERS:
        functions |= set(re.findall(r'^static inline [\w ]+?\*?(sm_(?:slot|downstream)_\w+)\(',
                                    (top / header).read_text(encoding='utf-8'), re.MULTILINE))
    inlines = set(re.findall(r'^inline (sm_\w+)\(', model, re.MULTILINE))
    if functions - NOT_IN_MODEL != inlines or NOT_IN_MODEL - functions:
        wrong.append(f'only in the code: {functions - NOT_IN_MODEL - inlines}; only in the model: '
                     f'{inlines - functions}; unknown: {NOT_IN_MODEL - functions}')
    print('\n'.join(wrong) or f'ok: {len(inlines)} transitions')
    return not wrong


if __name__ == '__main__':
    sys.exit(not globals()[sys.argv[1]](pathlib.Path(sys.argv[2]) / 'tests/model'))
