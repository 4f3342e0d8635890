# SPDX-License-Identifier: LGPL-2.1-or-later
import pytest

from relay_lab import SANITIZED, Lab, Skipped
from relay_wire import Upstream


def pytest_configure(config):
    config.addinivalue_line("markers", "confined: of the relay as it is installed, without sanitizers")


def pytest_collection_modifyitems(items):
    """Not skipped, since nothing is missing: what sanitizers need contradicts what these tests are about."""
    if SANITIZED:
        items[:] = [item for item in items if not item.get_closest_marker("confined")]


def start(**options):
    try:
        return Lab(**options)
    except Skipped as e:
        pytest.skip(f"relay lab: {e}")


@pytest.fixture(scope="session")
def shared_labs():
    labs = []
    yield labs
    for each in labs:
        each.end()


@pytest.fixture
def lab(shared_labs):
    """One relay for the whole session, so that what a test leaves behind is met by the next ones. Where it
    ended, the test has failed; the others get a new one."""
    if not shared_labs or shared_labs[-1].relay.process.poll() is not None:
        shared_labs.append(start(workers=1))
    return shared_labs[-1]


@pytest.fixture
def own_lab():
    """Labs that the test may do anything to."""
    labs = []

    def make(**options):
        labs.append(start(**options))
        return labs[-1]

    yield make
    for each in labs:
        each.end()


@pytest.fixture
def services(lab):
    """Makes services in the shared lab; in the end nothing of them may still be counted as under way."""
    made = []

    def make(upstreams=1, policy="", **keywords):
        if isinstance(upstreams, int):
            upstreams = [Upstream() for _ in range(upstreams)]
        made.append(lab.service(upstreams, policy, **keywords))
        return made[-1]

    yield make
    lab.relay.check_alive()
    for each in made:
        each.finish()


@pytest.fixture
def service(services):
    return services()


@pytest.fixture
def upstream(service):
    return service.upstreams[0]
