"""The admin page of campaigns."""

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin_kit import PageAdmin, ReadOnlyInline
from accounts.audited_pages import actor
from accounts.models import Role
from campaigns import lifecycle, progress
from campaigns.admin.again_page import AgainPage
from campaigns.admin.verb_actions import VerbActions
from campaigns.models import Call, Campaign, CampaignHistory, CustomField
from contacts.models import ContactList
from core import clocks, ids
from core.admin_kit import NOTHING, WordSearch, badge, link, local
from core.errors import InvalidRequest
from core.ids import wire_id

CALLBACKS = ("call_status_callback", "call_schedule_callback", "status_callback")


class CampaignHistoryInline(ReadOnlyInline):
    model = CampaignHistory
    account_path = "subject__account"
    fields = ("at", "from_status", "to_status", "reason")
    verbose_name_plural = "history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CampaignHistory]:
        return super().get_queryset(request).select_related("subject__account")


@admin.register(Campaign)
class CampaignAdmin(VerbActions, AgainPage, WordSearch, PageAdmin):
    """Shows campaigns, and lets people pause, resume and end them. Only the API creates them.

    The callbacks, and before the start the name, can be edited. Both edits go through `lifecycle`, which may refuse.
    """

    account_path = "account"
    roles: ClassVar = {"view": Role.VIEWER, "change": Role.OPERATOR}
    list_display = ("name", "account", "state", "progress", "start", "end", "created_at")
    list_filter = ("status", "account", "send_at", "created_at")
    list_select_related = ("account",)
    # The progress of each row is a sum over its calls' tally: a page of 25 stays quick.
    list_per_page = 25
    search_fields = ("name", "account__sid")
    search_help_text = "The beginning of words of the name or of the account's SID, or the whole campaign ID."
    ordering = ("-created_at", "-pk")
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
                    "ring_timeout",
                    "rules",
                    "waived_rules",
                    "waived_because",
                )
            },
        ),
        ("Callbacks", {"fields": CALLBACKS}),
        ("Row", {"fields": ("created_at", "updated_at"), "classes": ("collapse",)}),
    )

    # Permissions -------------------------------------------------------------------------------------------------

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        """Forbid Django's delete, which removes the row and all its calls. Ours is a state: see `lifecycle.delete`."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> Any:
        editable = _editable(obj)
        return [name for name in flatten_fieldsets(self.get_fieldsets(request, obj)) if name not in editable]

    # Lists -------------------------------------------------------------------------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Campaign], search_term: str
    ) -> tuple[QuerySet[Campaign], bool]:
        if campaign_id := ids.parse(search_term.strip()):
            return queryset.filter(pk=campaign_id), False
        return super().get_search_results(request, queryset, search_term)

    def prepare(self, rows: Iterable[Campaign]) -> None:
        counted = progress.of([campaign.pk for campaign in rows])
        for campaign in rows:
            cast(Any, campaign).counted = counted[campaign.pk]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        return super().get_queryset(request).filter(is_purging=False)

    # Editing -----------------------------------------------------------------------------------------------------

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except InvalidRequest as error:  # the state changed while the page was open; Django has rolled back
            self.message_user(request, str(error), messages.ERROR)
            return redirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:
        given = {name: form.cleaned_data[name] for name in form.changed_data}
        if "name" in given:
            lifecycle.change(obj, actor=actor(request), now=clocks.now(), **given)
        elif given:
            lifecycle.change_callbacks(obj, actor=actor(request), **given)

    def log_change(self, request: HttpRequest, obj: Campaign, message: Any) -> Any:
        """Leave the entry to `lifecycle`."""

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Campaign | None = None,
    ) -> Any:
        context["verbs"] = self.allowed_verbs(request, obj)
        context["may_call_again"] = self.may_call_again(request, obj)
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
        counted = _progress_of(campaign)
        percent = 100 * counted.ended // counted.total if counted.total else 0
        return format_html(
            '<span class="nowrap">{} of {} · {} %</span> <progress max="{}" value="{}" aria-hidden="true"></progress>',
            counted.ended,
            counted.total,
            percent,
            counted.total or 1,
            counted.ended,
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
        counted = _progress_of(campaign)
        counts = [(counted.count(status), status.label) for status in Call.Status]
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
        """Link the lists; one that was deleted since is shown by its ID."""
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


def _progress_of(campaign: Campaign) -> progress.Progress:
    """Return the campaign's progress, which `prepare` has counted for a whole list of campaigns at once."""
    if not hasattr(campaign, "counted"):
        cast(Any, campaign).counted = progress.of([campaign.pk])[campaign.pk]
    return cast(progress.Progress, cast(Any, campaign).counted)
