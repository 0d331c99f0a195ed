"""One whole Trunkline of its own for the acceptance tests: real processes, real HTTP, the sandbox carrier."""

import pytest

from tools.stack import running


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    """A campaign's retry waits are minutes: here a minute lasts two seconds. Webhooks go to loopback."""
    settings = {"RETRY_MINUTE_SECONDS": "2", "WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "True"}
    with running(tmp_path_factory.mktemp("stack") / "data", settings) as up:
        yield up
