"""Tenants: accounts, their API keys, caller IDs and people, and the trunks that their calls leave over."""

import re
from datetime import datetime, time
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import phonenumbers
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from accounts import calling_rules, carriers
from accounts.address_ranges import validate_range
from accounts.audit_entry import AuditEntry  # noqa: F401 -- Django finds models here
from accounts.calling_hours import CallingHours, parse_week
from accounts.carriers import CarrierKind
from accounts.installation import Installation  # noqa: F401 -- as above
from accounts.public_holidays import validate_calendar
from accounts.second_factor_devices import AuthenticatorApp, RecoveryCodes  # noqa: F401 -- as above
from accounts.secret_key_check import SecretKeyCheck  # noqa: F401 -- as above
from accounts.webhook_secrets import new_secret
from core.encryption import SecretField

# How long a phone may be asked to ring, in seconds: what every carrier takes.
SHORTEST_RING = 5
LONGEST_RING = 120
# The numbers of its own staff that an account may name. Each leg looks through them.
MOST_AGENT_NUMBERS = 200
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def validate_time_zone(name: str) -> None:
    """Refuse names that the IANA database does not have, such as `Asia/Kolkatta`."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        message = f"{name} is not a time zone; use a name such as Asia/Kolkata or Europe/London"
        raise ValidationError(message) from error


def validate_region(code: str) -> None:
    """Refuse codes that are not a country with phone numbers, such as `UK`, which is `GB`."""
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValidationError(f"{code} is not a country with phone numbers; use a code such as IN, US or GB")


def validate_e164(number: str) -> None:
    """Refuse numbers that are not written as flows write them, such as `02222222222`, which is `+912222222222`."""
    if not _E164.fullmatch(number):
        raise ValidationError(f"{number} is not a number with its country code; write it as +912222222222")


def validate_week(text: str) -> None:
    """Refuse what is not the hours of a week, such as `Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00`."""
    try:
        parse_week(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def _keeps_secrets(url: str) -> bool:
    """Tell whether nobody on the way reads what is sent to the address: not over plain HTTP to another machine."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


class CarrierAccount(models.Model):
    """The operator's account at a carrier. Calls belong to the one that took them, and are asked for there.

    The trigger on trunks makes these rows and keeps them, so that no way of changing a trunk goes past it. Address and
    SID of a row never change: a trunk with another address, SID or carrier is at another account.
    """

    carrier = models.CharField(max_length=16)
    base_url = models.CharField("base URL", max_length=200, blank=True)
    account_sid = models.CharField("account SID", max_length=64, blank=True)
    # The credentials of the last trunk that left, where none is left: kept while attempts under way may need them.
    api_key = models.CharField("API key", max_length=128, blank=True)
    api_token = SecretField("API token", blank=True)
    left_at = models.DateTimeField(null=True, blank=True, help_text="Until when a trunk was there; empty: one is.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["carrier", "base_url", "account_sid"], name="carrier_account_is_one_row"),
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.account_sid, self.base_url))) or self.carrier


