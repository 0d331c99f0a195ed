"""The admin page of stored responses: read-only, because only `api.http.idempotency` may write them."""

from django.contrib import admin

from accounts.admin_kit import LargeTableAdmin
from api.models import IdempotentRequest


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(LargeTableAdmin):
    account_path = "account"
    list_display = ("key", "account", "status", "created_at")
    list_select_related = ("account",)
    search_fields = ("=key",)
    search_help_text = "The exact key."
    fields = ("account", "key", "status", "created_at", "response")
