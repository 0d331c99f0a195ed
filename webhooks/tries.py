"""Record the results of tries, and decide whether and when a webhook is tried again.

While a webhook is being sent its `next_try_at` lies in the future (`webhooks.claims`), so a worker that dies costs a
repeat, never a loss.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

from webhooks.models import END, WebhookDelivery, WebhookTry, queue_of

log = structlog.get_logger(__name__)

# Seconds from a failed try to the next; the last wait repeats. Short at first, as most receivers are back within a
# minute; then long enough not to burden a receiver that is down for hours.
WAITS = (5, 30, 120, 600, 1800, 3600)
# The share of a wait that is added to it at random, at the most: the campaigns of one receiver must not retry in step.
JITTER = 0.2
# What a receiver may ask for with Retry-After, in seconds: not to be asked again at once, nor to be forgotten.
RETRY_AFTER = (1, 3600)
# Responses that mean "not now": 408 Request Timeout, 425 Too Early, 429 Too Many Requests. Any other redirect or client
# error says that this webhook is not wanted, and stays so however often it is sent.
NOT_NOW = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Result:
    """The result of one try.

    error: a sentence, or "" when the receiver has accepted the webhook.
    retry_after: the seconds that the receiver asks to wait.
    """

    at: datetime
    seconds: float
    http_status: int | None = None
    error: str = ""
    response: str = ""
    retry_after: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether the receiver has refused this webhook for good."""
        status = self.http_status
        return bool(self.error) and status is not None and 300 <= status < 500 and status not in NOT_NOW


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
            done = {"next_try_at": None, "sending_until": None, "delivered_at": now, "given_up_at": None}
            if rows.filter(delivered_at=None).update(**done, **last):
                _wake_those_behind(delivery, now)
            return
        next_try_at = _next_try_at(delivery, result, now)
        outcome = {"next_try_at": next_try_at} if next_try_at else {"next_try_at": None, "given_up_at": now}
        ours = rows.filter(next_try_at=delivery.next_try_at)
        is_still_ours = ours.update(**outcome, sending_until=None, has_failed=True, **last)
        if is_still_ours and (delivery.is_start or not next_try_at):
            _wake_those_behind(delivery, now)
    fields = {"campaign": delivery.campaign_id.hex, "webhook": delivery.webhook_id.hex, **last}
    if is_still_ours and not next_try_at:
        log.error("webhook_given_up", **fields)
    else:
        log.info("webhook_try_failed", **fields)


def _next_try_at(delivery: WebhookDelivery, result: Result, now: datetime) -> datetime | None:
    """Return when to try again, or None to give up. delivery.tries counts from 1."""
    if result.is_final:
        return None
    wait: float = WAITS[min(delivery.tries, len(WAITS)) - 1]
    if result.retry_after is not None:
        wait = min(max(result.retry_after, RETRY_AFTER[0]), RETRY_AFTER[1])
    moment = now + timedelta(seconds=wait * random.uniform(1, 1 + JITTER))  # noqa: S311 -- not a secret
    return moment if moment <= delivery.queued_at + timedelta(seconds=settings.WEBHOOK_GIVE_UP_SECONDS) else None


def _wake_those_behind(delivery: WebhookDelivery, now: datetime) -> None:
    """Make those due that have waited for a webhook's try: claims have put them off.

    A moment of their own tells a claim that is looking at them that they no longer wait.
    """
    waiting = WebhookDelivery.objects.filter(next_try_at__isnull=False, tries=0, pk__gt=delivery.pk)
    if delivery.is_start:
        waiting.filter(stream=delivery.stream).update(next_try_at=now)
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE webhooks_webhookdelivery SET next_try_at = %(now)s, has_failed = FALSE WHERE tries = 0 AND id IN (
                (
                    SELECT following.id FROM webhooks_webhookdelivery AS following
                    WHERE following.next_try_at IS NOT NULL AND following.queue = %(queue)s AND following.id > %(id)s
                    ORDER BY following.id LIMIT 1
                )
                UNION ALL
                SELECT last.id FROM webhooks_webhookdelivery AS last
                WHERE last.next_try_at IS NOT NULL AND last.queue = %(end)s AND NOT EXISTS (
                    SELECT FROM webhooks_webhookdelivery AS older
                    WHERE older.next_try_at IS NOT NULL AND older.stream = %(stream)s AND older.id < last.id
                )
            )
            """,
            {
                "now": now,
                "id": delivery.pk,
                "queue": delivery.queue,
                "stream": delivery.stream,
                "end": queue_of(delivery.stream, END),
            },
        )
