"""Read-only admin pages of SIP calls and gateways, for the server's administrators."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.admin_kit import LargeTableAdmin, ReadOnlyAdmin
from core import ids
from core.admin_kit import badge
from sipgateway.models import Gateway, SipCall


@admin.register(Gateway)
class GatewayAdmin(ReadOnlyAdmin):
    account_path = None
    list_display = fields = ("address", "started_at", "at_work_since", "beat_at", "stopped_at")
    list_filter = (("stopped_at", admin.EmptyFieldListFilter),)
    ordering = ("-started_at",)
    search_fields = ("address",)


@admin.register(SipCall)
class SipCallAdmin(LargeTableAdmin):
    """The rows over which dialer and gateways talk. They name trunks' responses, and no account."""

    account_path = None
    list_display = ("attempt_id", "number", "state", "created_at", "answered_at", "ended_at", "code", "reason")
    list_filter = ("status",)
    search_fields = ("attempt_id",)
    search_help_text = "The attempt's ID."
    fieldsets = (
        (None, {"fields": ("attempt_id", "leg_of", "gateway_id", "number", "caller_id", "state", "code", "reason")}),
        ("Limits", {"fields": ("ring_timeout", "max_seconds", "ask_before", "is_taken", "to_hang_up")}),
        (
            "Times",
            {
                "fields": (
                    "created_at",
                    "inviting_at",
                    "trying_at",
                    "ringing_at",
                    "answered_at",
                    "hung_up_at",
                    "ended_at",
                )
            },
        ),
        ("Conversation", {"fields": ("digits",)}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SipCall], search_term: str
    ) -> tuple[QuerySet[SipCall], bool]:
        if not search_term:
            return queryset, False
        attempt_id = ids.parse(search_term.strip())
        return (queryset.filter(pk=attempt_id) if attempt_id else queryset.none()), False

    @admin.display(description="state")
    def state(self, call: SipCall) -> SafeString:
        return badge(call.outcome or call.status, call.outcome or call.status)
