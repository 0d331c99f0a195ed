"""The admin pages of campaigns, calls and flows. What a person does to a campaign here goes through `lifecycle`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.forms import Textarea
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from campaigns import lifecycle, progress
from campaigns.models import Call, CallHistory, Campaign, CampaignHistory, CustomField, Flow
from contacts.admin import NumberSearch, as_e164
from contacts.models import ContactList
from core.admin_kit import (
    NOTHING,
    ChoiceFilter,
    DeletedWhenUnused,
    LargeTableAdmin,
    PageAdmin,
    PrettyJSONField,
    ReadOnlyAdmin,
    ReadOnlyInline,
    as_uuid,
    badge,
    link,
    local,
)
from core.errors import InvalidRequest
from core.ids import wire_id

S = Campaign.Status
CALLBACKS = ("call_status_callback", "call_schedule_callback", "status_callback")


@dataclass(frozen=True)
class Verb:
    """Something to do to a campaign. Where it is offered is a courtesy; whether it goes through, lifecycle says."""

    name: str
    past: str
    run: Callable[[Campaign], Campaign]
    offered: Callable[[Campaign], bool]
    question: str = ""  # asked first where it can't be taken back


VERBS = {
    verb.name: verb
    for verb in (
        Verb("pause", "paused", lifecycle.pause, lambda campaign: campaign.status in {S.CREATED, S.IN_PROGRESS}),
        Verb("resume", "resumed", lifecycle.resume, lambda campaign: campaign.status == S.PAUSED),
        Verb(
            "complete",
            "completed",
            lifecycle.complete,
            lambda campaign: campaign.status == S.PAUSED,
            question="Complete this campaign? The calls that are left fail, and it can't be resumed.",
        ),
        Verb(
            "archive",
            "archived",
            lifecycle.archive,
            lambda campaign: campaign.status == S.COMPLETED,
            question="Archive this campaign? It can't be taken out of the archive.",
        ),
        Verb(
            "delete",
            "deleted",
            lifecycle.delete,
            lifecycle.has_not_started,
            question="Delete this campaign? None of its numbers will be called.",
        ),
    )
}


def _action(verb: Verb) -> Callable[..., None]:
    @admin.action(description=f"{verb.name.capitalize()} the selected campaigns", permissions=["change"])
    def act(page: "CampaignAdmin", request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        page.act(request, queryset, verb)

    act.__name__ = f"{verb.name}_campaigns"
    return act


class CampaignHistoryInline(ReadOnlyInline):
    model = CampaignHistory
    account_path = "subject.account"
    fields = ("at", "from_status", "to_status", "reason")
    verbose_name_plural = "history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CampaignHistory]:
        return super().get_queryset(request).select_related("subject__account")


@admin.register(Campaign)
class CampaignAdmin(PageAdmin):
    """Campaigns are made through the API. Here they are watched, paused, resumed and ended.

    Only the callbacks, and before the start the name, can be edited; both pass through lifecycle, which may refuse.
    """

    list_display = ("name", "account", "state", "progress", "start", "end", "created_at")
    list_filter = ("status", "account", "send_at", "created_at")
    list_select_related = ("account",)
    # Each row's progress is counted from its calls, up to five thousand: a page of 25 stays quick.
    list_per_page = 25
    search_fields = ("name", "account__sid")
    search_help_text = "A part of the name or of the account's SID, or the whole campaign ID."
    ordering = ("-created_at", "-pk")
    actions = [_action(verb) for verb in VERBS.values()]
    inlines = (CampaignHistoryInline,)
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "account_link", "state", "progress", "by_status", "calls", "wire_id")}),
        ("Schedule", {"fields": ("send_at", "end_at", "expires_at", "started_at", "ended_at", "failure_http_status")}),
        (
            "Calling",
            {
                "fields": (
                    "caller_id_given",
                    "flow_link",
                    "flow_url",
                    "flow_type",
                    "text",
                    "repeat_menu_attempts",
                    "type",
                    "list_links",
                    "custom_field",
                    "call_duplicate_numbers",
                    "retries",
                    "pace",
                )
            },
        ),
        ("Callbacks", {"fields": CALLBACKS}),
        ("Row", {"fields": ("created_at", "updated_at"), "classes": ("collapse",)}),
    )

    # Who may do what ---------------------------------------------------------------------------------------------

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        """Django's delete removes the row and all its calls. Ours is a state: see `lifecycle.delete`."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> Any:
        editable = _editable(obj)
        return [name for name in flatten_fieldsets(self.get_fieldsets(request, obj)) if name not in editable]

    # Lists -------------------------------------------------------------------------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Campaign], search_term: str
    ) -> tuple[QuerySet[Campaign], bool]:
        if campaign_id := as_uuid(search_term):
            return queryset.filter(pk=campaign_id), False
        return super().get_search_results(request, queryset, search_term)

    def prepare(self, rows: Iterable[Campaign]) -> None:
        come = progress.of([campaign.pk for campaign in rows])
        for campaign in rows:
            cast(Any, campaign).come = come[campaign.pk]

    # Actions -----------------------------------------------------------------------------------------------------

    def get_urls(self) -> Any:
        act = path(
            "<path:object_id>/act/<str:verb>/",
            self.admin_site.admin_view(require_POST(self.act_view)),
            name="campaigns_campaign_act",
        )
        return [act, *super().get_urls()]

    def act_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponseBase:
        campaign = self.get_object(request, unquote(object_id))
        if campaign is None or verb not in VERBS:
            raise Http404
        if not self.has_change_permission(request, campaign):
            raise PermissionDenied
        self.act(request, [campaign], VERBS[verb])
        return redirect("admin:campaigns_campaign_change", campaign.pk)

    def act(self, request: HttpRequest, campaigns: Iterable[Campaign], verb: Verb) -> None:
        """Each campaign by itself: one that refuses does not hold up the others."""
        done = 0
        for campaign in campaigns:
            try:
                verb.run(campaign)
            except InvalidRequest as error:
                self.message_user(request, f"“{campaign.name}”: {error}", messages.ERROR)
                continue
            self.log_change(request, campaign, f"{verb.past.capitalize()}.")
            done += 1
        if done:
            self.message_user(request, f"{done} {'campaign' if done == 1 else 'campaigns'} {verb.past}.")

    # Editing -----------------------------------------------------------------------------------------------------

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except InvalidRequest as error:  # its state changed while the page was open; everything is rolled back
            self.message_user(request, str(error), messages.ERROR)
            return redirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:
        given = {name: form.cleaned_data[name] for name in form.changed_data}
        if "name" in given:
            lifecycle.change(obj, now=timezone.now(), **given)
        elif given:
            lifecycle.change_callbacks(obj, **given)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Campaign | None = None,
    ) -> Any:
        may_change = self.has_change_permission(request, obj)
        context["verbs"] = [verb for verb in VERBS.values() if obj and may_change and verb.offered(obj)]
        if not _editable(obj):
            context |= {"show_save": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Columns -----------------------------------------------------------------------------------------------------

    @admin.display(description="account", ordering="account__sid")
    def account_link(self, campaign: Campaign) -> SafeString:
        return link(campaign.account)

    @admin.display(description="state", ordering="status")
    def state(self, campaign: Campaign) -> SafeString:
        return badge(campaign.status, campaign.get_status_display())

    @admin.display(description="progress")
    def progress(self, campaign: Campaign) -> SafeString:
        come = _come(campaign)
        percent = 100 * come.ended // come.total if come.total else 0
        return format_html(
            '<span class="nowrap">{} of {} · {} %</span> <progress max="{}" value="{}" aria-hidden="true"></progress>',
            come.ended,
            come.total,
            percent,
            come.total or 1,
            come.ended,
        )

    @admin.display(description="start", ordering="send_at")
    def start(self, campaign: Campaign) -> SafeString | str | None:
        zone = campaign.account.zone
        if campaign.started_at:
            return local(campaign.started_at, zone)
        return format_html("due {}", local(campaign.send_at, zone)) if campaign.is_open else "never"

    @admin.display(description="end", ordering=Coalesce("ended_at", "expires_at"))
    def end(self, campaign: Campaign) -> SafeString | None:
        zone = campaign.account.zone
        if campaign.ended_at:
            return local(campaign.ended_at, zone)
        return format_html("by {}", local(campaign.expires_at, zone))

    @admin.display(description="calls by state")
    def by_status(self, campaign: Campaign) -> str:
        come = _come(campaign)
        counts = [(come.count(status), status.label) for status in Call.Status]
        return " · ".join(f"{count} {label}" for count, label in counts if count) or "no calls"

    @admin.display(description="calls")
    def calls(self, campaign: Campaign) -> SafeString:
        address = reverse("admin:campaigns_call_changelist", query={"campaign": campaign.pk})
        return format_html('<a href="{}">The calls of this campaign</a>', address)

    @admin.display(description="campaign ID")
    def wire_id(self, campaign: Campaign) -> str:
        return wire_id(campaign.pk)

    @admin.display(description="flow")
    def flow_link(self, campaign: Campaign) -> SafeString | str:
        return link(campaign.flow) if campaign.flow else NOTHING

    @admin.display(description="lists")
    def list_links(self, campaign: Campaign) -> SafeString | str:
        """A list that has been deleted since is shown by its id."""
        known = ContactList.objects.in_bulk(campaign.list_ids)
        shown = ((link(known[key]) if key in known else wire_id(key),) for key in campaign.list_ids)
        return format_html_join(", ", "{}", shown) or NOTHING

    @admin.display(description="custom field")
    def custom_field(self, campaign: Campaign) -> str:
        field = CustomField.objects.filter(campaign=campaign).first()
        return field.value if field else NOTHING

    @admin.display(description="retries")
    def retries(self, campaign: Campaign) -> str:
        if not campaign.number_of_retries:
            return "none"
        statuses = ", ".join(campaign.retry_on_status) or "nothing"
        interval = f"{campaign.retry_interval_mins} minutes apart ({campaign.retry_mechanism})"
        return f"up to {campaign.number_of_retries}, {interval}, after {statuses}"

    @admin.display(description="pace")
    def pace(self, campaign: Campaign) -> str:
        return f"at most {campaign.throttle} call starts a minute" if campaign.throttle else "a fair share"


def _editable(campaign: Campaign | None) -> set[str]:
    if campaign is None or not campaign.is_open:
        return set()
    return {*CALLBACKS, "name"} if lifecycle.has_not_started(campaign) else set(CALLBACKS)


def _come(campaign: Campaign) -> progress.Progress:
    """How far the campaign has come: counted for the whole list beforehand, else now."""
    if not hasattr(campaign, "come"):
        cast(Any, campaign).come = progress.of([campaign.pk])[campaign.pk]
    return cast(progress.Progress, cast(Any, campaign).come)


class CampaignFilter(admin.SimpleListFilter):
    """The one campaign that a link from its page names. It lists no others: there may be thousands."""

    title = "campaign"
    parameter_name = "campaign"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Django drops a filter without choices, and then shows everything: an unknown campaign needs a choice too."""
        if not (given := self.value()):
            return []
        campaign_id = as_uuid(given)
        campaign = Campaign.objects.filter(pk=campaign_id).first() if campaign_id else None
        return [(given, campaign.name if campaign else "not found")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (given := self.value()):
            return queryset
        campaign_id = as_uuid(given)
        return queryset.filter(campaign=campaign_id) if campaign_id else queryset.none()


class CallHistoryInline(ReadOnlyInline):
    model = CallHistory
    account_path = "subject.campaign.account"
    fields = ("at", "from_status", "to_status", "reason")
    verbose_name_plural = "history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallHistory]:
        return super().get_queryset(request).select_related("subject__campaign__account")


@admin.register(Call)
class CallAdmin(LargeTableAdmin):
    account_path = "campaign.account"
    list_display = (
        "number",
        "campaign_link",
        "state",
        "attempts_made",
        "last_outcome",
        "next_attempt_at",
        "ended_at",
        "end_reason",
    )
    list_filter = ("status", "last_outcome", CampaignFilter)
    list_select_related = ("campaign__account",)
    search_fields = ("number",)
    search_help_text = "The whole number, with the country code, or the ID of a campaign."
    inlines: ClassVar[Any] = (CallHistoryInline,)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("number", "name", "campaign_link", "state", "attempts_made", "last_outcome", "variables")}),
        ("Where it stands", {"fields": ("next_attempt_at", "ended_at", "end_reason", "http_status")}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        """By the exact number only: a part of one would read every call there ever was."""
        if not search_term:
            return queryset, False
        if campaign_id := as_uuid(search_term):
            return queryset.filter(campaign=campaign_id), False
        return queryset.filter(number=as_e164(search_term)), False

    @admin.display(description="campaign")
    def campaign_link(self, call: Call) -> SafeString:
        return link(call.campaign)

    @admin.display(description="state")
    def state(self, call: Call) -> SafeString:
        return badge(call.status, call.get_status_display())


@admin.register(Flow)
class FlowAdmin(DeletedWhenUnused, PageAdmin):
    list_display = ("flow_id", "account")
    list_select_related = ("account",)
    search_fields = ("flow_id", "account__sid")
    ordering = ("account__sid", "flow_id")
    autocomplete_fields = ("account",)
    fields = ("account", "flow_id", "document")
    formfield_overrides = {
        models.JSONField: {
            "form_class": PrettyJSONField,
            "widget": Textarea(attrs={"rows": 24, "cols": 100, "class": "json", "spellcheck": "false"}),
        }
    }

    def get_readonly_fields(self, request: HttpRequest, obj: Flow | None = None) -> Any:
        """Addresses of campaigns end in the id, so it stays; the document can change."""
        return [*super().get_readonly_fields(request, obj), *(("account", "flow_id") if obj else ())]


@admin.register(CustomField)
class CustomFieldAdmin(ReadOnlyAdmin):
    account_path = "campaign.account"
    list_display = ("campaign", "account", "value")
    list_select_related = ("campaign__account",)
    search_fields = ("campaign__name", "campaign__account__sid", "value")
    ordering = ("-pk",)
    fields = ("campaign_link", "account", "value")

    @admin.display(description="campaign")
    def campaign_link(self, field: CustomField) -> SafeString:
        return link(field.campaign)

    @admin.display(description="account")
    def account(self, field: CustomField) -> str:
        return field.campaign.account.sid


class HistoryAdmin(LargeTableAdmin):
    """One row per move of a state. The reason says who or what moved it."""

    list_display = ("at", "subject_link", "from_status", "to", "reason")
    fields = ("at", "subject_link", "from_status", "to_status", "reason")

    @admin.display(description="of")
    def subject_link(self, row: Any) -> SafeString:
        return link(row.subject)

    @admin.display(description="to state")
    def to(self, row: Any) -> SafeString:
        return badge(row.to_status)


class CampaignBecame(ChoiceFilter):
    title = "to state"
    parameter_name = column = "to_status"
    values = Campaign.Status.choices


class CallBecame(ChoiceFilter):
    title = "to state"
    parameter_name = column = "to_status"
    values = Call.Status.choices


@admin.register(CampaignHistory)
class CampaignHistoryAdmin(HistoryAdmin):
    account_path = "subject.account"
    list_filter = (CampaignBecame,)
    list_select_related = ("subject__account",)
    search_fields = ("subject__name",)
    search_help_text = "A part of the campaign's name, or the whole campaign ID."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CampaignHistory], search_term: str
    ) -> tuple[QuerySet[CampaignHistory], bool]:
        if campaign_id := as_uuid(search_term):
            return queryset.filter(subject=campaign_id), False
        return super().get_search_results(request, queryset, search_term)


@admin.register(CallHistory)
class CallHistoryAdmin(NumberSearch, HistoryAdmin):
    number_path = "subject__number"
    account_path = "subject.campaign.account"
    list_filter = (CallBecame,)
    list_select_related = ("subject__campaign__account",)
