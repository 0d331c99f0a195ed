"""Contacts, the lists that campaigns are made from, the CSV files that fill them, and the do-not-call list.

`csv_uploads.upload_states` is the only writer of CsvUpload.status. The database refuses impossible rows: the name of
each constraint says which.
"""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from uuid_utils.compat import uuid7

from accounts.models import Account

E164 = RegexValidator(r"\A\+[1-9][0-9]{6,14}\Z", "Use E.164: a plus, the country code, the number.")


class ConsentScope(models.TextChoices):
    """What a person agreed to. `all` covers the others."""

    RECORDED_VOICE = "recorded-voice", "recorded and artificial voices"
    PROMOTIONAL = "promotional", "promotional calls"
    ALL = "all", "all calls"


class Contact(models.Model):
    """A person to call, in the address book of an account."""

    # Version 7 UUIDs are ordered by time, so that a large upload fills the index page by page.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without an index of its own: the constraint below has one, and an upload writes half a million rows. For the same
    # reason the database checks the key once a statement, not for each row (decision 0039).
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="contacts", db_index=False, db_constraint=False
    )
    number = models.CharField(max_length=16, validators=[E164])
    first_name = models.CharField(max_length=255, blank=True)
    last_name = models.CharField(max_length=255, blank=True)
    company_name = models.CharField(max_length=255, blank=True)
    email = models.CharField(max_length=255, blank=True)
    tag = models.CharField(max_length=255, blank=True)
    custom = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        help_text="Keys and values of the client's own.",
    )
    time_zone = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="Where this person is, such as Asia/Kolkata."
    )
    consent_date = models.DateField(null=True, blank=True, help_text="When this person agreed to be called.")
    consent_source = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="Where that is recorded: a form, a contract."
    )
    consent_scope = models.CharField(
        max_length=16, choices=ConsentScope, blank=True, default="", db_default="", help_text="To what."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            # Its index is read by address_book.add and csv_uploads.bulk_insert, too.
            models.UniqueConstraint(fields=["account", "number"], name="contact_number_is_unique_in_its_account"),
            models.CheckConstraint(
                name="contact_consents_on_a_date_to_something",
                condition=Q(consent_date=None, consent_scope="", consent_source="")
                | (Q(consent_date__isnull=False) & Q(consent_scope__in=["recorded-voice", "promotional", "all"])),
            ),
        ]
        indexes: ClassVar = [
            # Read by the lists of the API and of the admin.
            models.Index(fields=["account", "created_at", "id"], name="contact_listed"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def consent(self) -> "Contact | None":
        """Return the contact itself where it has consented to something, for its columns of that."""
        return self if self.consent_date else None


class DoNotCall(models.Model):
    """A number that one account, or all of them, must not call. `contacts.do_not_call` is the only writer.

    Registries have ten million numbers, so a row is compact and in one small unique index. One of an account is in a
    second index, by which its list is shown.
    """

    class Source(models.TextChoices):
        API = "api", "the API"
        ADMIN = "admin", "a person here"
        CSV = "csv", "a CSV file"
        REGISTRY = "registry", "a registry"
        FLOW = "flow", "the person called"

    # Empty: no account calls the number.
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="do_not_call", db_index=False, null=True, blank=True
    )
    number = models.CharField(max_length=16, validators=[E164])
    source = models.CharField(max_length=8, choices=Source)
    registry = models.CharField(max_length=64, blank=True, help_text="Of a number from a registry: which one.")
    registry_date = models.DateField(null=True, blank=True, help_text="Of a number from a registry: its as-of date.")
    note = models.CharField(max_length=255, blank=True)
    added_by = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="Who did it, where a person or a program asked.",
    )
    added_at = models.DateTimeField()

    class Meta:
        verbose_name = "do-not-call number"
        constraints: ClassVar = [
            # Their indexes are read by do_not_call.listed, for every batch of calls.
            models.UniqueConstraint(
                fields=["number", "account"],
                name="do_not_call_number_is_unique_in_its_account",
                condition=Q(account__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["number"], name="do_not_call_number_is_unique_for_all", condition=Q(account=None)
            ),
            models.CheckConstraint(
                name="do_not_call_names_its_registry",
                condition=(Q(source="registry", registry_date__isnull=False) & ~Q(registry=""))
                | (~Q(source="registry") & Q(registry="", registry_date=None)),
            ),
        ]
        indexes: ClassVar = [
            # Read by the lists of the API and of the admin, and by the deletion of an account.
            models.Index(fields=["account", "id"], name="do_not_call_listed", condition=Q(account__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.number


class ContactList(models.Model):
    """Contacts under a name, from which campaigns are made."""

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
    allows_blanks = models.BooleanField(
        "blanks allowed",
        default=False,
        help_text="Of a dynamic list: take rows that have no value for a column. A campaign then reads nothing there.",
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
    """A contact in a list; in a dynamic list with the values of its row. Ordered by id, as they were added."""

    # Both without an index of their own, and checked once a statement, as the account of a contact.
    contact_list = models.ForeignKey(
        ContactList, on_delete=models.CASCADE, related_name="entries", db_index=False, db_constraint=False
    )
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, related_name="entries", db_index=False, db_constraint=False
    )
    values = models.JSONField(null=True, blank=True, help_text="Of a dynamic list: the row's values, by column.")
    # MD5 of the values, in hex: two equal rows are one entry, two different rows of one number are two.
    values_digest = models.CharField(max_length=32, blank=True)
    # Which row of a number is the latest: the one of the latest upload, and in it the one of the last line.
    upload_number = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of a dynamic list: the number of the last upload that had this row."
    )
    line = models.PositiveIntegerField(default=0, db_default=0, help_text="Where the row begins in that file.")

    class Meta:
        verbose_name_plural = "list entries"
        constraints: ClassVar = [
            # The contact first: its index also finds the lists that a contact is in.
            models.UniqueConstraint(
                fields=["contact", "contact_list", "values_digest"], name="list_entry_is_unique_in_its_list"
            ),
            models.CheckConstraint(
                name="list_entry_with_values_has_their_digest",
                condition=Q(values__isnull=True, values_digest="") | (Q(values__isnull=False) & ~Q(values_digest="")),
            ),
        ]
        indexes: ClassVar = [
            # Read by campaigns.audience, and by the API's list of its contacts.
            models.Index(fields=["contact_list", "id"], name="list_entry_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.contact} in {self.contact_list}"


class CsvUpload(models.Model):
    """A CSV file that is loaded into a list: how far it has been read, and the counts of its rows.

    One without a list is loaded into the account's do-not-call list.
    """

    class Status(models.TextChoices):
        IN_PROGRESS = "in-progress", "in progress"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="csv_uploads")
    contact_list = models.ForeignKey(
        ContactList,
        on_delete=models.CASCADE,
        related_name="uploads",
        null=True,
        blank=True,
        help_text="Empty: the do-not-call list.",
    )
    number = models.PositiveIntegerField(
        default=0,
        help_text="Of a dynamic list: its place among the list's uploads, from 1. Mended rejected rows share the last.",
    )
    file_name = models.CharField(max_length=255, blank=True)
    size_bytes = models.PositiveIntegerField()
    columns = ArrayField(
        models.TextField(), default=list, help_text="A name for each of its cells; an empty one is skipped."
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.IN_PROGRESS, editable=False)
    rows_total = models.PositiveIntegerField("rows read", default=0)
    rows_loaded = models.PositiveIntegerField(default=0)
    rows_duplicate = models.PositiveIntegerField("duplicates", default=0)
    rows_rejected = models.PositiveIntegerField(default=0)
    rows_replaced = models.PositiveIntegerField(
        default=0, help_text="Rows of earlier uploads that this one took out of the list, having newer ones."
    )
    # Where reading continues, also after a crash: written by the transaction that loads the rows before it.
    bytes_read = models.PositiveIntegerField(default=0)
    lines_read = models.PositiveIntegerField(default=0)
    is_held = models.BooleanField(default=False, db_default=False, help_text="A worker is loading it at this moment.")
    # When a worker last loaded a batch or began; empty while none has begun.
    heard_at = models.DateTimeField(null=True, blank=True)
    idle_starts = models.PositiveSmallIntegerField(
        default=0, help_text="How often a worker has begun without loading a row."
    )
    error = models.CharField(max_length=1000, blank=True, help_text="Why it failed.")
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
            # Read by upload_states, at each turn and every ten seconds.
            models.Index(fields=["account"], name="csv_upload_at_work", condition=Q(status="in-progress")),
            # Read by upload_states.next_in_turn: the last turn of an account.
            models.Index(fields=["account", "heard_at"], name="csv_upload_turns"),
            # Read by the admin.
            models.Index(fields=["account", "created_at"], name="csv_upload_listed"),
        ]

    def __str__(self) -> str:
        return self.file_name or str(self.id)

    @property
    def filled_list(self) -> ContactList:
        """Return the list of an upload of contacts."""
        assert self.contact_list is not None
        return self.contact_list


class CsvPiece(models.Model):
    """A part of an uploaded file, until the file has been loaded: see `csv_uploads.stored_file`."""

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
