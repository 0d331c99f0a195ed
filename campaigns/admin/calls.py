"""The admin page of calls."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.admin_kit import LargeTableAdmin, ReadOnlyInline
from campaigns.models import Call, CallHistory, Campaign
from contacts.admin import NumberSearch
from core import ids
from core.admin_kit import badge, link


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


@admin.register(Call)
class CallAdmin(NumberSearch, LargeTableAdmin):
    account_path = "campaign__account"
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
