"""The outbox: webhooks are added to it in the transaction of their event, sent again on request, and deleted when old.

How they are claimed: `webhooks.claims`; what becomes of a try: `webhooks.tries`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.audit import Actor, Verb
from campaigns.models import Campaign
from core import clocks, task_queue
from webhooks.models import WebhookDelivery, queue_of, receiver_of, stream_of

State = WebhookDelivery.State

DELIVER = "webhooks.deliver"  # the task, and the key under which its message is enqueued once

# Rows of one INSERT.
INSERT_ROWS = 1000
# Rows that are delivered or given up stay for later questions, as long as the carriers' events do.
MAX_AGE = timedelta(days=30)
PURGE_ROWS = 2_000


@dataclass(frozen=True)
class Webhook:
    """What to send to an address about a campaign. Of the campaign only its key and account_id are read.

    number: whose webhooks stay in their order; `START` or `END` for the campaign's own.
    """

    campaign: Campaign
    number: str
    kind: str
    url: str
    payload: dict[str, Any]


def add(webhooks: Iterable[Webhook]) -> None:
    """Store webhooks in the caller's transaction. Delivery begins, in this order, once that commits."""
    now = clocks.now()
    rows = (_row(webhook, now) for webhook in webhooks)
    has_rows = False
    while batch := list(islice(rows, INSERT_ROWS)):
        WebhookDelivery.objects.bulk_create(batch)
        has_rows = True
    if has_rows:
        transaction.on_commit(enqueue_delivery)


def _row(webhook: Webhook, now: datetime) -> WebhookDelivery:
    stream = stream_of(webhook.campaign.pk, webhook.url)
    return WebhookDelivery(
        account_id=webhook.campaign.account_id,
        campaign=webhook.campaign,
        kind=webhook.kind,
        url=webhook.url,
        payload=webhook.payload,
        receiver=receiver_of(webhook.campaign.account_id, webhook.url),
        stream=stream,
        queue=queue_of(stream, webhook.number),
        created_at=now,
        queued_at=now,
        next_try_at=now,
    )


def redeliver(deliveries: Sequence[WebhookDelivery], now: datetime, *, actor: Actor) -> int:
    """Send webhooks again under the same webhook id, so that a receiver can tell; return how many.

    A pending one keeps its place in its queue and is tried at once; one that is on its way is left alone. One that was
    delivered or given up gets a queue of its own: its turn has passed, and it must not hold up the events of now.
    """
    with transaction.atomic():
        rows = WebhookDelivery.objects.select_for_update(of=("self",)).select_related("account")
        rows = rows.filter(pk__in=[delivery.pk for delivery in deliveries])
        chosen = list(rows.order_by("pk"))
        for row in chosen:
            if row.next_try_at is None:
                row.queue = row.stream = row.webhook_id
                row.queued_at, row.tries, row.has_failed = now, 0, False
            row.delivered_at = row.given_up_at = None
            if row.sending_until is None or row.sending_until <= now:
                row.next_try_at, row.sending_until = now, None
        WebhookDelivery.objects.bulk_update(chosen, _REDELIVERED)
        audit.record(actor, Verb.REDELIVERED, *chosen, at=now)
        transaction.on_commit(enqueue_delivery)
    return len(chosen)


_REDELIVERED = [
    "stream",
    "queue",
    "queued_at",
    "tries",
    "has_failed",
    "delivered_at",
    "given_up_at",
    "next_try_at",
    "sending_until",
]


def purge(now: datetime) -> int:
    """Delete a batch of old rows that are delivered or given up; return how many."""
    old = WebhookDelivery.objects.filter(next_try_at=None, created_at__lt=now - MAX_AGE).order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:PURGE_ROWS])
    WebhookDelivery.objects.filter(pk__in=ids).delete()
    return len(ids)


def in_state(*states: str) -> Q:
    """Return the condition for rows in any of these states."""
    column = {State.PENDING: "next_try_at", State.DELIVERED: "delivered_at", State.GIVEN_UP: "given_up_at"}
    return Q.create([Q(**{f"{column[State(state)]}__isnull": False}) for state in states], Q.OR)


def enqueue_delivery() -> None:
    task_queue.enqueue_once(DELIVER, DELIVER)
