"""What a campaign is: the campaign, its custom field, its calls, the flow that an answered call runs, and histories;
and the contacts and lists that calls can be made from, with the CSV files that fill them.

Statuses are written by `campaign_states`, `call_states` and `csv_upload` alone. The database refuses rows that can't
be: each constraint's name says which.
"""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from accounts.models import Account, CallerId
from core.state_machine import History

E164 = RegexValidator(r"\A\+[1-9][0-9]{6,14}\Z", "Use E.164: a plus, the country code, the number.")
MAX_RETRIES = 3
MAX_INTERVAL_MINS = 30 * 24 * 60  # no campaign lasts longer than 30 days by default, so no wait needs to
MAX_STATIC_LISTS = 5
# A flow tries a prompt ten times at the most (flow.schema.json): once, and so often again.
MAX_REPEATS = 9


class Outcome(models.TextChoices):
    """How an attempt ended. `canceled`: it was given back before any phone rang, and counts for nothing."""

    COMPLETED = "completed", "completed"
    BUSY = "busy", "busy"
    NO_ANSWER = "no-answer", "no-answer"
    FAILED = "failed", "failed"
    CANCELED = "canceled", "canceled"


class Flow(models.Model):
    """What an answered call does, under the id that is the last segment of a campaign's flow address."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="flows")
    flow_id = models.CharField(
        "flow ID",
        max_length=64,
        validators=[RegexValidator(r"\A[A-Za-z0-9_-]+\Z", "Use letters, digits, dash and underscore only.")],
    )
    document = models.JSONField(help_text="Validated against campaigns/flow.schema.json.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "flow_id"], name="flow_id_is_unique_in_its_account"),
        ]

    def __str__(self) -> str:
        return self.flow_id

    def clean(self) -> None:
        from campaigns.flows import validate_flow

        validate_flow(self.document)


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

    OPEN: ClassVar = (Status.CREATED, Status.IN_PROGRESS, Status.PAUSED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="campaigns")
    name = models.CharField(max_length=255)
    caller_id = models.ForeignKey(CallerId, on_delete=models.PROTECT, related_name="campaigns")
    caller_id_given = models.CharField(
        "caller ID as given", max_length=32, help_text="The API answers with the spelling that it was given."
    )
    type = models.CharField(max_length=8, choices=Type, default=Type.STATIC)
    # Not a foreign key: answers name the lists that a campaign was made from after those have been deleted, too.
    list_ids = ArrayField(models.UUIDField(), default=list, blank=True, help_text="The lists that its calls are from.")
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="campaigns", null=True, blank=True)
    flow_url = models.CharField(
        "flow address", max_length=2048, blank=True, help_text="As given; its last segment is the flow ID."
    )
    # Instead of a flow: see spoken_text.
    flow_type = models.CharField(max_length=8, choices=FlowType, blank=True)
    text = models.TextField("text to read", blank=True)
    repeat_menu_attempts = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(MAX_REPEATS)]
    )
    call_duplicate_numbers = models.BooleanField(default=False)

    number_of_retries = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(MAX_RETRIES)])
    retry_interval_mins = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL_MINS)]
    )
    retry_mechanism = models.CharField(max_length=16, choices=Mechanism, default=Mechanism.LINEAR)
    retry_on_status = ArrayField(models.CharField(max_length=16), default=list, blank=True)

    mode = models.CharField(max_length=8, choices=Mode, default=Mode.AUTO)
    throttle = models.PositiveIntegerField(null=True, blank=True, help_text="Call starts a minute, with mode custom.")

    send_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, blank=True, help_text="As asked for; empty: 30 days after the start.")
    expires_at = models.DateTimeField(help_text="No attempt starts from this moment on.")

    call_status_callback = models.URLField(max_length=2048, blank=True)
    call_schedule_callback = models.URLField(max_length=2048, blank=True)
    status_callback = models.URLField(max_length=2048, blank=True)

    status = models.CharField(max_length=16, choices=Status, default=Status.CREATED, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    failure_http_status = models.PositiveSmallIntegerField(
        "HTTP status of the failure", null=True, blank=True, editable=False
    )
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
            models.CheckConstraint(name="campaign_ends_after_it_starts", condition=Q(expires_at__gt=F("send_at"))),
            models.CheckConstraint(
                name="campaign_keeps_its_own_end", condition=Q(end_at=None) | Q(end_at=F("expires_at"))
            ),
            models.CheckConstraint(name="campaign_has_at_most_three_retries", condition=Q(number_of_retries__lte=3)),
            models.CheckConstraint(
                name="campaign_with_retries_has_an_interval",
                # A check that is neither true nor false passes, so an empty interval must be refused by name.
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
            # Read by dialer.dispatch for one account, many times a second.
            models.Index(fields=["account"], name="campaign_in_progress", condition=Q(status="in-progress")),
            # Read by the list of the API and of the admin.
            models.Index(fields=["account", "created_at", "id"], name="campaign_listed"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN


class CustomField(models.Model):
    """The text that a campaign hands to its flow and its report; one value for all its numbers."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="custom_field")
    value = models.TextField()

    def __str__(self) -> str:
        return self.value


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

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="calls")
    number = models.CharField(max_length=16, validators=[E164])
    name = models.CharField(max_length=255, blank=True)
    variables = models.JSONField(
        null=True, blank=True, help_text="Of a dynamic campaign: the values of this call's row, by column."
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.CREATED, editable=False)
    attempts_made = models.PositiveSmallIntegerField(default=0, help_text="Attempts that counted: rung or refused.")
    last_outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    # Whether a carrier ever took an attempt: a campaign none of whose calls it took has failed.
    was_placed = models.BooleanField(default=False)
    http_status = models.PositiveSmallIntegerField(
        "HTTP status", null=True, blank=True, help_text="What the carrier last answered when it did not take the call."
    )
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="When the retry is due.")
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=255, blank=True, help_text="Why the call ended as it did.")

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
                | (~Q(status="retrying") & Q(next_attempt_at=None)),
            ),
            models.CheckConstraint(
                name="call_created_or_canceled_was_never_attempted",
                condition=~Q(status__in=["created", "canceled"]) | Q(attempts_made=0),
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
            # Read by a person who asks whether, and how, somebody was called.
            models.Index(fields=["number"], name="call_by_number"),
        ]

    def __str__(self) -> str:
        return self.number


