"""Deliver what is due: many webhooks at once, one at a time in each queue."""

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from uuid import UUID

from django.utils import timezone

from core import http_loop
from webhooks import sender, tries
from webhooks.models import WebhookDelivery
from webhooks.tries import Result

# Webhooks that one task sends at once. A slow receiver takes one of these places, not a thread.
AT_ONCE = 50
# How long a task claims webhooks, in seconds; then it only waits for those that are being sent, because a worker that
# is told to stop waits for its tasks.
CLAIM_SECONDS = 5
# How often a task looks for what has become due meanwhile, in seconds: as often as beat ticks.
LOOK_SECONDS = 1


def deliver_due() -> bool:
    """Deliver what is due, the next webhook of a queue as soon as its predecessor is accepted.

    Returns:
        Whether more may be due.
    """
    until, look_at = time.monotonic() + CLAIM_SECONDS, 0.0
    sending: dict[Future[Result], WebhookDelivery] = {}
    freed_queues: list[UUID] = []
    while (may_claim := time.monotonic() < until) or sending:
        if may_claim and freed_queues:
            _send(tries.claim(AT_ONCE - len(sending), timezone.now(), freed_queues), sending)
        # A look through all queues takes longer the more there are, so it is not made for each webhook that is done.
        if may_claim and (len(sending) <= AT_ONCE // 2 or time.monotonic() >= look_at):
            _send(tries.claim(AT_ONCE - len(sending), timezone.now()), sending)
            look_at = time.monotonic() + LOOK_SECONDS
        if not sending:
            return False
        done, _ = wait(sending, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        freed_queues = [sending[future].queue for future in done]
        for future in done:
            tries.record(sending.pop(future), future.result(), timezone.now())
    return True


def _send(deliveries: list[WebhookDelivery], sending: "dict[Future[Result], WebhookDelivery]") -> None:
    sending |= {http_loop.submit(sender.send(delivery)): delivery for delivery in deliveries}
