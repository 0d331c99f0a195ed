"""The admin page of stored responses: read-only, because only `api.http.idempotency` may write them."""

from django.contrib import admin

from api.models import IdempotentRequest
from core.admin_kit import LargeTableAdmin


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(LargeTableAdmin):
    zone_path = "account.zone"
    list_display = ("key", "account", "status", "created_at")
    list_select_related = ("account",)
    search_fields = ("=key",)
    search_help_text = "The exact key."
    fields = ("account", "key", "status", "created_at", "response")
