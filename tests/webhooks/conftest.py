from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.webhook_receiver import Receiver
from webhooks import delivery


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def private_allowed(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True


@pytest.fixture
def deliver(private_allowed: None) -> Callable[[], None]:
    """Deliver what is due, as a webhooks worker does at a tick."""
    return delivery.deliver_due
