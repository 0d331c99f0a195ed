"""One whole Trunkline of its own for the acceptance tests: real processes, real HTTP, the sandbox carrier."""

import pytest

from scripts.stack import running


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """A campaign's retry waits are minutes: here a minute lasts two seconds."""
    with running(tmp_path_factory.mktemp("stack") / "data", {"RETRY_MINUTE_SECONDS": "2"}) as up:
        yield up
