"""The admin page of custom fields."""

from django.contrib import admin
from django.utils.safestring import SafeString

from accounts.admin_kit import ReadOnlyAdmin
from campaigns.models import CustomField
from core.admin_kit import WordSearch, link


@admin.register(CustomField)
class CustomFieldAdmin(WordSearch, ReadOnlyAdmin):
    account_path = "campaign__account"
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
