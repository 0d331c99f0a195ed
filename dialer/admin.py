"""Read-only admin pages of attempts, carriers' events and the trunks' health."""

from collections.abc import Iterable
from datetime import UTC, tzinfo
from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts import audit, carriers
from accounts.admin import TrunkAdmin
from accounts.admin_kit import LargeTableAdmin, ReadOnlyAdmin, ReadOnlyInline
from accounts.audited_pages import actor
from accounts.models import Trunk
from campaigns.admin import CallAdmin, CampaignAdmin, CampaignFilter, HistoryAdmin
from campaigns.models import Call, Campaign
from contacts.admin import NumberSearch
from core import clocks, ids
from core.admin_kit import NOTHING, ChoiceFilter, badge, link, pretty_json
from dialer import diagnosis, trunk_check
from dialer.models import (
    AttemptHistory,
    CallAttempt,
    CallerIdHealth,
    CarrierEvent,
    Health,
    Recording,
    RouteHealth,
    Transfer,
    TrunkHealth,
)

# Trunks that one request checks: it may wait for each of their carriers.
MOST_CHECKED = 3


class AttemptParts:
    """Columns that the list of attempts and the page of a call share."""

    @admin.display(description="state")
    def state(self, attempt: CallAttempt) -> SafeString:
        return badge(attempt.status, attempt.get_status_display())

    @admin.display(description="attempt ID")
    def attempt_link(self, attempt: CallAttempt) -> SafeString:
        return link(attempt)


class AttemptInline(AttemptParts, ReadOnlyInline):
    model = CallAttempt
    account_path = "campaign__account"
    ordering = ("claimed_at", "pk")
    verbose_name_plural = "attempts"
    fields = (
        "attempt_link",
        "number",
        "state",
        "trunk",
        "claimed_at",
        "answered_at",
        "ended_at",
        "duration_seconds",
        "reason",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallAttempt]:
        attempts = super().get_queryset(request).select_related("campaign__account", "trunk")
        return attempts.defer("trunk__api_token")


# The campaigns app, which must not import the dialer, has the pages of campaigns and calls. These add the diagnosis.
admin.site.unregister((Campaign, Call, Trunk))


@admin.register(Trunk)
class CheckedTrunkAdmin(TrunkAdmin):
    """The page of trunks, with a button that checks them."""

    actions = ("check_trunks",)

    @admin.action(description="Check the selected trunks (rings nobody)", permissions=["change"])
    def check_trunks(self, request: HttpRequest, queryset: QuerySet[Trunk]) -> None:
        """Show what `manage.py check_trunk` says. Each step may wait for the carrier, so it takes a few trunks."""
        if queryset.count() > MOST_CHECKED:
            text = f"Select at most {MOST_CHECKED} trunks: the carrier is asked for each."
            self.message_user(request, text, messages.ERROR)
            return
        for trunk in queryset:
            for step in trunk_check.check(trunk):
                level = messages.SUCCESS if step.is_good else messages.ERROR
                self.message_user(request, f"{trunk}: {step.name}: {step.said}", level)
            audit.record(actor(request), audit.Verb.RAN, trunk, what="check_trunk")


@admin.register(Campaign)
class DiagnosedCampaignAdmin(CampaignAdmin):
    fieldsets = (
        CampaignAdmin.fieldsets[0],
        ("Diagnosis", {"fields": ("diagnosis", "details")}),
        *CampaignAdmin.fieldsets[1:],
    )
    server_columns = frozenset({"details"})

    @admin.display(description="why it dials, or does not")
    def diagnosis(self, campaign: Campaign) -> str:
        return diagnosis.of_campaign(campaign, clocks.now()).summary

    @admin.display(description="for the server's administrators")
    def details(self, campaign: Campaign) -> SafeString | str:
        found = diagnosis.of_campaign(campaign, clocks.now())
        details = [(reason.code, reason.detail) for reason in found.reasons if reason.detail]
        return format_html_join(mark_safe("<br>"), "{}: {}", details) or NOTHING


