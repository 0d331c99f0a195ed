"""Receivers of the signals that apps below the dialer send."""

from collections.abc import Iterable
from typing import Any

from django.dispatch import receiver

from campaigns.signals import work_due
from dialer.messages import enqueue_dispatch


@receiver(work_due)
def dispatch_at_once(account_ids: Iterable[int], **_: Any) -> None:
    """Enqueue a dispatch of these accounts, rather than wait for beat's next tick."""
    enqueue_dispatch(account_ids)