class CallTally(models.Model):
    """Calls counted as they change, so that a campaign of a million is not counted anew whenever somebody looks.

    Each statement that adds, changes or removes calls adds rows with the differences, by a trigger in the database; the
    sum over a campaign's rows is its state, and `progress.compact` adds them up from time to time. Nobody waits for
    anybody: rows are only added and, added up, replaced.
    """

    # No foreign key: the rows of a deleted campaign add up to nothing, and go with the next adding up.
    campaign_id = models.UUIDField()
    status = models.CharField(max_length=16)
    tried = models.BooleanField(help_text="Of calls with an attempt that counted.")
    calls = models.BigIntegerField()
    attempts = models.BigIntegerField(help_text="Their attempts that counted.")
    is_sum = models.BooleanField(default=False, db_default=False, help_text="Of rows that were added up.")

    class Meta:
        indexes: ClassVar = [
            # Read by progress.of.
            models.Index(fields=["campaign_id"], name="tally_of_campaign"),
            # Read by progress.compact: what has come since it last ran.
            models.Index(fields=["id"], name="tally_to_add_up", condition=Q(is_sum=False)),
        ]

    def __str__(self) -> str:
        return f"{self.calls:+} {self.status}"


class CampaignHistory(History):
    subject = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="history")

    class Meta:
        verbose_name_plural = "campaign history"


class CallHistory(History):
    # Written by the statement that moves the call: to look whether that exists would be a tenth of a move's cost.
    subject = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="history", db_constraint=False)

    class Meta:
        verbose_name_plural = "call history"


class Contact(models.Model):
    """A person to call, in the address book of an account."""

    # Ordered by time, so that a large upload fills the index page by page.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Its index is that of the constraint below, as the list's of an entry: an upload writes half a million rows.
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="contacts", db_index=False)
    number = models.CharField(max_length=16, validators=[E164])
    first_name = models.CharField(max_length=255, blank=True)
    last_name = models.CharField(max_length=255, blank=True)
    company_name = models.CharField(max_length=255, blank=True)
    email = models.CharField(max_length=255, blank=True)
    tag = models.CharField(max_length=255, blank=True)
    custom = models.JSONField(default=dict, blank=True, help_text="Keys and values of the client's own.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            # Its index is read by whoever adds contacts, too: contacts.add and csv_upload.
            models.UniqueConstraint(fields=["account", "number"], name="contact_number_is_unique_in_its_account"),
        ]
        indexes: ClassVar = [
            # Read by the lists of the API and of the admin.
            models.Index(fields=["account", "created_at", "id"], name="contact_listed"),
        ]

    def __str__(self) -> str:
        return self.number


class ContactList(models.Model):
    """Contacts under a name, to make campaigns from."""

    class Type(models.TextChoices):
        STATIC = "static", "static: contacts"
        DYNAMIC = "dynamic", "dynamic: rows of a CSV file, with values of their own"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="contact_lists")
    name = models.CharField(max_length=255)
    tag = models.CharField(max_length=255, blank=True)
    type = models.CharField(max_length=8, choices=Type, default=Type.STATIC)
    columns = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Of a dynamic list: the columns of its rows beside the number, as their headers are spelled.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "name"], name="list_name_is_unique_in_its_account"),
            models.CheckConstraint(
                name="list_with_columns_is_dynamic", condition=Q(type="dynamic") | Q(columns__len=0)
            ),
        ]
        indexes: ClassVar = [
            # Read by the lists of the API and of the admin.
            models.Index(fields=["account", "created_at", "id"], name="contact_list_listed"),
        ]

    def __str__(self) -> str:
        return self.name


