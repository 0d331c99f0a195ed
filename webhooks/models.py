"""The outbox of webhooks, which is also their log.

A row is inserted by the transaction that makes the change it tells of: no event is without its webhook, and no webhook
without its event. The rows of a queue are sent one after another, in the order of their keys.
"""

from functools import lru_cache
from hashlib import sha256
from typing import ClassVar
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models import Account
from campaigns.models import Campaign


class WebhookDelivery(models.Model):
    """One webhook for one address."""

    class Kind(models.TextChoices):
        CALL_STATUS = "call-status", "call status: an attempt has ended"
        CALL_SCHEDULE = "call-schedule", "call schedule: a number has ended, its retries included"
        CAMPAIGN_STATUS = "campaign-status", "campaign status: it has started or ended"

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DELIVERED = "delivered", "delivered"
        GIVEN_UP = "given-up", "given up"

    # The primary key is the order. It is drawn while the campaign is locked, so a campaign's events keep their order.
    webhook_id = models.UUIDField(
        "webhook ID",
        default=uuid7,
        unique=True,
        editable=False,
        help_text="The same in every try, so that a receiver can tell a repeat.",
    )
    # Neither is a foreign key of PostgreSQL, which asks for each row: the end of a large campaign adds half a million.
    # Triggers hold the campaign's, once a statement (decision 0039), and the campaign holds its account.
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="webhook_deliveries", db_index=False, db_constraint=False
    )
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="webhook_deliveries", db_index=False, db_constraint=False
    )
    kind = models.CharField(max_length=16, choices=Kind)
    url = models.CharField("address", max_length=2048)
    payload = models.JSONField()
    # Digests, as addresses are too long for an index. The server that is asked, for one account: its share of places.
    receiver = models.UUIDField(editable=False)
    # Campaign and address. The campaign's start is the first of a stream, and its end the last.
    stream = models.UUIDField(editable=False)
    # A number in the stream; for the campaign's start the stream itself. A queue sends one webhook at a time. Once it
    # is redelivered, a row is a stream and a queue of its own.
    queue = models.UUIDField(editable=False)
    created_at = models.DateTimeField()
    # The start of the time after which it is given up: its creation, or the last request to send it again.
    queued_at = models.DateTimeField()
    # While it is being sent: when the worker that sends it counts as dead.
    next_try_at = models.DateTimeField(null=True, help_text="Empty once it is delivered or given up.")
    # Set while a worker sends it.
    sending_until = models.DateTimeField(null=True, editable=False)
    # A try of it has failed, or of the one before it in its queue: the campaign's end waits for it only so long.
    has_failed = models.BooleanField(default=False, editable=False)
    tries = models.PositiveIntegerField(default=0, help_text="Tries begun since it was queued.")
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField("last HTTP status", null=True)
    last_error = models.CharField(max_length=255, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="webhook_is_pending_delivered_or_given_up",
                condition=Q(next_try_at__isnull=False, delivered_at=None, given_up_at=None)
                | Q(next_try_at=None, delivered_at__isnull=False, given_up_at=None)
                | Q(next_try_at=None, delivered_at=None, given_up_at__isnull=False),
            ),
            models.CheckConstraint(
                name="webhook_is_of_a_known_kind",
                condition=Q(kind__in=["call-status", "call-schedule", "campaign-status"]),
            ),
        ]
        indexes: ClassVar = [
            # Read by claims.claim, at each tick and after each delivery: what is due for a receiver, the older rows of
            # a queue and of a stream, and what is on its way.
            models.Index(
                fields=["receiver", "next_try_at", "id"], name="webhook_due", condition=Q(next_try_at__isnull=False)
            ),
            models.Index(fields=["queue", "id"], name="webhook_pending", condition=Q(next_try_at__isnull=False)),
            models.Index(
                fields=["stream", "has_failed", "id"], name="webhook_stream", condition=Q(next_try_at__isnull=False)
            ),
            models.Index(fields=["sending_until"], name="webhook_sending", condition=Q(sending_until__isnull=False)),
            # Read by the list of the API.
            models.Index(fields=["account", "id"], name="webhook_of_account"),
            # Read by the lists of one campaign.
            models.Index(fields=["campaign", "id"], name="webhook_of_campaign"),
            # Read by outbox.purge, once an hour.
            models.Index(fields=["created_at"], name="webhook_by_age", condition=Q(next_try_at=None)),
            # Counted by /metrics, and listed by the API and the admin.
            models.Index(fields=["given_up_at"], name="webhook_given_up", condition=Q(given_up_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.webhook_id.hex}"

    @property
    def state(self) -> "WebhookDelivery.State":
        if self.delivered_at:
            return self.State.DELIVERED
        return self.State.GIVEN_UP if self.given_up_at else self.State.PENDING

    @property
    def is_start(self) -> bool:
        """Whether it tells of a campaign's start, at its place before the webhooks of the numbers."""
        return self.kind == self.Kind.CAMPAIGN_STATUS and self.queue == self.stream


class WebhookTry(models.Model):
    """One POST of a webhook and its result. A try whose worker died has no row, and was repeated."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField(help_text="When the try began.")
    duration_ms = models.PositiveIntegerField("duration", help_text="Until the response or the error, in milliseconds.")
    http_status = models.PositiveSmallIntegerField("HTTP status", null=True)
    error = models.CharField(max_length=255, blank=True)
    response = models.TextField(blank=True, help_text="The beginning of the receiver's response.")

    class Meta:
        verbose_name_plural = "webhook tries"

    def __str__(self) -> str:
        return f"{self.http_status or self.error}"


def stream_of(campaign_id: UUID, url: str) -> UUID:
    """Return the stream of a campaign's webhooks to one address."""
    return uuid5(campaign_id, url)


def queue_of(stream: UUID, number: str) -> UUID:
    """Return the queue of a number in a stream, or of the campaign's end (`END`); START is that of the stream.

    `webhooks.call_schedules` makes the same of many numbers in SQL, where PostgreSQL has no uuid5.
    """
    return UUID(bytes=sha256(stream.bytes + number.encode()).digest()[:16]) if number else stream


# What stands in the place of the number for the campaign's own webhooks.
START, END = "", "end"


@lru_cache(maxsize=10_000)
def receiver_of(account_id: int, url: str) -> UUID:
    """Return the receiver of an address: the account's share of a host and port."""
    try:
        server = urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        server = url  # it can't be used, and fails by itself
    return uuid5(_RECEIVERS, f"{account_id} {server}")


_RECEIVERS = UUID("5d0c7c5e-1f0a-4c36-9a52-6f0d5b0c0f0e")