class Trunk(models.Model):
    """The operator's way out to the telephone network: one carrier account, shared by the caller IDs on it."""

    name = models.CharField(max_length=64, unique=True)
    carrier = models.CharField(max_length=16, choices=carriers.choices)
    base_url = models.CharField(
        "base URL",
        max_length=200,
        blank=True,
        help_text="The carrier's API, such as https://host, or sip:host:5060 of a SIP trunk; empty for the sandbox.",
    )
    account_sid = models.CharField("account SID", max_length=64, blank=True)
    api_key = models.CharField("API key", max_length=128, blank=True)
    api_token = SecretField("API token", blank=True)
    signing_key = SecretField(
        "signing key", blank=True, help_text="What the carrier's signatures are checked with, where it is another key."
    )
    channels = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most calls at once over this trunk, all accounts together; empty: no limit of its own.",
    )
    # The account that carrier, base_url and account_sid name. Set by a trigger, whatever is stored here.
    carrier_account = models.ForeignKey(
        CarrierAccount, on_delete=models.PROTECT, related_name="trunks", blank=True, editable=False
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(channels__gte=1) | Q(channels=None), name="trunk_has_a_channel"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refuse what `clean` refuses, also outside forms: no constraint of the database can ask the registry."""
        self.clean()
        super().save(*args, **kwargs)
        self.refresh_from_db(fields=["carrier_account"])

    def clean(self) -> None:
        """Store the address in one spelling, and refuse a trunk without what its carrier needs."""
        if self.carrier not in dict(carriers.choices()):
            return  # the field's own check says so
        try:
            self.base_url = self.kind.read_address(self.base_url) if self.base_url else ""
        except ValueError as error:
            raise ValidationError({"base_url": f"The base URL {error}."}) from error
        if self.kind.needs_address and not self.base_url:
            raise ValidationError(f"A trunk over {self.carrier} needs a base_url.")
        if self.kind.needs_credentials and not (self.base_url and self.account_sid and self.api_key):
            raise ValidationError(f"A trunk over {self.carrier} needs a base_url, an account_sid and an api_key.")
        if self.base_url and not _keeps_secrets(self.base_url):
            text = "The token would be sent unencrypted: the address must begin with https://, save on this machine."
            raise ValidationError({"base_url": text})

    @property
    def kind(self) -> CarrierKind:
        """What is known of its carrier. Raises UnknownCarrier where its driver has gone."""
        return carriers.get(self.carrier)


class NumberKind(models.TextChoices):
    """A kind of telephone number."""

    MOBILE = "mobile", "mobile"
    LANDLINE = "landline", "landline"
    VOIP = "voip", "VoIP"
    TOLL_FREE = "toll-free", "toll-free"
    SHARED_COST = "shared-cost", "shared-cost"
    PREMIUM_RATE = "premium-rate", "premium-rate"
    PERSONAL = "personal", "personal (follow-me)"
    PAGER = "pager", "pager"
    UAN = "uan", "company-wide (UAN)"
    VOICEMAIL = "voicemail", "voicemail"


def usual_kinds() -> list[str]:
    """Return the kinds of numbers that people have, and whose calls cost what calls usually cost."""
    return [NumberKind.MOBILE.value, NumberKind.LANDLINE.value, NumberKind.VOIP.value]


class Account(models.Model):
    """A tenant. Its limits are its own: the defaults are those of Exotel's Campaigns API."""

    sid = models.CharField(
        "SID",
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"\A[A-Za-z0-9_.-]+\Z", "Use letters, digits, dot, dash and underscore only.")],
    )
    is_active = models.BooleanField(default=True, help_text="An inactive account can't use the API and dials nothing.")
    region = models.CharField(
        max_length=2,
        default="IN",
        validators=[validate_region],
        help_text="The country of numbers that are written without a country code.",
    )
    time_zone = models.CharField(max_length=64, default="Asia/Kolkata", validators=[validate_time_zone])
    opens_at = models.TimeField(default=time(10, 30), help_text="Nobody is called before this local time.")
    closes_at = models.TimeField(
        default=time(21, 0),
        help_text="Nobody is called from this local time on; 00:00 is the end of the day. A time before the opening is"
        " on the next day: 18:30 to 03:30.",
    )
    weekly_hours = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        validators=[validate_week],
        help_text="In place of these two: Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00. Other days are closed.",
    )
    holidays_of = ArrayField(
        models.CharField(max_length=8, validators=[validate_calendar]),
        default=list,
        db_default=[],
        blank=True,
        help_text="Nobody is called on public holidays of these countries or states, such as IN,IN-TN or US-AL.",
    )
    closed_on = ArrayField(
        models.DateField(),
        default=list,
        db_default=[],
        blank=True,
        help_text="Nobody is called on these dates, such as 2026-12-24,2026-12-31.",
    )
    rules = ArrayField(
        models.CharField(max_length=32, validators=[calling_rules.validate_name]),
        default=list,
        db_default=[],
        blank=True,
        help_text="Rule sets for the people who are called, such as in-promotional,us. Empty: none.",
    )
    number_caps = ArrayField(
        models.CharField(max_length=48, validators=[calling_rules.validate_cap]),
        default=list,
        db_default=[],
        blank=True,
        help_text="The most calls to a number, over all campaigns: 3 attempts in 24 hours,1 conversation in 7 days.",
    )
    number_gap_seconds = models.PositiveIntegerField(
        default=0, db_default=0, help_text="The shortest time between two calls to a number, in seconds."
    )
    agent_numbers = ArrayField(
        models.CharField(max_length=16, validators=[validate_e164]),
        default=list,
        db_default=[],
        blank=True,
        size=MOST_AGENT_NUMBERS,
        help_text="Numbers of your own staff that flows may connect to at any hour, such as +912222222222. Rules hold"
        " for all others that they connect to.",
    )
    channels = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1)], help_text="The most calls at once."
    )
    starts_per_minute = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1)], help_text="The most calls started in any minute."
    )
    ring_timeout = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(SHORTEST_RING), MaxValueValidator(LONGEST_RING)],
        help_text="Seconds for which a phone rings, where a campaign does not say; empty: the server's.",
    )
    requests_per_minute = models.PositiveIntegerField(
        default=200, validators=[MinValueValidator(1)], help_text="The most API requests in any minute."
    )
    daily_calls = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most calls in a day of the time zone, retries too; empty: no limit.",
    )
    daily_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Minutes of conversation in a day after which nobody else is dialed; empty: no limit.",
    )
    allowed_countries = ArrayField(
        models.CharField(max_length=2, validators=[validate_region]),
        default=list,
        db_default=[],
        blank=True,
        help_text="Countries that may be called, such as IN,AE. Empty: the region and the caller IDs' countries.",
    )
    allowed_kinds = ArrayField(
        models.CharField(max_length=16, choices=NumberKind),
        default=usual_kinds,
        help_text="Kinds of numbers that may be called. Others are refused, and never dialed.",
    )
    webhook_secret = SecretField(default=new_secret, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(channels__gte=1), name="account_has_a_channel"),
            models.CheckConstraint(condition=Q(starts_per_minute__gte=1), name="account_may_start_calls"),
            models.CheckConstraint(condition=Q(requests_per_minute__gte=1), name="account_may_ask"),
            models.CheckConstraint(
                condition=(Q(daily_calls=None) | Q(daily_calls__gte=1))
                & (Q(daily_minutes=None) | Q(daily_minutes__gte=1)),
                name="account_has_daily_limits_above_zero",
            ),
            # 00:00 as both is the whole day.
            models.CheckConstraint(
                condition=Q(closes_at=time(0)) | ~Q(opens_at=F("closes_at")), name="account_closes_after_it_opens"
            ),
        ]

    def __str__(self) -> str:
        return self.sid

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def calling_hours(self) -> CallingHours:
        return CallingHours(
            self.opens_at,
            self.closes_at,
            self.zone,
            parse_week(self.weekly_hours) if self.weekly_hours else None,
            tuple(self.holidays_of),
            frozenset(self.closed_on),
        )

    def clean(self) -> None:
        if self.closes_at == self.opens_at != time(0):
            raise ValidationError(
                {"closes_at": "The closing time must differ from the opening time; 00:00 is midnight."}
            )


