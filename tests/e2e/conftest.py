# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / 'tools')]

import pytest  # noqa: E402

import kernel_log  # noqa: E402
import mesh as mesh_module  # noqa: E402
import modes  # noqa: E402

CLIENTS = HERE / 'clients'
PROGRAMS = mesh_module.BUILD / 'tests/e2e-programs'


def build(source, target, *command, **environment):
    """Compiled on the host, before anything boots over it."""
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, env={**os.environ, **environment}, cwd=PROGRAMS)


@pytest.fixture(scope='session')
def programs():
    """{name: command line} of the clients that do rounds, see clients/client.py."""
    build(CLIENTS / 'client.go', PROGRAMS / 'client',
          'go', 'build', '-o', PROGRAMS / 'client', CLIENTS / 'client.go',
          GOFLAGS='-mod=mod', GOPROXY='off', CGO_ENABLED='0', GOCACHE=str(PROGRAMS / 'go-cache'))
    build(CLIENTS / 'Client.java', PROGRAMS / 'Client.class',
          'javac', '-d', PROGRAMS, CLIENTS / 'Client.java')
    java = ['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', PROGRAMS, 'Client']
    python = [mesh_module.PYTHON, '-B', CLIENTS / 'client.py']
    return {
        'python-http.client': [*python, 'http.client'],
        'python-requests': [*python, 'requests'],
        'python-asyncio': [*python, 'asyncio'],
        'node-agent': ['node', CLIENTS / 'client.js', 'agent'],
        'node-fetch': ['node', CLIENTS / 'client.js', 'fetch'],
        'java-HttpURLConnection': [*java, 'HttpURLConnection'],
        'java-HttpClient': [*java, 'HttpClient'],
        'go': [PROGRAMS / 'client', 'rounds'],
    }


@pytest.fixture(scope='session')
def load(programs):
    return [PROGRAMS / 'client', 'load']


@pytest.fixture(scope='session', autouse=True)
def no_kernel_warning():
    with kernel_log.no_warning():
        yield


@pytest.fixture(scope='session')
def hashes():
    """What the clients' last argument says: "F=SHA-256,..." """
    return ','.join(f'{name}={hashlib.sha256(mesh_module.content(name)).hexdigest()}'
                    for name in mesh_module.FILES)


@pytest.fixture(scope='module')
def mesh(request):
    """The module's sandbox: its POLICY; its SLICES and SERVERS, (kind, name, address[, slice]), started."""
    with mesh_module.Mesh(request.module.POLICY) as booted:
        for name in getattr(request.module, 'SLICES', ['shop.slice']):
            booted.manage(name)
        for kind, name, address, *slice_ in getattr(request.module, 'SERVERS', []):
            getattr(booted, f'start_{kind}')(name, address, **({'slice_': slice_[0]} if slice_ else {}))
        yield booted
        if not getattr(request.module, 'OWN_MODE', False):
            modes.prove(booted)