class ListEntry(models.Model):
    """A contact in a list; in a dynamic list with the values of its row. In the order in which they were added."""

    contact_list = models.ForeignKey(ContactList, on_delete=models.CASCADE, related_name="entries", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="entries")
    values = models.JSONField(null=True, blank=True, help_text="Of a dynamic list: the row's values, by column.")
    # MD5 of the values, in hex: a row that stands twice is one entry, two rows of one number are two.
    values_digest = models.CharField(max_length=32, blank=True)

    class Meta:
        verbose_name_plural = "list entries"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["contact_list", "contact", "values_digest"], name="list_entry_is_unique_in_its_list"
            ),
            models.CheckConstraint(
                name="list_entry_with_values_has_their_digest",
                condition=Q(values__isnull=True, values_digest="") | (Q(values__isnull=False) & ~Q(values_digest="")),
            ),
        ]
        indexes: ClassVar = [
            # Read by who makes calls from a list, and by the API's list of its contacts.
            models.Index(fields=["contact_list", "id"], name="list_entry_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.contact} in {self.contact_list}"


class CsvUpload(models.Model):
    """A CSV file on its way into a list: how far it has been read, and what became of its rows."""

    class Status(models.TextChoices):
        IN_PROGRESS = "in-progress", "in progress"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="csv_uploads")
    contact_list = models.ForeignKey(ContactList, on_delete=models.CASCADE, related_name="uploads")
    file_name = models.CharField(max_length=255, blank=True)
    size_bytes = models.PositiveIntegerField()
    columns = ArrayField(models.TextField(), default=list, help_text="As its header names them.")
    status = models.CharField(max_length=16, choices=Status, default=Status.IN_PROGRESS, editable=False)
    rows_total = models.PositiveIntegerField("rows read", default=0)
    rows_loaded = models.PositiveIntegerField(default=0)
    rows_duplicate = models.PositiveIntegerField("duplicates", default=0)
    rows_rejected = models.PositiveIntegerField(default=0)
    # Where reading goes on, also after a crash: written by the transaction that loads the rows before it.
    bytes_read = models.PositiveIntegerField(default=0)
    lines_read = models.PositiveIntegerField(default=0)
    # When a worker last got on with it; empty while none has begun.
    heard_at = models.DateTimeField(null=True, blank=True)
    idle_starts = models.PositiveSmallIntegerField(
        default=0, help_text="How often a worker has begun since rows were last loaded."
    )
    error = models.CharField(max_length=1000, blank=True, help_text="Why it has failed.")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "CSV upload"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="csv_upload_has_an_end_exactly_when_ended",
                condition=Q(status="in-progress", ended_at=None)
                | Q(status__in=["completed", "failed"], ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="csv_upload_says_why_exactly_when_failed",
                condition=(Q(status="failed") & ~Q(error="")) | (~Q(status="failed") & Q(error="")),
            ),
            models.CheckConstraint(
                name="csv_upload_counts_add_up",
                condition=Q(rows_total=F("rows_loaded") + F("rows_duplicate") + F("rows_rejected")),
            ),
        ]
        indexes: ClassVar = [
            # Read by csv_upload.resume, every ten seconds.
            models.Index(fields=["heard_at"], name="csv_upload_at_work", condition=Q(status="in-progress")),
            # Read by the admin.
            models.Index(fields=["account", "created_at"], name="csv_upload_listed"),
        ]

    def __str__(self) -> str:
        return self.file_name or str(self.id)


class CsvPiece(models.Model):
    """A part of an uploaded file, until it has been loaded. Any machine's worker can read it in the database."""

    upload = models.ForeignKey(CsvUpload, on_delete=models.CASCADE, related_name="pieces")
    position = models.PositiveIntegerField(help_text="From 0; all pieces but the last are equally long.")
    content = models.BinaryField()

    class Meta:
        verbose_name = "CSV piece"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["upload", "position"], name="csv_piece_has_one_place_in_its_file"),
        ]

    def __str__(self) -> str:
        return f"piece {self.position}"


class RejectedRow(models.Model):
    """A row of a CSV file that was not loaded."""

    upload = models.ForeignKey(CsvUpload, on_delete=models.CASCADE, related_name="rejected")
    line = models.PositiveIntegerField(help_text="Where the row begins in the file, from 1.")
    reason = models.CharField(max_length=255)
    cells = ArrayField(models.TextField(), default=list)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["upload", "line"], name="csv_line_is_rejected_once"),
        ]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
