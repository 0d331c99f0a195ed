"""Calls over SIP trunks, and the gateway processes that make them. These rows are how dialer and gateways talk."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from campaigns.models import Outcome


class Gateway(models.Model):
    """One run of `manage.py sipgateway`. A process that is started again is another one."""

    id = models.UUIDField(primary_key=True, editable=False)
    address = models.CharField(max_length=64, help_text="Where it listens: host:port.")
    started_at = models.DateTimeField()
    at_work_since = models.DateTimeField(help_text="Since when it has said without a gap that it is at work.")
    beat_at = models.DateTimeField(help_text="When it last said so.")
    stopped_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.address} since {self.started_at:%Y-%m-%d %H:%M}"


class SipCall(models.Model):
    """One call: the job, and what has become of it. Its Call-ID is the attempt's id.

    `sipgateway.records` and `sipgateway.driver` write it; no row is ever queued a second time.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        INVITING = "inviting", "inviting: from here on a phone may ring"
        TRYING = "trying", "trying: the trunk has the call"
        RINGING = "ringing", "ringing"
        TALKING = "talking", "talking"
        SILENT = "silent", "silent: the trunk does not respond"
        ENDED = "ended", "ended"

    LIVE: ClassVar = (Status.INVITING, Status.TRYING, Status.RINGING, Status.TALKING, Status.SILENT)

    # No foreign keys: rows of attempts are locked by others, and a check would wait for them.
    attempt_id = models.UUIDField(primary_key=True, editable=False)
    leg_of = models.UUIDField(
        null=True,
        blank=True,
        help_text="The attempt whose flow rings the number; the key is then that of the transfer.",
    )
    gateway_id = models.UUIDField(null=True, blank=True)
    number = models.CharField(max_length=16)
    caller_id = models.CharField(max_length=16)
    ring_timeout = models.PositiveIntegerField(help_text="In seconds.")
    max_seconds = models.PositiveIntegerField(help_text="The longest conversation, in seconds.")
    ask_before = models.DateTimeField(help_text="No INVITE is sent after it.")
    status = models.CharField(max_length=16, choices=Status, default=Status.QUEUED, editable=False)
    created_at = models.DateTimeField()
    inviting_at = models.DateTimeField(null=True, blank=True)
    trying_at = models.DateTimeField(null=True, blank=True)
    ringing_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, blank=True)
    code = models.PositiveSmallIntegerField("SIP status", null=True, blank=True)
    reason = models.CharField(max_length=255, blank=True)
    digits = models.CharField(max_length=255, blank=True)
    # Where the callee is asked for the end of the call, for another gateway that has to end it.
    dialog = models.JSONField(null=True, blank=True)
    hung_up_at = models.DateTimeField(
        null=True, blank=True, help_text="When another gateway first sent the BYE of a call that a dead one had left."
    )
    is_taken = models.BooleanField(
        default=False, db_default=False, help_text="The dialer was told that the trunk has it: news goes to the inbox."
    )
    to_hang_up = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="sip_call_has_an_end_exactly_when_ended",
                condition=Q(status="ended", ended_at__isnull=False) & ~Q(outcome="")
                | ~Q(status="ended") & Q(ended_at=None, outcome=""),
            ),
            models.CheckConstraint(
                name="sip_call_that_is_live_has_a_gateway",
                condition=Q(status__in=["queued", "ended"]) | Q(gateway_id__isnull=False, inviting_at__isnull=False),
            ),
        ]
        indexes: ClassVar = [
            # Read by each gateway several times a second.
            models.Index(fields=["created_at"], name="sip_call_queued", condition=Q(status="queued")),
            models.Index(fields=["gateway_id"], name="sip_call_live", condition=~Q(status__in=["queued", "ended"])),
            # Read where old rows are deleted.
            models.Index(fields=["ended_at"], name="sip_call_ended", condition=Q(status="ended")),
        ]

    def __str__(self) -> str:
        return self.attempt_id.hex
