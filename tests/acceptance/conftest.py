"""A whole Trunkline that the acceptance tests share: real processes, real HTTP, the sandbox carrier. And a browser."""

import pytest

from tests.acceptance.browser import chromium
from tests.acceptance.commands import StackWithCommands
from tools.stack import running


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    """Start the system. The minutes of a retry wait last two seconds each, and webhooks may go to loopback."""
    settings = {"RETRY_MINUTE_SECONDS": "2", "WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "True"}
    with running(tmp_path_factory.mktemp("stack") / "data", settings, StackWithCommands) as up:
        yield up


@pytest.fixture(scope="package")
def browser(of_migrated_data):
    """Start a browser, after what asks the tests' database: Django does not, while Playwright's event loop runs."""
    with chromium() as started:
        yield started
