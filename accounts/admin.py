"""The admin pages of accounts, API keys, caller IDs and trunks; those of people are in `people_admin`."""

import re
from contextlib import suppress
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.fields import BLANK_CHOICE_DASH
from django.http import HttpRequest
from django.utils.html import format_html

from accounts import (  # noqa: F401 -- audit_admin and people_admin register their pages
    audit,
    audit_admin,
    caller_ids,
    carriers,
    credentials,
    people_admin,
)
from accounts.address_ranges import validate_range
from accounts.admin_kit import AccountRows, PageAdmin, ReadOnlyAdmin
from accounts.audit import Verb
from accounts.audited_pages import actor
from accounts.calling_rules import presets
from accounts.carriers import CarrierKind
from accounts.models import Account, ApiKey, CallerId, CarrierAccount, NumberKind, Route, Trunk, usual_kinds
from accounts.signals import carrier_changing
from accounts.webhook_secrets import new_secret
from core import clocks
from core.admin_kit import DeletedWhenUnused, link
from core.encryption import UnreadableSecret

# Django's forms are generic for the type checker only.
if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
    _InlineFormSet = forms.BaseInlineFormSet[Any, Any, Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _ModelForm = forms.ModelForm
    _InlineFormSet = forms.BaseInlineFormSet
    _TabularInline = admin.TabularInline


class CountriesField(forms.CharField):
    """Two-letter codes, with commas or blanks. The model checks them, and names the one that is wrong."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return re.findall(r"[^\s,;]+", (super().to_python(value) or "").upper())

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(initial != self.to_python(data))


class SecondsField(forms.IntegerField):
    """A number of seconds; an empty one is 0."""

    def clean(self, value: Any) -> int:
        return int(super().clean(value) or 0)


class CapsField(CountriesField):
    """Caps with commas between them. The model checks them, and says what is wrong with one."""

    def to_python(self, value: Any) -> Any:
        return [cap.strip() for cap in (forms.CharField.to_python(self, value) or "").split(",") if cap.strip()]


class NumbersField(CountriesField):
    """Numbers with commas between them, each with blanks, hyphens and brackets as people write it."""

    def to_python(self, value: Any) -> Any:
        parts = re.split(r"[,;\n]", forms.CharField.to_python(self, value) or "")
        return list(dict.fromkeys(filter(None, (re.sub(r"[\s().-]", "", part) for part in parts))))


@admin.register(Account)
class AccountAdmin(DeletedWhenUnused, PageAdmin):
    """Limits and calling hours are the server's: an account's own administrators see them, and have its secret."""

    account_path = "pk"
    server_verbs = frozenset({"add", "change", "delete"})
    list_display = ("sid", "is_active", "hours", "region", "channels", "starts_per_minute", "created_at")
    list_filter = ("is_active", "region", "time_zone")
    search_fields = ("sid",)
    ordering = ("sid",)
    actions = ("show_webhook_secret", "renew_webhook_secret")
    told_values = frozenset(
        {"sid", "is_active", "region", "time_zone", "opens_at", "closes_at", "channels"}
        | {"starts_per_minute", "requests_per_minute", "ring_timeout"}
    )
    fieldsets = (
        (None, {"fields": ("sid", "is_active", "region", "created_at")}),
        (
            "Calling hours",
            {"fields": ("time_zone", "opens_at", "closes_at", "weekly_hours", "holidays_of", "closed_on")},
        ),
        (
            "Rules for the people who are called",
            {"fields": ("rules", "number_caps", "number_gap_seconds", "agent_numbers")},
        ),
        ("Destinations", {"fields": ("allowed_countries", "allowed_kinds")}),
        (
            "Limits",
            {
                "fields": (
                    *("channels", "starts_per_minute", "ring_timeout"),
                    *("requests_per_minute", "daily_calls", "daily_minutes"),
                )
            },
        ),
    )

    def zone_of(self, row: Account) -> tzinfo:
        return row.zone

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Show kinds of numbers and rule sets as boxes to tick, and countries as a text."""
        if db_field.name in {"allowed_countries", "holidays_of"}:
            return CountriesField(required=False, help_text=db_field.help_text)
        if db_field.name == "number_caps":
            return CapsField(required=False, help_text=db_field.help_text)
        if db_field.name == "agent_numbers":
            return NumbersField(required=False, help_text=db_field.help_text)
        if db_field.name == "number_gap_seconds":
            return SecondsField(required=False, min_value=0, help_text=db_field.help_text)
        if db_field.name == "rules":
            return forms.MultipleChoiceField(
                choices=[(preset.name, f"{preset.name}: {preset.title}") for preset in presets().values()],
                required=False,
                widget=forms.CheckboxSelectMultiple,
                help_text="Beside the account's own hours. Where they are from: docs/operator/calling-rules.md.",
            )
        if db_field.name == "allowed_kinds":
            return forms.MultipleChoiceField(
                choices=NumberKind.choices,
                initial=usual_kinds,
                widget=forms.CheckboxSelectMultiple,
                help_text=db_field.help_text,
            )
        return super().formfield_for_dbfield(db_field, request, **options)

    @admin.display(description="calling hours", ordering="opens_at")
    def hours(self, account: Account) -> str:
        return str(account.calling_hours)

    def has_secret_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "secret")

    @admin.action(description="Show the webhook secret of the selected accounts", permissions=["secret"])
    def show_webhook_secret(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        for account in queryset:
            try:
                secret = account.webhook_secret.reveal()
            except UnreadableSecret:
                text = f"{account}: SECRET_KEY has changed since this secret was stored. Make a new one."
                self.message_user(request, text, messages.ERROR)
                continue
            audit.record(actor(request), Verb.SHOWN, account, what="webhook secret")
            self.message_user(
                request, format_html("Webhook secret of {}: <code>{}</code>", account, secret), messages.WARNING
            )

    @admin.action(description="Make a new webhook secret for the selected accounts", permissions=["secret"])
    def renew_webhook_secret(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        for account in queryset:
            account.webhook_secret = new_secret()
            account.save(update_fields=["webhook_secret"])
            audit.record(actor(request), Verb.CHANGED, account, what="webhook secret")
        text = "New webhook secrets: from now on receivers must verify with them. Show them to copy them."
        self.message_user(request, text, messages.WARNING)


class ApiKeyForm(_ModelForm):
    def clean_address_ranges(self) -> list[str]:
        """Say what is wrong with a range: Django's own message for an array loses the reason."""
        ranges: list[str] = self.cleaned_data["address_ranges"]
        for text in ranges:
            validate_range(text)
        return ranges


@admin.register(ApiKey)
class ApiKeyAdmin(PageAdmin):
    """Creates keys through `accounts.credentials`, and shows each token once. It is not stored."""

    account_path = "account"
    form = ApiKeyForm
    list_display = ("key", "name", "account_link", "in_use", "last_used_at", "created_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("account",)
    search_fields = ("key", "name", "account__sid")
    ordering = ("-created_at",)
    autocomplete_fields = ("account",)
    actions = ("rotate", "revoke")
    told_values = frozenset({"address_ranges"})

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            asked = ["account", "name", "address_ranges"]
            return [(None, {"fields": asked, "description": "The key and its token are made at random."})]
        shown = ["account_link", "name", "address_ranges", "key", "in_use", "last_used_at", "created_at", "revoked_at"]
        return [(None, {"fields": self._with_local_times(shown)})]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return [*super().get_readonly_fields(request, obj), "account_link", "key", "in_use"]

    def has_delete_permission(self, *_: Any) -> bool:
        """Forbid deletion. A key is revoked instead, and its row says until when it worked."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "address_ranges"])
            return
        made = credentials.create_key(
            obj.account, actor=actor(request), name=obj.name, address_ranges=obj.address_ranges
        )
        obj.pk = ApiKey.objects.get(key=made.key).pk
        obj.refresh_from_db()
        self._show_token(request, made)

    def log_addition(self, request: HttpRequest, obj: ApiKey, message: Any) -> Any:
        """Leave the entry to `credentials`."""

    @admin.display(description="account", ordering="account__sid")
    def account_link(self, key: ApiKey) -> Any:
        return link(key.account)

    @admin.display(description="in use", boolean=True)
    def in_use(self, key: ApiKey) -> bool:
        return key.works(clocks.now())

    def _show_token(self, request: HttpRequest, made: credentials.Credentials) -> None:
        text = "Copy the token now, it is never shown again. Key: <code>{}</code> Token: <code>{}</code>"
        self.message_user(request, format_html(text, made.key, made.token), messages.WARNING)

    @admin.action(description="Rotate the selected keys", permissions=["add", "change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Create a new key beside each. The old ones still work for a day."""
        for key in queryset:
            try:
                made = credentials.rotate(key, actor=actor(request), now=clocks.now())
            except credentials.Revoked as error:
                self.message_user(request, f"Not rotated: {error}.", messages.ERROR)
                continue
            self._show_token(request, made)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        now, who = clocks.now(), actor(request)
        revoked = [key for key in queryset if credentials.revoke(key, actor=who, now=now)]
        self.message_user(request, f"Revoked: {len(revoked)}. Clients that sign in with them are refused from now on.")


class CallerIdForm(_ModelForm):
    def clean(self) -> dict[str, Any]:
        """Store the number in one spelling, so that the API finds it however a client writes it."""
        cleaned = super().clean() or self.cleaned_data
        if self.instance.pk is None and cleaned.get("account") and cleaned.get("number"):
            cleaned["number"] = caller_ids.canonical(cleaned["number"], cleaned["account"].region)
        if self.instance.pk and cleaned.get("trunk") and "trunk" in self.changed_data:
            kind = cleaned["trunk"].kind
            if obstacle := _obstacle_to(kind, CallerId.objects.filter(pk=self.instance.pk)):
                self.add_error("trunk", obstacle)
        return cleaned


def _obstacle_to(kind: CarrierKind, moved: "QuerySet[CallerId]") -> str:
    """Return why these caller IDs can't call over a carrier of this kind, and what to do; "" where they can."""
    refusals = [refusal for _, refusal in carrier_changing.send(CallerId, caller_ids=moved, kind=kind) if refusal]
    return f"{refusals[0]}. End that campaign first, or use another trunk." if refusals else ""


class RoutesForm(_InlineFormSet):
    """Refuses an order that leaves out the trunk in use, or that has a trunk which a campaign can't use."""

    def clean(self) -> None:
        super().clean()
        kept = [
            form for form in self.forms if form.cleaned_data.get("trunk") and not form.cleaned_data.get("DELETE", False)
        ]
        trunks = [form.cleaned_data["trunk"] for form in kept]
        if trunks and self.instance.trunk_id and self.instance.trunk not in trunks:
            raise ValidationError("Put the trunk of the caller ID into the order too, or leave the order empty.")
        own = CallerId.objects.filter(pk=self.instance.pk)
        for form in kept:
            if form.has_changed() and (obstacle := _obstacle_to(form.cleaned_data["trunk"].kind, own)):
                form.add_error("trunk", obstacle)


class RouteInline(AccountRows, _TabularInline):
    """The trunks of a caller ID in their order, for the server's administrators."""

    model = Route
    formset = RoutesForm
    account_path = "caller_id__account"
    server_verbs = frozenset({"view", "add", "change", "delete"})
    extra = 0
    fields = ("place", "trunk")
    verbose_name = "trunk in the order"
    verbose_name_plural = "trunks in their order: calls leave over the first that takes them"

    def may(self, request: HttpRequest, verb: str, row: Any = None) -> bool:
        """Ask without the row, which is the caller ID: no tenant has any of these."""
        return super().may(request, verb)


@admin.register(CallerId)
class CallerIdAdmin(DeletedWhenUnused, PageAdmin):
    """Only the server's administrators add one: another tenant's number works over the same trunk."""

    account_path = "account"
    server_verbs = frozenset({"add", "delete"})
    # Not the trunk: a tenant reads the entry.
    told_values = frozenset({"channels", "is_active"})
    form = CallerIdForm
    list_display = ("number", "account", "trunk", "channels", "is_active")
    list_filter = ("is_active", "trunk")
    list_select_related = ("account", "trunk")
    search_fields = ("number", "account__sid")
    ordering = ("account__sid", "number")
    autocomplete_fields = ("account", "trunk")
    fields = ("account", "number", "trunk", "channels", "is_active")
    inlines = (RouteInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallerId]:
        return super().get_queryset(request).defer("trunk__api_token", "trunk__signing_key")

    def get_readonly_fields(self, request: HttpRequest, obj: CallerId | None = None) -> Any:
        """Keep account and number of an existing caller ID, which campaigns refer to."""
        return [*super().get_readonly_fields(request, obj), *(("account", "number") if obj else ())]


def _secret(label: str, about: str = "") -> forms.CharField:
    """Return a field that takes a secret and never shows it."""
    return forms.CharField(
        label=label,
        required=False,
        strip=True,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text=f"{about}Stored encrypted and never shown. Empty: it stays as it is.",
    )


class TrunkForm(_ModelForm):
    """Takes the carrier's secrets and never shows them: the page does not even load them."""

    new_api_token = _secret("API token")
    new_signing_key = _secret("Signing key", "What the carrier's signatures are checked with. ")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer no carrier that is for tests, unless the trunk is of that carrier already."""
        super().__init__(*args, **kwargs)
        offered = [
            (kind.name, kind.label)
            for kind in carriers.all_kinds()
            if not kind.is_for_tests or kind.name == self.instance.carrier
        ]
        cast(forms.ChoiceField, self.fields["carrier"]).choices = [*BLANK_CHOICE_DASH, *offered]

    def clean(self) -> dict[str, Any]:
        """Ask for the token of another account: that of the old one must not be sent to a new address."""
        cleaned = super().clean() or self.cleaned_data
        has_credentials = cleaned.get("api_key") or self._needs_credentials(cleaned)
        if self.moves() and not cleaned.get("new_api_token") and has_credentials:
            text = "Enter the API token of this account: carrier, address or account SID differ from those it is of."
            self.add_error("new_api_token", text)
        if self.instance.pk and cleaned.get("carrier") and "carrier" in self.changed_data:
            kind = carriers.get(cleaned["carrier"])
            trunk = self.instance.pk
            using = CallerId.objects.filter(Q(trunk=trunk) | Q(routes__trunk=trunk)).distinct()
            if obstacle := _obstacle_to(kind, using):
                self.add_error("carrier", obstacle)
        return cleaned

    def moves(self) -> bool:
        """Tell whether an existing trunk is given another account at a carrier."""
        account = ("carrier", "base_url", "account_sid")
        given = {name: self.cleaned_data.get(name) for name in account if name in self.cleaned_data}
        if (address := given.get("base_url")) and (carrier := given.get("carrier")):
            with suppress(ValueError):  # the model says so
                given["base_url"] = carriers.get(carrier).read_address(address)
        return self.instance.pk is not None and any(self.initial.get(name) != value for name, value in given.items())

    @staticmethod
    def _needs_credentials(cleaned: dict[str, Any]) -> bool:
        return bool(cleaned.get("carrier")) and carriers.get(cleaned["carrier"]).needs_credentials


@admin.register(Trunk)
class TrunkAdmin(DeletedWhenUnused, PageAdmin):
    form = TrunkForm
    account_path = None
    list_display = ("name", "carrier", "base_url", "account_sid", "channels")
    list_filter = ("carrier",)
    search_fields = ("name", "account_sid")
    ordering = ("name",)
    fields = ("name", "carrier", "base_url", "account_sid", "api_key", "new_api_token", "new_signing_key", "channels")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trunk]:
        """Leave the secrets out, so that the page still opens to enter them again after a change of SECRET_KEY."""
        return super().get_queryset(request).defer("api_token", "signing_key")

    def save_model(self, request: HttpRequest, obj: Trunk, form: Any, change: bool) -> None:
        if token := form.cleaned_data["new_api_token"]:
            obj.api_token = token
        # The key of another account's signatures would refuse all that the new one sends.
        if (key := form.cleaned_data["new_signing_key"]) or form.moves():
            obj.signing_key = key
        super().save_model(request, obj, form, change)
        if form.moves():
            text = "Calls under way stay with the account that took them, and are asked for there. New ones go to"
            self.message_user(request, f"{text} {obj.carrier_account}.", messages.WARNING)


@admin.register(CarrierAccount)
class CarrierAccountAdmin(ReadOnlyAdmin):
    """Where calls were and are placed. A trunk's own page changes where it places the next ones."""

    account_path = None
    list_display = ("__str__", "carrier", "base_url", "account_sid", "left_at", "has_credentials")
    list_filter = ("carrier",)
    search_fields = ("account_sid", "base_url")
    ordering = ("carrier", "base_url", "account_sid")
    fields = ("carrier", "base_url", "account_sid", "left_at", "has_credentials")

    @admin.display(description="credentials are kept for calls under way", boolean=True)
    def has_credentials(self, account: CarrierAccount) -> bool:
        return bool(account.api_key or account.api_token)
