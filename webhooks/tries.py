"""The tries of webhooks: claim those that are due, record the result of each try, and decide when the next one is.

Only the oldest pending row of a queue is ever claimed, and while it is being sent its `next_try_at` lies in the future.
So a queue sends one webhook at a time, and a worker that dies costs a repeat, never a loss.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction

from webhooks.models import WebhookDelivery, WebhookTry

log = structlog.get_logger(__name__)

# Seconds from a failed try to the next; the last wait repeats. Short at first, as most receivers are back within a
# minute; then long enough not to burden a receiver that is down for hours.
WAITS = (5, 30, 120, 600, 1800, 3600)
# The share of a wait that is added to it at random, at the most: the campaigns of one receiver must not retry in step.
JITTER = 0.2
# Seconds beyond the time limit of a try, in which its result is stored on a busy machine.
MARGIN_SECONDS = 15


@dataclass(frozen=True)
class Result:
    """The result of one try. error: a sentence, or "" when the receiver has accepted the webhook."""

    at: datetime
    seconds: float
    http_status: int | None = None
    error: str = ""
    response: str = ""


def claim(limit: int, now: datetime, queues: Sequence[UUID] | None = None) -> list[WebhookDelivery]:
    """Claim the oldest pending row of each queue that is due, of these queues or of all, at most `limit`.

    Their accounts are loaded. The caller has to send them and record the results.
    """
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


# Steps through the index from queue to queue, so the thousands of rows that wait behind a receiver that is down cost
# nothing.
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


def record(delivery: WebhookDelivery, result: Result, now: datetime) -> None:
    """Store the result of a claimed row's try, and when the next one is due.

    A success counts even when the claim has run out and another worker has claimed the row since. A failure does not:
    it says nothing of the try that the other worker makes.
    """
    rows = WebhookDelivery.objects.filter(pk=delivery.pk)
    last: dict[str, Any] = {"last_status": result.http_status, "last_error": result.error[:255]}
    with transaction.atomic():
        WebhookTry.objects.create(
            delivery=delivery,
            at=result.at,
            duration_ms=round(result.seconds * 1000),
            http_status=result.http_status,
            error=result.error[:255],
            response=result.response,
        )
        if not result.error:
            rows.filter(delivered_at=None).update(next_try_at=None, delivered_at=now, given_up_at=None, **last)
            return
        next_try_at = _next_try_at(delivery, now)
        outcome = {"next_try_at": next_try_at} if next_try_at else {"next_try_at": None, "given_up_at": now}
        is_still_ours = rows.filter(next_try_at=delivery.next_try_at).update(**outcome, **last)
    fields = {"campaign": delivery.campaign_id.hex, "webhook": delivery.webhook_id.hex, **last}
    if is_still_ours and not next_try_at:
        log.error("webhook_given_up", **fields)
    else:
        log.info("webhook_try_failed", **fields)


def _next_try_at(delivery: WebhookDelivery, now: datetime) -> datetime | None:
    """Return when to try again, or None to give up. delivery.tries counts from 1."""
    wait = WAITS[min(delivery.tries, len(WAITS)) - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 -- not a secret
    moment = now + timedelta(seconds=wait)
    return moment if moment <= delivery.queued_at + timedelta(seconds=settings.WEBHOOK_GIVE_UP_SECONDS) else None


def due_since(now: datetime) -> datetime | None:
    """Return since when the webhook has been due that has waited longest for a try; None when none is due.

    A webhook that waits behind another of its queue, or for its next try, is not due.
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
