"""The rows of the outbox: added with their event, claimed for a try, and what became of it.

Only the oldest pending row of a queue is ever claimed, and while it is on its way its `next_try_at` lies in the future:
so a queue has one webhook on its way, and a sender that dies costs a repeat, never a loss.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from campaigns.models import Campaign
from core import task_queue
from webhooks.models import WebhookDelivery, WebhookTry, queue_of

log = structlog.get_logger(__name__)

State = WebhookDelivery.State

# Rows of one INSERT. A campaign that is stopped may tell of half a million numbers.
WRITTEN_AT_ONCE = 1000

BELL = "webhooks"
TASK = "webhooks.deliver"

# Seconds from a failed try to the next; the last one again and again. Quick at first, as most receivers are back within
# a minute; then as rare as a receiver that is down for hours can be bothered.
WAITS = (5, 30, 120, 600, 1800, 3600)
# So much is added to each at random, so that the campaigns of one receiver do not come back in step.
JITTER = 0.2
# Beyond the time limit of a try, in seconds: to store what came of it, on a busy machine.
MARGIN_SECONDS = 15
# Done rows are kept for questions asked later, as the carriers' events are.
KEPT = timedelta(days=30)
PURGE_BATCH = 10_000


@dataclass(frozen=True)
class Webhook:
    """Something to tell an address; campaign comes with its account_id."""

    campaign: Campaign
    kind: str
    url: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came of a try. error: a sentence, or "" where the receiver has taken the webhook."""

    at: datetime
    seconds: float
    http_status: int | None = None
    error: str = ""
    response: str = ""


def add(webhooks: Iterable[Webhook]) -> None:
    """Store webhooks in the caller's transaction, WRITTEN_AT_ONCE in a statement; they go out in this order.

    Deliveries start once the transaction commits.
    """
    now = timezone.now()
    rows = (_row(webhook, now) for webhook in webhooks)
    any_written = False
    while batch := list(islice(rows, WRITTEN_AT_ONCE)):
        WebhookDelivery.objects.bulk_create(batch)
        any_written = True
    if any_written:
        transaction.on_commit(_enqueue)


def _row(webhook: Webhook, now: datetime) -> WebhookDelivery:
    return WebhookDelivery(
        account_id=webhook.campaign.account_id,
        campaign=webhook.campaign,
        kind=webhook.kind,
        url=webhook.url,
        payload=webhook.payload,
        queue=queue_of(webhook.campaign.pk, webhook.url),
        created_at=now,
        queued_at=now,
        next_try_at=now,
    )


