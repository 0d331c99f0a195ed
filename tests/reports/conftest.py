from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reports import webhook_delivery
from tests.webhook_receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def private_allowed(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True


@pytest.fixture
def deliver(private_allowed: None) -> Callable[[], bool]:
    """What the notifier does at a tick."""
    return webhook_delivery.deliver_due
