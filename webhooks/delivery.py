"""Deliver what is due: many webhooks at once, one at a time in each queue."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from core import clocks, http_loop
from webhooks import claims, sender, tries
from webhooks.models import WebhookDelivery
from webhooks.tries import Result

# Webhooks that one task sends at once: more than one account may have on their way. A slow receiver takes some of these
# places, not a thread.
AT_ONCE = 100
# How long a task claims webhooks, in seconds; then it only waits for those that are being sent, because a worker that
# is told to stop waits for its tasks.
CLAIM_SECONDS = 5
# How often a task looks for what has become due for any receiver, in seconds: a look takes longer than a claim for the
# receivers that have just responded.
LOOK_SECONDS = 0.25


def deliver_due(hand_over: Callable[[], None] = lambda: None) -> None:
    """Deliver what is due, the next webhook of a queue as soon as its predecessor is accepted.

    hand_over: called when this task claims no more although there may be more to claim, while it waits for those that
    it sends.
    """
    until, look_at, is_handed_over = time.monotonic() + CLAIM_SECONDS, 0.0, False
    sending: dict[Future[Result], WebhookDelivery] = {}
    while True:
        done = _record_what_is_done(sending)
        now = time.monotonic()
        if now >= until:
            if not is_handed_over:
                hand_over()
            is_handed_over = True
        elif now >= look_at or not sending:
            _send(claims.claim(AT_ONCE - len(sending), clocks.now()), sending)
            look_at = time.monotonic() + LOOK_SECONDS
        elif done:
            receivers = list({delivery.receiver for delivery in done})
            _send(claims.claim(AT_ONCE - len(sending), clocks.now(), receivers), sending)
        if not sending:
            return
        wait(sending, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)


def _record_what_is_done(sending: "dict[Future[Result], WebhookDelivery]") -> list[WebhookDelivery]:
    done = [future for future in sending if future.done()]
    deliveries = []
    for future in done:
        delivery = sending.pop(future)
        tries.record(delivery, future.result(), clocks.now())
        deliveries.append(delivery)
    return deliveries


def _send(deliveries: list[WebhookDelivery], sending: "dict[Future[Result], WebhookDelivery]") -> None:
    sending |= {http_loop.submit(sender.send(delivery)): delivery for delivery in deliveries}