def claim(limit: int, now: datetime, queues: Sequence[UUID] | None = None) -> list[WebhookDelivery]:
    """The oldest pending row of each queue (of these, or of all) that is due; the caller has to make the try."""
    heads = _HEADS if queues is None else _HEADS_OF_QUEUES
    until = now + timedelta(seconds=settings.WEBHOOK_TIMEOUT_SECONDS + MARGIN_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            {heads},
            due AS MATERIALIZED (
                SELECT row.id FROM webhooks_webhookdelivery AS row JOIN head ON head.id = row.id
                WHERE row.next_try_at <= %(now)s
                ORDER BY row.next_try_at, row.id LIMIT %(limit)s FOR UPDATE OF row SKIP LOCKED
            )
            UPDATE webhooks_webhookdelivery AS row SET next_try_at = %(until)s, tries = row.tries + 1
            FROM due WHERE row.id = due.id RETURNING row.id
            """,  # noqa: S608 -- made of constants; every value is a parameter
            {"now": now, "limit": limit, "until": until, "queues": list(queues or ())},
        )
        ids = [row[0] for row in cursor.fetchall()]
    return list(WebhookDelivery.objects.filter(pk__in=ids).select_related("account").order_by("pk")) if ids else []


# All queues are walked through the index, one step for each, so that the thousands that wait behind a receiver which is
# down cost nothing.
_HEADS = """
    WITH RECURSIVE head AS (
        (SELECT queue, id FROM webhooks_webhookdelivery WHERE next_try_at IS NOT NULL ORDER BY queue, id LIMIT 1)
        UNION ALL
        SELECT following.queue, following.id FROM head, LATERAL (
            SELECT queue, id FROM webhooks_webhookdelivery
            WHERE next_try_at IS NOT NULL AND queue > head.queue ORDER BY queue, id LIMIT 1
        ) AS following
    )
"""
_HEADS_OF_QUEUES = """
    WITH head AS (
        SELECT (
            SELECT id FROM webhooks_webhookdelivery
            WHERE next_try_at IS NOT NULL AND queue = wanted.queue ORDER BY id LIMIT 1
        ) AS id FROM unnest(%(queues)s::uuid[]) AS wanted(queue)
    )
"""


def note(delivery: WebhookDelivery, answer: Answer, now: datetime) -> None:
    """Stores what came of a claimed row's try, and when the next one is due.

    A delivery is a fact, whenever it is told. A failure counts only while the claim is ours: one that is told late says
    nothing of the try that somebody else has begun meanwhile.
    """
    rows = WebhookDelivery.objects.filter(pk=delivery.pk)
    told: dict[str, Any] = {"last_status": answer.http_status, "last_error": answer.error[:255]}
    with transaction.atomic():
        WebhookTry.objects.create(
            delivery=delivery,
            at=answer.at,
            duration_ms=round(answer.seconds * 1000),
            http_status=answer.http_status,
            error=answer.error[:255],
            response=answer.response,
        )
        if not answer.error:
            rows.filter(delivered_at=None).update(next_try_at=None, delivered_at=now, given_up_at=None, **told)
            return
        next_try_at = _next_try_at(delivery, now)
        fate = {"next_try_at": next_try_at} if next_try_at else {"next_try_at": None, "given_up_at": now}
        ours = rows.filter(next_try_at=delivery.next_try_at).update(**fate, **told)
    if ours and not next_try_at:
        log.error("webhook_given_up", campaign=delivery.campaign_id.hex, webhook=delivery.webhook_id.hex, **told)
    else:
        log.info("webhook_not_taken", campaign=delivery.campaign_id.hex, webhook=delivery.webhook_id.hex, **told)


def _next_try_at(delivery: WebhookDelivery, now: datetime) -> datetime | None:
    """The moment of the next try, or None to give up. delivery.tries counts from 1."""
    wait = WAITS[min(delivery.tries, len(WAITS)) - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 -- not a secret
    moment = now + timedelta(seconds=wait)
    return moment if moment <= delivery.queued_at + timedelta(seconds=settings.WEBHOOK_GIVE_UP_SECONDS) else None


def in_state(*states: str) -> Q:
    """The rows in any of these states."""
    column = {State.PENDING: "next_try_at", State.DELIVERED: "delivered_at", State.GIVEN_UP: "given_up_at"}
    return Q.create([Q(**{f"{column[State(state)]}__isnull": False}) for state in states], Q.OR)


def redeliver(deliveries: Sequence[WebhookDelivery], now: datetime) -> int:
    """Sends them again, under the same webhook id, so that a receiver can tell; answers how many.

    One that is pending keeps its place in its queue and is tried at once. One that was delivered or given up goes out
    by itself: its turn has passed, and it must not hold up what is happening now.
    """
    with transaction.atomic():
        rows = WebhookDelivery.objects.select_for_update().filter(pk__in=[each.pk for each in deliveries])
        chosen = list(rows.order_by("pk"))
        for row in chosen:
            if row.next_try_at is None:
                row.queue = row.webhook_id
                row.queued_at, row.tries = now, 0
            row.delivered_at = row.given_up_at = None
            row.next_try_at = now
        WebhookDelivery.objects.bulk_update(
            chosen, ["queue", "queued_at", "tries", "delivered_at", "given_up_at", "next_try_at"]
        )
        transaction.on_commit(_enqueue)
    return len(chosen)


def due_since(now: datetime) -> datetime | None:
    """Since when the webhook has been due that waits longest for a try; None where none does.

    One that waits behind another of its queue, or for its next try, is not due.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            {_HEADS}
            SELECT min(row.next_try_at) FROM webhooks_webhookdelivery AS row JOIN head ON head.id = row.id
            WHERE row.next_try_at <= %(now)s
            """,  # noqa: S608 -- made of constants; every value is a parameter
            {"now": now},
        )
        row: tuple[datetime | None] = cursor.fetchone()
        return row[0]


def purge(now: datetime) -> int:
    """Deletes a batch of rows that were done with long ago; answers how many."""
    old = WebhookDelivery.objects.filter(next_try_at=None, created_at__lt=now - KEPT).order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:PURGE_BATCH])
    WebhookDelivery.objects.filter(pk__in=ids).delete()
    return len(ids)


def _enqueue() -> None:
    task_queue.enqueue_once(BELL, TASK)
