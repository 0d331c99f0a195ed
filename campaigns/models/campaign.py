"""Campaigns and the history of their states. `campaigns.campaign_states` is the only writer of both."""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounts import calling_rules
from accounts.models import LONGEST_RING, SHORTEST_RING, Account, CallerId
from campaigns.models.flow import Flow
from core.state_machine import History

MAX_RETRIES = 3
MAX_INTERVAL_MINS = 30 * 24 * 60  # no campaign lasts longer than 30 days by default, so no wait needs to
MAX_STATIC_LISTS = 5
# A flow reads a prompt at most ten times (flow.schema.json): once, and then the repeats.
MAX_REPEATS = 9


class Campaign(models.Model):
    """A set of people to reach by phone, on a schedule, with one flow, one caller ID and one retry policy."""

    class Status(models.TextChoices):
        CREATED = "created", "created"
        IN_PROGRESS = "in-progress", "in progress"
        PAUSED = "paused", "paused"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"
        DELETED = "deleted", "deleted"
        ARCHIVED = "archived", "archived"

    class Mechanism(models.TextChoices):
        LINEAR = "linear", "linear"
        EXPONENTIAL = "exponential", "exponential"

    class Mode(models.TextChoices):
        AUTO = "auto", "auto: a fair share of the account's channels and starts"
        CUSTOM = "custom", "custom: at most so many starts a minute"

    class Type(models.TextChoices):
        STATIC = "static", "static: everybody hears the same"
        DYNAMIC = "dynamic", "dynamic: each call has the values of its row in the list"

    class FlowType(models.TextChoices):
        IVR = "ivr", "ivr: read the text and wait for a key"
        GREETING = "greeting", "greeting: read the text"

    class MachineDetection(models.TextChoices):
        OFF = "off", "off: nobody listens for machines"
        HANG_UP = "hang-up", "hang up on a machine"
        LEAVE_MESSAGE = "leave-message", "leave a message: what the flow has for machines, or the text"
        AS_A_PERSON = "as-a-person", "treat a machine as a person, and note it"

    OPEN: ClassVar = (Status.CREATED, Status.IN_PROGRESS, Status.PAUSED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="campaigns")
    name = models.CharField(max_length=255)
    caller_id = models.ForeignKey(CallerId, on_delete=models.PROTECT, related_name="campaigns")
    caller_id_given = models.CharField(
        "caller ID as given", max_length=32, help_text="The API returns the spelling that it was given."
    )
    type = models.CharField(max_length=8, choices=Type, default=Type.STATIC)
    # Not a foreign key: responses name the lists that a campaign was made from even after they were deleted.
    list_ids = ArrayField(models.UUIDField(), default=list, blank=True, help_text="The lists that its calls are from.")
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="campaigns", null=True, blank=True)
    flow_url = models.CharField(
        "flow address", max_length=2048, blank=True, help_text="As given; its last segment is the flow ID."
    )
    # Read instead of running a flow: see spoken_text.
    flow_type = models.CharField(max_length=8, choices=FlowType, blank=True)
    text = models.TextField("text to read", blank=True)
    repeat_menu_attempts = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(MAX_REPEATS)]
    )
    call_duplicate_numbers = models.BooleanField(default=False)
    # Of a campaign that calls some people of another one again. Without a constraint: the other may be purged.
    parent = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="children",
        editable=False,
    )
    again = models.JSONField(
        null=True, blank=True, editable=False, help_text="Whom of its parent it calls: see campaigns.called_again."
    )

    number_of_retries = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(MAX_RETRIES)])
    retry_interval_mins = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL_MINS)]
    )
    retry_mechanism = models.CharField(max_length=16, choices=Mechanism, default=Mechanism.LINEAR)
    retry_on_status = ArrayField(models.CharField(max_length=16), default=list, blank=True)

    mode = models.CharField(max_length=8, choices=Mode, default=Mode.AUTO)
    throttle = models.PositiveIntegerField(null=True, blank=True, help_text="Call starts a minute, with mode custom.")

    ring_timeout = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(SHORTEST_RING), MaxValueValidator(LONGEST_RING)],
        help_text="Seconds for which a phone rings; empty: as the account says.",
    )
    # Beside those of its account.
    rules = ArrayField(
        models.CharField(max_length=32, validators=[calling_rules.validate_name]),
        default=list,
        db_default=[],
        blank=True,
        help_text="Rule sets for the people who are called, beside those of the account.",
    )
    waived_rules = ArrayField(
        models.CharField(max_length=32),
        default=list,
        db_default=[],
        blank=True,
        editable=False,
        help_text="Rule sets of the account that an operator took away from this campaign.",
    )
    waived_because = models.CharField(max_length=255, blank=True, default="", db_default="", editable=False)

    machine_detection = models.CharField(
        max_length=16, choices=MachineDetection, default=MachineDetection.OFF, db_default=MachineDetection.OFF.value
    )

    send_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, blank=True, help_text="As asked for; empty: 30 days after the start.")
    expires_at = models.DateTimeField(help_text="No attempt starts from this moment on.")

    call_status_callback = models.URLField(max_length=2048, blank=True)
    call_schedule_callback = models.URLField(max_length=2048, blank=True)
    status_callback = models.URLField(max_length=2048, blank=True)

    status = models.CharField(max_length=16, choices=Status, default=Status.CREATED, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The end has come, or a person has ended it, and calls that wait are being ended: `campaigns.ending`.
    is_ending = models.BooleanField(default=False, db_default=False, editable=False)
    # Calls are still being made from its lists, and it can't start before: `campaigns.loading`.
    is_loading = models.BooleanField(default=False, db_default=False, editable=False)
    # While it is loading: lists that were taken, the last entry that was taken of the next one, and the last entry that
    # the lists had when it was made.
    lists_taken = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    entry_taken = models.BigIntegerField(default=0, db_default=0, editable=False)
    entries_until = models.BigIntegerField(default=0, db_default=0, editable=False)
    calls_expected = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="While it is loading: the entries of its lists."
    )
    loaded_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Its rows are being deleted: `retention.purge`. It does not exist for people any more.
    is_purging = models.BooleanField(default=False, db_default=False, editable=False)
    failure_http_status = models.PositiveSmallIntegerField(
        "HTTP status of the failure", null=True, blank=True, editable=False
    )
    # While it runs, no call of it can be dialed before this moment; empty: look. `campaigns.idle` writes it.
    idle_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="campaign_has_an_end_exactly_when_ended",
                condition=Q(status__in=["created", "in-progress", "paused"], ended_at=None)
                | (Q(ended_at__isnull=False) & ~Q(status__in=["created", "in-progress", "paused"])),
            ),
            models.CheckConstraint(
                name="campaign_in_progress_has_started",
                condition=~Q(status="in-progress") | Q(started_at__isnull=False),
            ),
            models.CheckConstraint(
                name="campaign_not_started_stays_so",
                condition=~Q(status__in=["created", "deleted"]) | Q(started_at=None),
            ),
            models.CheckConstraint(
                name="campaign_is_ending_by_time_or_on_request",
                condition=Q(is_ending=False) | ~Q(status__in=["canceled", "archived"]),
            ),
            models.CheckConstraint(
                name="campaign_is_loading_before_its_start",
                condition=Q(is_loading=False) | Q(status__in=["created", "paused"], started_at=None, is_ending=False),
            ),
            models.CheckConstraint(
                name="campaign_is_purged_after_its_end",
                condition=Q(is_purging=False) | Q(ended_at__isnull=False, is_ending=False),
            ),
            models.CheckConstraint(name="campaign_ends_after_it_starts", condition=Q(expires_at__gt=F("send_at"))),
            models.CheckConstraint(
                name="campaign_keeps_its_own_end", condition=Q(end_at=None) | Q(end_at=F("expires_at"))
            ),
            models.CheckConstraint(
                name="campaign_waives_rules_for_a_reason",
                condition=Q(waived_rules__len=0, waived_because="")
                | (Q(waived_rules__len__gt=0) & ~Q(waived_because="")),
            ),
            models.CheckConstraint(name="campaign_has_at_most_three_retries", condition=Q(number_of_retries__lte=3)),
            models.CheckConstraint(
                name="campaign_with_retries_has_an_interval",
                # A check that is neither true nor false passes, so NULL needs a condition of its own.
                condition=Q(number_of_retries=0) | Q(retry_interval_mins__isnull=False, retry_interval_mins__gte=1),
            ),
            models.CheckConstraint(
                name="campaign_retries_on_failures_only",
                condition=Q(retry_on_status__contained_by=["busy", "no-answer", "failed"]),
            ),
            models.CheckConstraint(
                name="campaign_with_its_own_throttle_has_one",
                condition=~Q(mode="custom") | Q(throttle__isnull=False, throttle__gte=1),
            ),
            models.CheckConstraint(
                name="campaign_has_either_a_flow_or_a_text",
                condition=(Q(flow__isnull=False, text="", flow_type="") & ~Q(flow_url=""))
                | (Q(flow=None, flow_url="", flow_type__in=["ivr", "greeting"]) & ~Q(text="")),
            ),
            models.CheckConstraint(
                name="campaign_repeats_a_menu_only",
                condition=Q(repeat_menu_attempts=None) | Q(flow_type="ivr", repeat_menu_attempts__lte=9),
            ),
            models.CheckConstraint(
                name="campaign_has_five_lists_or_one_dynamic_list",
                condition=Q(type="static", list_ids__len__lte=5) | Q(type="dynamic", list_ids__len=1),
            ),
        ]
        indexes: ClassVar = [
            # Read by schedule.start_due, every second.
            models.Index(fields=["send_at"], name="campaign_to_start", condition=Q(status="created")),
            # Read by schedule.end_due, every second.
            models.Index(
                fields=["expires_at"],
                name="campaign_to_end",
                condition=Q(status__in=["created", "in-progress", "paused"]),
            ),
            # Read by ending.take_turn, every second.
            models.Index(fields=["expires_at", "id"], name="campaign_ending", condition=Q(is_ending=True)),
            # Read by loading.next_in_turn, every second: what is loading, and the last turn of an account.
            models.Index(fields=["account", "created_at"], name="campaign_loading", condition=Q(is_loading=True)),
            models.Index(fields=["account", "loaded_at"], name="campaign_loaded", condition=Q(loaded_at__isnull=False)),
            # Read by audience.Allowance, for each request that creates campaigns.
            models.Index(
                fields=["account"],
                name="campaign_open",
                condition=Q(status__in=["created", "in-progress", "paused"]),
            ),
            # Read by retention.purge, every few minutes: what ended longest ago, and what is being deleted.
            models.Index(fields=["ended_at", "id"], name="campaign_ended", condition=Q(ended_at__isnull=False)),
            models.Index(fields=["ended_at", "id"], name="campaign_purging", condition=Q(is_purging=True)),
            # Read by dialer.due_campaigns for one account, many times a second, a window at a time in this order.
            models.Index(fields=["account", "id"], name="campaign_in_progress", condition=Q(status="in-progress")),
            # Read by the list of the API and of the admin.
            models.Index(fields=["account", "created_at", "id"], name="campaign_listed"),
            # Read by whatever shows a campaign, and by called_again.
            models.Index(fields=["parent"], name="campaign_children", condition=Q(parent__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN


class CustomField(models.Model):
    """The text that a campaign passes to its flow and its report; one value for all of its numbers."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="custom_field")
    value = models.TextField()

    def __str__(self) -> str:
        return self.value


class CampaignHistory(History):
    subject = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="history")

    class Meta:
        verbose_name_plural = "campaign history"
