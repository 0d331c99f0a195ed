"""Attempts with their histories, the carriers' events as they came, and the trunks' health."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models import Account, CallerId, CarrierAccount, Route, Trunk
from campaigns.models import Call, Campaign, Outcome
from core.state_machine import History


class CallAttempt(models.Model):
    """One dial. Its id travels to the carrier in the callback address and is the wire's `call_sid`."""

    class Status(models.TextChoices):
        CLAIMED = "claimed", "claimed"
        PLACING = "placing", "placing"
        IN_PROGRESS = "in-progress", "in progress"
        UNKNOWN = "unknown", "unknown: the carrier is being asked"
        COMPLETED = Outcome.COMPLETED.value, Outcome.COMPLETED.label
        BUSY = Outcome.BUSY.value, Outcome.BUSY.label
        NO_ANSWER = Outcome.NO_ANSWER.value, Outcome.NO_ANSWER.label
        FAILED = Outcome.FAILED.value, Outcome.FAILED.label
        CANCELED = Outcome.CANCELED.value, Outcome.CANCELED.label

    class Wish(models.TextChoices):
        REFUSAL = "refusal", "refusal: no more calls about this"
        OPT_OUT = "opt-out", "opt-out: no more calls"

    class AnsweredBy(models.TextChoices):
        HUMAN = "human", "human"
        MACHINE = "machine", "machine"
        UNKNOWN = "unknown", "unknown"

    UNFINISHED: ClassVar = (Status.CLAIMED, Status.PLACING, Status.IN_PROGRESS, Status.UNKNOWN)

    # Ordered by time, so that the newest rows share their pages of the index.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="attempts")
    # The call's own campaign, here for the index `attempt_listed`. The call's foreign key has checked that it exists.
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="attempts", db_index=False, db_constraint=False
    )
    # The campaign's account and the call's number, here for the constraint `number_has_one_attempt_under_way`.
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    callee = models.CharField(max_length=16, help_text="The number that is dialed.")
    trunk = models.ForeignKey(Trunk, on_delete=models.PROTECT, related_name="attempts")
    # The account at the carrier that was asked, whatever has become of the trunk since. A foreign key's check would
    # lock its row from every dialer at once, and no account is ever deleted.
    carrier_account = models.ForeignKey(
        CarrierAccount,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        db_index=False,
        db_constraint=False,
    )
    number = models.PositiveSmallIntegerField("attempt number", help_text="1 for the first attempt that counts.")
    status = models.CharField(max_length=16, choices=Status, default=Status.CLAIMED, editable=False)
    carrier_ref = models.CharField("carrier's id", max_length=64, blank=True)
    # Rules: dialer.carrier_refs.
    ref_is_guess = models.BooleanField(
        "carrier's id is a guess", default=False, db_default=False, help_text="The call was found by its number."
    )
    ref_is_repeated = models.BooleanField(
        "carrier's id is repeated",
        default=False,
        db_default=False,
        help_text="Another call had it before.",
    )
    claimed_at = models.DateTimeField()
    # When the carrier was asked; from then on a phone may have rung.
    placing_at = models.DateTimeField(null=True, blank=True)
    # When we last heard from the carrier: its reply, an event, or a look-up.
    heard_at = models.DateTimeField(null=True, blank=True)
    # When the carrier said that the phone rings, where it says so.
    rang_at = models.DateTimeField(null=True, blank=True)
    # When the carrier was asked to take it out of its queue: `dialer.withdrawals`.
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="The conversation, in seconds.")
    answered_by = models.CharField(
        max_length=8,
        choices=AnsweredBy,
        blank=True,
        default="",
        db_default="",
        help_text="By the carrier, where it tells machines from people.",
    )
    digits = models.CharField(max_length=255, blank=True, help_text="The keys that the callee pressed.")
    recording_url = models.CharField(max_length=2048, blank=True)
    wish = models.CharField(
        max_length=8,
        choices=Wish,
        blank=True,
        default="",
        db_default="",
        help_text="What the callee asked for about further calls.",
    )
    http_status = models.PositiveSmallIntegerField("HTTP status", null=True, blank=True)
    reason = models.CharField(max_length=255, blank=True)
    was_refused = models.BooleanField(
        default=False, db_default=False, help_text="Given back after a refusal that may concern our account there."
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["call"],
                name="call_has_at_most_one_unfinished_attempt",
                condition=Q(status__in=["claimed", "placing", "in-progress", "unknown"]),
            ),
            # A phone rings once at a time for an account, whatever campaigns, caller IDs and lists the number is in.
            models.UniqueConstraint(
                fields=["account", "callee"],
                name="number_has_one_attempt_under_way",
                condition=Q(status__in=["claimed", "placing", "in-progress", "unknown"]),
            ),
            # An attempt that was given back counts for nothing, so the next attempt takes its number.
            models.UniqueConstraint(
                fields=["call", "number"], name="attempt_number_is_unique_in_its_call", condition=~Q(status="canceled")
            ),
            models.UniqueConstraint(
                fields=["carrier_account", "carrier_ref"],
                name="carrier_ref_belongs_to_one_attempt",
                condition=~Q(carrier_ref="") & Q(ref_is_repeated=False),
            ),
            models.CheckConstraint(
                name="attempt_has_an_end_exactly_when_ended",
                condition=Q(status__in=["claimed", "placing", "in-progress", "unknown"], ended_at=None)
                | Q(status__in=["completed", "busy", "no-answer", "failed", "canceled"], ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="attempt_that_rings_was_placed",
                condition=Q(placing_at__isnull=False) | Q(status__in=["claimed", "canceled"]),
            ),
            models.CheckConstraint(
                name="attempt_that_was_placed_has_a_carrier_account",
                condition=Q(placing_at=None) | Q(carrier_account__isnull=False),
            ),
            models.CheckConstraint(name="attempt_numbers_start_at_one", condition=Q(number__gte=1)),
        ]
        indexes: ClassVar = [
            # Read by dialer.recovery every few seconds: unfinished attempts, oldest news first.
            models.Index(
                fields=["status", "claimed_at"],
                name="attempt_unfinished",
                condition=Q(status__in=["claimed", "placing", "in-progress", "unknown"]),
            ),
            # Read where an id comes back, to find those that had it before.
            models.Index(
                fields=["carrier_account", "carrier_ref"],
                name="attempt_with_a_repeated_id",
                condition=Q(ref_is_repeated=True),
            ),
            # Read by dialer.past_calls: when a number was called before. An attempt enters it once, when it ends.
            models.Index(
                fields=["account", "callee", "placing_at"],
                name="attempt_to_number",
                condition=Q(status__in=["completed", "busy", "no-answer", "failed"]),
            ),
            # Read by call details, a page at a time in the order of dialing.
            models.Index(fields=["campaign", "claimed_at", "id"], name="attempt_listed"),
            # Read by retention: of which campaigns refusals count for ever. There are few.
            models.Index(fields=["campaign"], name="attempt_with_a_wish", condition=~Q(wish="")),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Transfer(models.Model):
    """A second leg: a call to another number that a flow connects its callee to. `dialer.transfers` writes it.

    Its id is the holder of its lease. One that was not rung has ended, with the reason.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    attempt = models.ForeignKey(CallAttempt, on_delete=models.CASCADE, related_name="transfers", db_index=False)
    # The attempt's, here for the indexes. The attempt's foreign key has checked that it exists.
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    place = models.CharField(max_length=400, help_text="In the flow.")
    number = models.CharField(max_length=16)
    to_person = models.BooleanField(
        default=True, db_default=True, help_text="The number was none of the account's agents: rules count the call."
    )
    started_at = models.DateTimeField(help_text="When the flow came to it.")
    # When the gate had let it through; from then on a phone may have rung.
    placing_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    talk_seconds = models.PositiveIntegerField(null=True, blank=True)
    # A code of dialer.gate or dialer.number_gate: why the number was not rung.
    rule = models.CharField(max_length=32, blank=True, default="", db_default="")
    reason = models.CharField(max_length=255, blank=True, default="", db_default="")

    class Meta:
        constraints: ClassVar = [
            # A flow comes to a place once, so a number is rung for it once, whatever is asked for twice.
            models.UniqueConstraint(fields=["attempt", "place"], name="transfer_rings_once_for_its_place"),
            models.CheckConstraint(
                name="transfer_has_an_outcome_exactly_when_ended",
                condition=Q(ended_at=None, outcome="") | (Q(ended_at__isnull=False) & ~Q(outcome="")),
            ),
            models.CheckConstraint(
                name="transfer_that_rang_was_placed",
                condition=Q(placing_at__isnull=False, rule="") | Q(outcome__in=["", "failed", "canceled"]),
            ),
        ]
        indexes: ClassVar = [
            # Read by reconciliation, and when calls end: there are few.
            models.Index(fields=["attempt"], name="transfer_open", condition=Q(ended_at=None)),
            # Read by dialer.under_way: whether a number is connected to a call of the account now.
            models.Index(
                fields=["account", "number"],
                name="transfer_to_person_open",
                condition=Q(ended_at=None, to_person=True),
            ),
            # Read by dialer.past_calls: when a number was connected before.
            models.Index(
                fields=["account", "number", "placing_at"], name="transfer_to_person", condition=Q(to_person=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome or 'ringing or talking'}"

    @property
    def ring_seconds(self) -> int | None:
        """For how long it rang, as far as is known: until its end, without the conversation."""
        if self.ended_at is None:
            return None
        if self.placing_at is None:
            return 0
        return max(0, round((self.ended_at - self.placing_at).total_seconds()) - (self.talk_seconds or 0))


class Recording(models.Model):
    """A recording that a flow has made: of what the callee says at a step, or of the call from a step on.

    `dialer.recordings` writes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    attempt = models.ForeignKey(CallAttempt, on_delete=models.CASCADE, related_name="recordings", db_index=False)
    place = models.CharField(max_length=400, help_text="In the flow.")
    url = models.CharField(max_length=2048, help_text="Where it is heard: here, or at the carrier.")
    file = models.CharField(
        max_length=255, blank=True, help_text="Its name in the storage of recordings; empty where the carrier keeps it."
    )
    seconds = models.PositiveIntegerField()
    recorded_at = models.DateTimeField(help_text="When it ended.")
    is_cut = models.BooleanField(
        "cut", default=False, db_default=False, help_text="Its end is missing: the gateway died, or its disk was full."
    )

    class Meta:
        constraints: ClassVar = [
            # A flow comes to a place once, and carriers tell of it twice.
            models.UniqueConstraint(fields=["attempt", "place"], name="recording_is_made_once_for_its_place"),
        ]
        indexes: ClassVar = [
            # Read where old ones are deleted.
            models.Index(fields=["recorded_at"], name="recording_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.seconds} s of {self.attempt_id}"


class UsageChange(models.Model):
    """A change in the calls placed, and the seconds talked, of an account.

    A trigger adds rows with the differences for each statement that changes attempts (decision 0044), so statements
    never wait for each other. `daily_limits.compact` replaces them by their sums from time to time.
    """

    # Not a foreign key, which would be checked for each row.
    account_id = models.BigIntegerField()
    at = models.DateTimeField(help_text="When the calls were placed: the beginning of the quarter of an hour.")
    calls = models.BigIntegerField()
    seconds = models.BigIntegerField()
    is_sum = models.BooleanField(default=False, db_default=False, help_text="Whether the row replaced others.")

    class Meta:
        indexes: ClassVar = [
            # Read by daily_limits.load.
            models.Index(fields=["account_id", "at"], name="usage_of_account"),
            # Read by daily_limits.compact: the rows since its last run.
            models.Index(fields=["id"], name="usage_to_add_up", condition=Q(is_sum=False)),
        ]

    def __str__(self) -> str:
        return f"{self.calls:+} calls, {self.seconds:+} s"


class HourTally(models.Model):
    """A change in the number of attempts that ended, by the hour in which their carriers were asked.

    A trigger adds rows with the differences for each statement that ends attempts, as `UsageChange` does (decision
    0058), and `hour_tally.compact` replaces them by their sums. They outlive the attempts: no person stands in them.
    """

    # Not foreign keys, which would be checked for each row.
    account_id = models.BigIntegerField()
    campaign_id = models.UUIDField()
    caller_id_id = models.BigIntegerField()
    hour = models.DateTimeField(help_text="When the hour began, by the clock of the account.")
    outcome = models.CharField(max_length=16, choices=Outcome)
    number = models.PositiveSmallIntegerField("attempt number")
    digits = models.CharField(max_length=4, blank=True, help_text="The keys pressed, up to three; more: just so.")
    talk_from = models.PositiveSmallIntegerField(
        null=True, help_text="The talk lasted so many seconds at least: one of hour_tally.TALK_BOUNDS."
    )
    attempts = models.BigIntegerField()
    seconds = models.BigIntegerField(help_text="Talked in these attempts.")
    is_sum = models.BooleanField(default=False, db_default=False, help_text="Whether the row replaced others.")

    class Meta:
        indexes: ClassVar = [
            # Read by reports over days, and by hour_tally.compact for what is too old.
            models.Index(fields=["account_id", "hour"], name="hours_of_account"),
            # Read by a campaign's page.
            models.Index(fields=["campaign_id", "hour"], name="hours_of_campaign"),
            # Read by hour_tally.compact: the rows since its last run.
            models.Index(fields=["id"], name="hours_to_add_up", condition=Q(is_sum=False)),
        ]

    def __str__(self) -> str:
        return f"{self.attempts:+} {self.outcome}"


class AttemptHistory(History):
    # Written by the statement that moves the attempt. To check that the attempt exists would be a tenth of its cost.
    subject = models.ForeignKey(CallAttempt, on_delete=models.CASCADE, related_name="history", db_constraint=False)

    class Meta:
        verbose_name_plural = "attempt history"


class CarrierEvent(models.Model):
    """The inbox: a carrier's events, as they came. Rows are added, marked handled, and in the end deleted.

    `dialer.old_events` says when.
    """

    # No foreign key: an event for an unknown attempt is stored too, and storing one must not lock the attempt's row.
    attempt_id = models.UUIDField(db_index=True)
    carrier = models.CharField(max_length=16)
    payload = models.JSONField(null=True, help_text="Empty some days after the event was handled.")
    received_at = models.DateTimeField(auto_now_add=True)
    handled_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=1000, blank=True, help_text="Why it could not be handled.")

    class Meta:
        indexes: ClassVar = [
            # Read by inbox: oldest first, only what is not handled.
            models.Index(fields=["id"], name="event_not_handled", condition=Q(handled_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.carrier} event {self.pk}"


class Health(models.Model):
    """Whether calls are taken. After a failure nothing is dialled for a rest, each longer; then one call at a time."""

    failures = models.PositiveIntegerField(default=0, help_text="Rests in a row, without a call taken in between.")
    down_since = models.DateTimeField(null=True, blank=True)
    resting_until = models.DateTimeField(null=True, blank=True)
    # After a rest one call of any account tries again. The next one may try from this moment on.
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=255, blank=True)

    class Meta:
        abstract = True


class TrunkHealth(Health):
    """Whether a trunk's carrier is available."""

    trunk = models.OneToOneField(Trunk, on_delete=models.CASCADE, related_name="health", primary_key=True)

    class Meta:
        verbose_name_plural = "trunk health"

    def __str__(self) -> str:
        return f"{self.trunk}: down since {self.down_since:%H:%M}" if self.down_since else f"{self.trunk}: up"


class LineHealth(Health):
    """Whether a trunk takes calls from a caller ID, and whether they fail at once."""

    # The different numbers of the present run of refusals without a call taken in between, and when it began.
    refused_numbers = models.JSONField(default=list, blank=True)
    refused_since = models.DateTimeField(null=True, blank=True)
    # The same of calls that failed at once after they were taken. Calls placed before that moment don't end the run.
    failing_numbers = models.JSONField(default=list, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def is_failing(self) -> bool:
        """Tell whether the run of instant failures is long enough for a rest."""
        return len(self.failing_numbers) >= settings.INSTANT_FAILURES_BEFORE_REST


class CallerIdHealth(LineHealth):
    """The health of a caller ID over the trunk that its calls leave over now.

    `dialer.caller_id_health` and `dialer.instant_failures` have the rules.
    """

    caller_id = models.OneToOneField(CallerId, on_delete=models.CASCADE, related_name="health", primary_key=True)

    class Meta:
        verbose_name_plural = "caller ID health"

    def __str__(self) -> str:
        return f"{self.caller_id}: down since {self.down_since:%H:%M}" if self.down_since else f"{self.caller_id}: up"


class RouteHealth(LineHealth):
    """The health of a caller ID over another of its trunks, as it was when calls ceased to leave over that one."""

    route = models.OneToOneField(Route, on_delete=models.CASCADE, related_name="health", primary_key=True)

    class Meta:
        verbose_name_plural = "route health"

    def __str__(self) -> str:
        return f"{self.route}: down since {self.down_since:%H:%M}" if self.down_since else f"{self.route}: up"
