"""The calls of campaigns and the history of their states. `campaigns.call_states` is the only writer of both."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from campaigns.models.campaign import Campaign
from contacts.models import E164
from core.state_machine import History


class Outcome(models.TextChoices):
    """How an attempt ended. A canceled one was given back before any phone rang, and does not count."""

    COMPLETED = "completed", "completed"
    BUSY = "busy", "busy"
    NO_ANSWER = "no-answer", "no-answer"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


class Call(models.Model):
    """One person to reach in one campaign, over as many attempts as the retry policy allows."""

    class Status(models.TextChoices):
        CREATED = "created", "created"
        IN_PROGRESS = "in-progress", "in progress"
        RETRYING = "retrying", "waiting for a retry"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    ENDED: ClassVar = (Status.COMPLETED, Status.FAILED, Status.CANCELED)

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="calls", db_index=False)
    number = models.CharField(max_length=16, validators=[E164])
    name = models.CharField(max_length=255, blank=True, default="", db_default="")
    variables = models.JSONField(
        null=True, blank=True, help_text="Of a dynamic campaign: the values of this call's row, by column."
    )
    status = models.CharField(
        max_length=16, choices=Status, default=Status.CREATED, db_default=Status.CREATED, editable=False
    )
    attempts_made = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Attempts that counted: all but those that were given back."
    )
    last_outcome = models.CharField(max_length=16, choices=Outcome, blank=True, default="", db_default="")
    # Whether a carrier ever took an attempt. A campaign without a single placed call has failed.
    was_placed = models.BooleanField(default=False, db_default=False)
    http_status = models.PositiveSmallIntegerField(
        "HTTP status", null=True, blank=True, help_text="Of the carrier's last response that refused the call."
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="When the retry is due, or until when a rule holds the call."
    )
    # A code of dialer.number_gate. A call under way may have one of campaigns.removal: then no retry follows. It keeps
    # that one if somebody answers: nobody who was taken out is called again.
    rule = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="The rule for its number that holds the call or ended it. Up or answered: that it was taken out.",
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    # Of a call under way: why it gets no retry, where it has such a rule.
    end_reason = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="Why the call ended as it did."
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="call_has_an_end_exactly_when_ended",
                condition=Q(status__in=["created", "in-progress", "retrying"], ended_at=None)
                | Q(status__in=["completed", "failed", "canceled"], ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="call_waiting_for_a_retry_knows_when",
                condition=Q(status="retrying", next_attempt_at__isnull=False)
                | Q(status="created")
                | (~Q(status="retrying") & Q(next_attempt_at=None)),
            ),
            models.CheckConstraint(
                name="call_not_attempted_waits_for_a_rule_only",
                condition=~Q(status="created")
                | Q(next_attempt_at=None, rule="")
                | (Q(next_attempt_at__isnull=False) & ~Q(rule="")),
            ),
            models.CheckConstraint(
                name="call_created_was_never_attempted", condition=~Q(status="created") | Q(attempts_made=0)
            ),
            models.CheckConstraint(
                name="call_canceled_after_attempts_was_taken_out",
                condition=~Q(status="canceled") | Q(attempts_made=0) | Q(rule__in=["taken-out", "contact-deleted"]),
            ),
            models.CheckConstraint(
                name="call_completed_was_answered", condition=~Q(status="completed") | Q(last_outcome="completed")
            ),
        ]
        indexes: ClassVar = [
            # Read by dialer.dispatch (first tries, retries due, calls up) and by the tick that ends campaigns.
            models.Index(
                fields=["campaign", "status", "next_attempt_at", "id"],
                name="call_open",
                condition=Q(status__in=["created", "in-progress", "retrying"]),
            ),
            # Read by the diagnosis, and where rules change: what each rule holds. No other call has an entry.
            models.Index(
                fields=["campaign", "rule", "next_attempt_at"],
                name="call_held",
                condition=~Q(rule="") & Q(next_attempt_at__isnull=False),
            ),
            # Read by call details and the diagnosis: numbers that a rule kept from ever being dialed.
            models.Index(
                fields=["campaign", "ended_at", "id"],
                name="call_never_dialed",
                condition=Q(status__in=["failed", "canceled"], attempts_made=0) & ~Q(rule=""),
            ),
            # Read by the report, and by retention.deletion, in the order of ids.
            models.Index(fields=["campaign", "id"], name="call_of_campaign"),
            # Read by the admin's search for a number, and by the diagnosis of one.
            models.Index(fields=["number"], name="call_by_number"),
        ]

    def __str__(self) -> str:
        return self.number


class CallHistory(History):
    # No constraint: the statement that moves the call writes the row, and a check would add a tenth to its cost.
    subject = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="history", db_constraint=False)

    class Meta:
        verbose_name_plural = "call history"