@admin.register(Call)
class CallWithAttemptsAdmin(CallAdmin):
    inlines = (AttemptInline, *CallAdmin.inlines)
    fieldsets = (CallAdmin.fieldsets[0], ("Diagnosis", {"fields": ("diagnosis",)}), *CallAdmin.fieldsets[1:])

    @admin.display(description="what has become of it")
    def diagnosis(self, call: Call) -> str:
        now = clocks.now()
        [found] = diagnosis.of_calls([call], diagnosis.of_campaign(call.campaign, now), now)
        return found.summary


class AttemptHistoryInline(ReadOnlyInline):
    model = AttemptHistory
    account_path = "subject__campaign__account"
    fields = ("at", "from_status", "to_status", "reason")
    verbose_name_plural = "history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AttemptHistory]:
        return super().get_queryset(request).select_related("subject__campaign__account")


@admin.register(CallAttempt)
class CallAttemptAdmin(AttemptParts, NumberSearch, LargeTableAdmin):
    number_path = "call__number"
    account_path = "campaign__account"
    list_display = (
        "called",
        "campaign",
        "number",
        "state",
        "trunk",
        "claimed_at",
        "answered_at",
        "ended_at",
        "duration_seconds",
        "reason",
    )
    list_filter = ("status", "trunk", CampaignFilter)
    list_select_related = ("call", "campaign__account", "trunk")
    search_help_text = "The attempt's ID, the carrier's ID, or + and the whole number."
    inlines = (AttemptHistoryInline,)
    fieldsets = (
        (None, {"fields": ("attempt_id", "call_link", "campaign_link", "number", "state", "reason")}),
        (
            "Carrier",
            {"fields": ("trunk", "carrier_account", "carrier_ref", "ref_is_guess", "ref_is_repeated", "http_status")},
        ),
        ("Times", {"fields": ("claimed_at", "placing_at", "heard_at", "answered_at", "ended_at")}),
        ("Conversation", {"fields": ("duration_seconds", "digits", "recording_url")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallAttempt]:
        return super().get_queryset(request).defer("trunk__api_token")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CallAttempt], search_term: str
    ) -> tuple[QuerySet[CallAttempt], bool]:
        """Tell by the form of the term which column it is for, so that each search is one comparison with an index."""
        if attempt_id := ids.parse(search_term.strip()):
            return queryset.filter(pk=attempt_id), False
        if search_term and not search_term.startswith("+"):
            return queryset.filter(carrier_ref=search_term), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="number")
    def called(self, attempt: CallAttempt) -> str:
        return attempt.call.number

    @admin.display(description="attempt ID")
    def attempt_id(self, attempt: CallAttempt) -> str:
        return str(attempt.pk)

    @admin.display(description="call")
    def call_link(self, attempt: CallAttempt) -> SafeString:
        return link(attempt.call)

    @admin.display(description="campaign")
    def campaign_link(self, attempt: CallAttempt) -> SafeString:
        return link(attempt.campaign)


class AttemptBecame(ChoiceFilter):
    title = "to state"
    parameter_name = column = "to_status"
    values = CallAttempt.Status.choices


@admin.register(AttemptHistory)
class AttemptHistoryAdmin(HistoryAdmin):
    account_path = "subject__campaign__account"
    list_filter = (AttemptBecame,)
    list_select_related = ("subject__campaign__account",)
    search_fields = ("subject",)
    search_help_text = "The attempt's ID."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AttemptHistory], search_term: str
    ) -> tuple[QuerySet[AttemptHistory], bool]:
        return _of_attempt(queryset, "subject", search_term), False


