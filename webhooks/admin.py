"""The admin pages of webhooks: what was sent where, the result of each try, and sending it again."""

from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from accounts.admin_kit import LargeTableAdmin, ReadOnlyInline
from accounts.audited_pages import actor
from accounts.models import Role
from campaigns.admin import CampaignFilter
from core import clocks, ids
from core.admin_kit import ChoiceFilter, badge, link, pretty_json
from webhooks import outbox
from webhooks.models import WebhookDelivery, WebhookTry

State = WebhookDelivery.State

BADGES = {State.PENDING: "created", State.DELIVERED: "completed", State.GIVEN_UP: "failed"}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        given = self.value()
        return queryset.filter(outbox.in_state(given)) if given in State.values else queryset


class KindFilter(ChoiceFilter):
    title = "kind"
    parameter_name = column = "kind"
    values = [(kind.value, kind.value) for kind in WebhookDelivery.Kind]


class TryInline(ReadOnlyInline):
    model = WebhookTry
    account_path = "delivery__account"
    verbose_name_plural = "tries"
    fields = ("at", "http_status", "error", "duration", "response")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookTry]:
        tries = super().get_queryset(request).select_related("delivery__account")
        return tries.defer("delivery__account__webhook_secret")

    @admin.display(description="duration")
    def duration(self, row: WebhookTry) -> str:
        return f"{row.duration_ms} ms"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(LargeTableAdmin):
    account_path = "account"
    roles: ClassVar = {"view": Role.VIEWER, "redeliver": Role.OPERATOR}
    list_display = (
        "created_at",
        "campaign",
        "kind",
        "address",
        "state_badge",
        "tries",
        "last_status",
        "next_try_at",
        "delivered_at",
    )
    list_filter = (StateFilter, KindFilter, CampaignFilter)
    list_select_related = ("account", "campaign")
    search_fields = ("webhook_id",)
    search_help_text = "The webhook ID, or the campaign's ID."
    actions = ("redeliver",)
    inlines = (TryInline,)
    fieldsets = (
        (None, {"fields": ("wire_id", "campaign_link", "kind", "url", "state_badge")}),
        ("Delivery", {"fields": ("tries", "last_status", "last_error")}),
        ("Times", {"fields": ("created_at", "queued_at", "next_try_at", "delivered_at", "given_up_at")}),
        ("Content", {"fields": ("content",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return super().get_queryset(request).defer("account__webhook_secret")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery], search_term: str
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        if not search_term:
            return queryset, False
        wanted = ids.parse(search_term.strip())
        if wanted is None:
            return queryset.none(), False
        of_campaign = queryset.filter(campaign=wanted)
        return (of_campaign if of_campaign.exists() else queryset.filter(webhook_id=wanted)), False

    # Sending again ---------------------------------------------------------------------------------------------------

    def has_redeliver_permission(self, request: HttpRequest, obj: WebhookDelivery | None = None) -> bool:
        return self.may(request, "redeliver", obj)

    @admin.action(description="Redeliver the selected webhooks", permissions=["redeliver"])
    def redeliver(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        self._send_again(request, queryset)

    def get_urls(self) -> Any:
        redeliver = path(
            "<path:object_id>/redeliver/",
            self.admin_site.admin_view(require_POST(self.redeliver_view)),
            name="webhooks_webhookdelivery_redeliver",
        )
        return [redeliver, *super().get_urls()]

    def redeliver_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        delivery = self.get_object(request, unquote(object_id))
        if delivery is None:
            raise Http404
        if not self.has_redeliver_permission(request, delivery):
            raise PermissionDenied
        self._send_again(request, [delivery])
        return redirect("admin:webhooks_webhookdelivery_change", delivery.pk)

    def _send_again(self, request: HttpRequest, deliveries: Iterable[WebhookDelivery]) -> None:
        chosen = list(deliveries)
        sent = outbox.redeliver(chosen, clocks.now(), actor=actor(request))
        self.message_user(request, f"Under way again: {sent}. Receivers see the same webhook ID as before.")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        delivery = self.get_object(request, unquote(object_id))
        context = {**(extra_context or {}), "may_redeliver": self.has_redeliver_permission(request, delivery)}
        return super().change_view(request, object_id, form_url, context)

    # Columns ---------------------------------------------------------------------------------------------------------

    @admin.display(description="webhook ID")
    def wire_id(self, delivery: WebhookDelivery) -> str:
        return delivery.webhook_id.hex

    @admin.display(description="campaign")
    def campaign_link(self, delivery: WebhookDelivery) -> SafeString:
        return link(delivery.campaign)

    @admin.display(description="address")
    def address(self, delivery: WebhookDelivery) -> str:
        return without_secrets(delivery.url)

    @admin.display(description="state")
    def state_badge(self, delivery: WebhookDelivery) -> SafeString:
        return badge(BADGES[delivery.state], delivery.state.label)

    @admin.display(description="payload")
    def content(self, delivery: WebhookDelivery) -> SafeString:
        return pretty_json(delivery.payload)


@admin.register(WebhookTry)
class WebhookTryAdmin(LargeTableAdmin):
    account_path = "delivery__account"
    list_display = ("at", "delivery", "http_status", "error", "duration_ms")
    list_select_related = ("delivery__account",)
    search_fields = ("delivery",)
    search_help_text = "The webhook ID."
    fields = ("at", "delivery_link", "http_status", "error", "duration_ms", "response")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookTry]:
        return super().get_queryset(request).defer("delivery__account__webhook_secret")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookTry], search_term: str
    ) -> tuple[QuerySet[WebhookTry], bool]:
        if not search_term:
            return queryset, False
        wanted = ids.parse(search_term.strip())
        return (queryset.filter(delivery__webhook_id=wanted) if wanted else queryset.none()), False

    @admin.display(description="webhook")
    def delivery_link(self, row: WebhookTry) -> SafeString:
        return link(row.delivery)


def without_secrets(url: str) -> str:
    """Return the address without its query, user and password, which may be keys of the receiver."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
