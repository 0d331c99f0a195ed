"""The admin pages of the histories of campaigns and calls."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.admin_kit import LargeTableAdmin
from campaigns.models import Call, CallHistory, Campaign, CampaignHistory
from contacts.admin import NumberSearch
from core import ids
from core.admin_kit import ChoiceFilter, WordSearch, badge, link


class HistoryAdmin(LargeTableAdmin):
    """One row per move from state to state. The reason says what caused it."""

    list_display = ("at", "subject_link", "from_status", "to", "reason")
    fields = ("at", "subject_link", "from_status", "to_status", "reason")

    @admin.display(description="of")
    def subject_link(self, row: Any) -> SafeString:
        return link(row.subject)

    @admin.display(description="to state")
    def to(self, row: Any) -> SafeString:
        return badge(row.to_status)


class CampaignStateFilter(ChoiceFilter):
    title = "to state"
    parameter_name = column = "to_status"
    values = Campaign.Status.choices


class CallStateFilter(ChoiceFilter):
    title = "to state"
    parameter_name = column = "to_status"
    values = Call.Status.choices


@admin.register(CampaignHistory)
class CampaignHistoryAdmin(WordSearch, HistoryAdmin):
    account_path = "subject__account"
    list_filter = (CampaignStateFilter,)
    list_select_related = ("subject__account",)
    search_fields = ("subject__name",)
    search_help_text = "The beginning of words of the campaign's name, or the whole campaign ID."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CampaignHistory], search_term: str
    ) -> tuple[QuerySet[CampaignHistory], bool]:
        if campaign_id := ids.parse(search_term.strip()):
            return queryset.filter(subject=campaign_id), False
        return super().get_search_results(request, queryset, search_term)


@admin.register(CallHistory)
class CallHistoryAdmin(NumberSearch, HistoryAdmin):
    number_path = "subject__number"
    account_path = "subject__campaign__account"
    list_filter = (CallStateFilter,)
    list_select_related = ("subject__campaign__account",)
