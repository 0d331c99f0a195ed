"""The admin page of calls."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from accounts.admin_kit import LargeTableAdmin, ReadOnlyInline
from accounts.audited_pages import actor
from accounts.models import Role
from campaigns import taking_out
from campaigns.models import Call, CallHistory, Campaign
from contacts.admin import NumberSearch
from core import clocks, ids
from core.admin_kit import badge, link

# Calls of one action: nobody can judge more of them than these. Each of their campaigns is a handful of statements.
MOST_TAKEN_OUT, MOST_CAMPAIGNS = 500, 20
# Refusals that the message spells out.
MOST_REFUSALS = 10
ONLY_THE_LIST = "Only the do-not-call list keeps other campaigns from calling people."


class CampaignFilter(admin.SimpleListFilter):
    """Shows the rows of one campaign, which a link from the campaign's page names.

    Offers no other campaigns to choose from: there may be thousands.
    """

    title = "campaign"
    parameter_name = "campaign"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return a choice even for an unknown campaign: Django ignores a filter without choices, and shows all rows."""
        if not (given := self.value()):
            return []
        campaign_id = ids.parse(given.strip())
        visible = model_admin.page_of(Campaign).get_queryset(request)
        campaign = visible.filter(pk=campaign_id).first() if campaign_id else None
        return [(given, campaign.name if campaign else "not found")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (given := self.value()):
            return queryset
        campaign_id = ids.parse(given.strip())
        return queryset.filter(campaign=campaign_id) if campaign_id else queryset.none()


class CallHistoryInline(ReadOnlyInline):
    model = CallHistory
    account_path = "subject__campaign__account"
    fields = ("at", "from_status", "to_status", "reason")
    verbose_name_plural = "history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallHistory]:
        return super().get_queryset(request).select_related("subject__campaign__account")


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=255, required=False, help_text="For the report and the audit log: why these people are not called."
    )


@admin.register(Call)
class CallAdmin(NumberSearch, LargeTableAdmin):
    """Shows calls, and lets operators take some out of campaigns that go on."""

    account_path = "campaign__account"
    roles: ClassVar = {"view": Role.VIEWER, "take_out": Role.OPERATOR}
    actions = ("take_out_calls",)
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
    search_help_text = "The whole number, with the country code, or the ID of a campaign."
    inlines: ClassVar[Any] = (CallHistoryInline,)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("number", "name", "campaign_link", "state", "attempts_made", "last_outcome", "variables")}),
        ("Where it stands", {"fields": ("next_attempt_at", "ended_at", "end_reason", "http_status")}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        if campaign_id := ids.parse(search_term.strip()):
            return queryset.filter(campaign=campaign_id), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="campaign")
    def campaign_link(self, call: Call) -> SafeString:
        return link(call.campaign)

    @admin.display(description="state")
    def state(self, call: Call) -> SafeString:
        return badge(call.status, call.get_status_display())

    def has_take_out_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "take_out")

    @admin.action(description="Take the selected calls out of their campaigns", permissions=["take_out"])
    def take_out_calls(self, request: HttpRequest, queryset: QuerySet[Call]) -> HttpResponseBase | None:
        """Ask first, on a page that names the calls."""
        calls = list(queryset.select_related("campaign__account")[: MOST_TAKEN_OUT + 1])
        if len(calls) > MOST_TAKEN_OUT or len({call.campaign_id for call in calls}) > MOST_CAMPAIGNS:
            most = f"{MOST_TAKEN_OUT:,} calls of at most {MOST_CAMPAIGNS} campaigns"
            self.message_user(request, f"Nothing was done: select at most {most}.", messages.ERROR)
            return None
        is_confirmed = request.POST.get("confirmed") == "take_out_calls"
        form = ReasonForm(request.POST if is_confirmed else None)
        if not (is_confirmed and form.is_valid()):
            return self._question(request, calls, form)
        done = taking_out.take_out_calls(
            calls, actor=actor(request), reason=form.cleaned_data["reason"], now=clocks.now()
        )
        self._tell(request, done)
        return None

    def _question(self, request: HttpRequest, calls: list[Call], form: forms.Form) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Take {_calls(len(calls))} out?",
            "opts": self.opts,
            "waiting": [call for call in calls if call.status in {Call.Status.CREATED, Call.Status.RETRYING}],
            "under_way": [call for call in calls if call.status == Call.Status.IN_PROGRESS],
            "over": [call for call in calls if call.status in Call.ENDED],
            "calls": calls,
            "form": form,
            "action": "take_out_calls",
        }
        return TemplateResponse(request, "admin/campaigns/call/confirm_taking_out.html", context)

    def _tell(self, request: HttpRequest, done: taking_out.TakenOutOfMany) -> None:
        told = [f"{_calls(done.waiting)} ended."]
        if done.under_way:
            told.append(f"{done.under_way:,} under way go on, and are not tried again.")
        if done.over:
            told.append(f"{done.over:,} had ended before. {ONLY_THE_LIST}")
        told += [f"“{campaign.name}”: {refusal}." for campaign, refusal in done.refusals[:MOST_REFUSALS]]
        level = messages.WARNING if done.refusals or not (done.waiting or done.under_way) else messages.SUCCESS
        self.message_user(request, " ".join(told), level)


def _calls(count: int) -> str:
    return f"{count:,} {'call' if count == 1 else 'calls'}"