class ApiKey(models.Model):
    """The credentials of a client. The token is shown once, when the key is created; only its digest is stored.

    Rotation creates a new key, and sets `revoked_at` of the old one to a moment in the future.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=64, unique=True)
    token_digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True, blank=True, help_text="From this moment on the key is refused.")
    address_ranges = ArrayField(
        models.CharField(max_length=43, validators=[validate_range]),
        default=list,
        blank=True,
        help_text="The only networks it may be used from: 192.0.2.0/24, 2001:db8::/32, with commas. Empty: anywhere.",
    )

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name or self.key

    def works(self, now: datetime) -> bool:
        """Return whether the key has not been revoked yet. Its account may be inactive nevertheless."""
        return self.revoked_at is None or self.revoked_at > now


class CallerId(models.Model):
    """A number that an account's calls come from (the wire's ExoPhone), and the trunk that they leave over now.

    With several trunks in its order (`routes`), `dialer.failover` sets it to the first that takes calls.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="caller_ids")
    number = models.CharField(
        max_length=16,
        validators=[RegexValidator(r"\A\+?[0-9]{3,15}\Z", "Use digits, with the country code: +918012345678.")],
    )
    trunk = models.ForeignKey(Trunk, on_delete=models.PROTECT, related_name="caller_ids")
    channels = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most calls at once from this number; empty: no limit of its own.",
    )
    is_active = models.BooleanField(default=True, help_text="Nothing is dialled from an inactive caller ID.")

    class Meta:
        verbose_name = "caller ID"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "number"], name="caller_id_is_unique_in_its_account"),
            models.CheckConstraint(condition=Q(channels__gte=1) | Q(channels=None), name="caller_id_has_a_channel"),
        ]

    def __str__(self) -> str:
        return self.number


class Route(models.Model):
    """A trunk that calls from a caller ID may leave over, at its place in the order. None: only the caller ID's own."""

    caller_id = models.ForeignKey(CallerId, on_delete=models.CASCADE, related_name="routes")
    trunk = models.ForeignKey(Trunk, on_delete=models.PROTECT, related_name="routes")
    place = models.PositiveSmallIntegerField(help_text="The lowest one that takes calls is used.")

    class Meta:
        ordering: ClassVar = ["place"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller_id", "trunk"], name="route_names_a_trunk_once"),
            models.UniqueConstraint(fields=["caller_id", "place"], name="route_has_a_place_of_its_own"),
        ]

    def __str__(self) -> str:
        return f"{self.place}. {self.trunk}"


class Role(models.TextChoices):
    """What a person may do in the admin. Each role may also do what the ones before it may."""

    VIEWER = "viewer", "viewer: only looks"
    OPERATOR = "operator", "operator: runs campaigns"
    ADMINISTRATOR = "administrator", "administrator: also changes keys, flows and caller IDs"


class Membership(models.Model):
    """The role of a person in one account, or in all of them, also those that are made later."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(
        Account,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="memberships",
        help_text="Empty: all accounts. An administrator of all accounts also has trunks, people and periodic tasks.",
    )
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "account"], nulls_distinct=False, name="membership_is_one_row_for_user_and_account"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_has_a_known_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role} of {self.account or 'all accounts'}"