class CarrierFilter(ChoiceFilter):
    title = "carrier"
    parameter_name = column = "carrier"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The carriers are known once all apps are ready, which is after this module was imported."""
        return list(carriers.choices())


@admin.register(CarrierEvent)
class CarrierEventAdmin(LargeTableAdmin):
    """The inbox as carriers filled it, with their names for the operator's accounts: for the server's administrators.

    An event has no foreign key to its attempt, so the page looks the attempts up, all in one query.
    """

    list_display = ("received_at", "carrier", "attempt_link", "state", "handled_at", "error")
    list_filter = (("handled_at", admin.EmptyFieldListFilter), CarrierFilter)
    search_fields = ("attempt_id",)
    search_help_text = "The attempt's ID."
    fields = ("received_at", "carrier", "attempt_link", "state", "handled_at", "error", "content")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CarrierEvent], search_term: str
    ) -> tuple[QuerySet[CarrierEvent], bool]:
        return _of_attempt(queryset, "attempt_id", search_term), False

    def prepare(self, rows: Iterable[CarrierEvent]) -> None:
        attempts = CallAttempt.objects.select_related("campaign__account").in_bulk([row.attempt_id for row in rows])
        for row in rows:
            cast(Any, row).attempt = attempts.get(row.attempt_id)

    def zone_of(self, row: CarrierEvent) -> tzinfo:
        attempt = self._attempt(row)
        return attempt.campaign.account.zone if attempt else UTC

    def _attempt(self, row: CarrierEvent) -> CallAttempt | None:
        if not hasattr(row, "attempt"):
            self.prepare([row])
        return cast("CallAttempt | None", cast(Any, row).attempt)

    @admin.display(description="attempt ID")
    def attempt_link(self, row: CarrierEvent) -> str:
        attempt = self._attempt(row)
        return link(attempt) if attempt else f"{row.attempt_id} (there is no such attempt)"

    @admin.display(description="state")
    def state(self, row: CarrierEvent) -> SafeString:
        if row.error:
            return badge("failed", "not understood")
        return badge("completed", "handled") if row.handled_at else badge("created", "new")

    @admin.display(description="payload")
    def content(self, row: CarrierEvent) -> SafeString | str:
        if row.payload is None:
            return "removed some days after the event was handled (EVENT_PAYLOADS_KEPT_DAYS)"
        return pretty_json(row.payload)


def _of_attempt(queryset: QuerySet[Any], column: str, text: str) -> QuerySet[Any]:
    if not text:
        return queryset
    attempt_id = ids.parse(text.strip())
    return queryset.filter(**{column: attempt_id}) if attempt_id else queryset.none()


HEALTH = ("state", "failures", "down_since", "resting_until", "last_error")


class HealthAdmin(ReadOnlyAdmin):
    list_filter = (("down_since", admin.EmptyFieldListFilter),)

    @admin.display(description="state")
    def state(self, health: Health) -> SafeString:
        return badge("failed", "down") if health.down_since else badge("completed", "up")


@admin.register(TrunkHealth)
class TrunkHealthAdmin(HealthAdmin):
    account_path = None
    list_display = fields = ("trunk", *HEALTH)
    list_select_related = ("trunk",)
    search_fields = ("trunk__name",)
    ordering = ("trunk__name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrunkHealth]:
        return super().get_queryset(request).defer("trunk__api_token")


@admin.register(RouteHealth)
class RouteHealthAdmin(HealthAdmin):
    account_path = "route__caller_id__account"
    server_columns = frozenset({"route", "last_error"})
    list_display = fields = ("caller_id", "route", *HEALTH)
    list_select_related = ("route__caller_id__account", "route__trunk")
    search_fields = ("route__caller_id__number",)
    ordering = ("route__caller_id__number", "route__place")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RouteHealth]:
        return super().get_queryset(request).defer("route__trunk__api_token")

    @admin.display(description="caller ID")
    def caller_id(self, health: RouteHealth) -> str:
        return str(health.route.caller_id)


@admin.register(Transfer)
class TransferAdmin(NumberSearch, LargeTableAdmin):
    account_path = "attempt__account"
    list_display = (
        *("number", "to_person", "attempt", "started_at", "ended_at", "outcome", "rule"),
        *("ring_seconds", "talk_seconds"),
    )
    fields = (*list_display, "reason")
    list_select_related = ("attempt__account",)


@admin.register(Recording)
class RecordingAdmin(LargeTableAdmin):
    account_path = "attempt__account"
    list_display = ("attempt", "seconds", "is_cut", "recorded_at")
    fields = ("attempt", "place", "seconds", "is_cut", "recorded_at", "url")
    list_select_related = ("attempt__account", "attempt__campaign")


@admin.register(CallerIdHealth)
class CallerIdHealthAdmin(HealthAdmin):
    account_path = "caller_id__account"
    server_columns = frozenset({"last_error"})
    list_display = fields = ("caller_id", *HEALTH)
    list_select_related = ("caller_id__account",)
    search_fields = ("caller_id__number",)
    ordering = ("caller_id__number",)
