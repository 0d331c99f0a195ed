"""The webhooks of an account: what was sent, what came of it, and sending it again. Exotel has no such addresses."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Account
from api.http import openapi, queries
from api.http.account_view import AccountView
from api.http.errors import NotFound
from api.http.parsers import printable
from api.webhooks.responses import KINDS, STATES, WebhookDeliveriesPage, WebhookDeliveryRead
from core import clocks, ids
from webhooks import outbox
from webhooks.models import WebhookDelivery

TAGS = ["Webhooks"]


class DeliveriesQuery(queries.StatusQuery):
    campaign_sid = serializers.CharField(required=False, allow_blank=True, help_text="The id of a campaign.")
    kind = serializers.CharField(required=False, allow_blank=True, help_text=f"Comma-separated: {', '.join(KINDS)}.")

    sorts = {"date_created": "id"}  # the keys are in the order of creation
    states = STATES

    def validate_kind(self, text: str) -> list[str]:
        return queries.known_words(text, KINDS)

    def validate_campaign_sid(self, text: str) -> UUID | None:
        """Return the id to filter by. Text that can't be an id finds nothing, like an id that no campaign has."""
        return ids.parse_or_nil(text) if text else None


class WebhookDeliveriesView(AccountView):
    reads_much = True

    @extend_schema(
        operation_id="list_webhook_deliveries",
        parameters=openapi.query(DeliveriesQuery),
        responses=openapi.responses(WebhookDeliveriesPage),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(DeliveriesQuery, request)
        rows = _of(self.account)
        if query.get("status"):
            rows = rows.filter(outbox.in_state(*query["status"]))
        if query.get("kind"):
            rows = rows.filter(kind__in=query["kind"])
        if query.get("campaign_sid"):
            rows = rows.filter(campaign=query["campaign_sid"])
        page = queries.page_of(rows, query)
        total = queries.total_of(rows, page, query)
        return self.respond_page(WebhookDeliveriesPage, page, total=total, query=query)


class WebhookDeliveryView(AccountView):
    @extend_schema(operation_id="get_webhook_delivery", responses=openapi.responses(WebhookDeliveryRead), tags=TAGS)
    def get(self, request: Request, account_sid: str, webhook_id: str) -> Response:
        return self.respond(WebhookDeliveryRead, [self._delivery(webhook_id)])

    @extend_schema(
        operation_id="redeliver_webhook",
        request=None,
        responses=openapi.responses(WebhookDeliveryRead),
        tags=TAGS,
    )
    def post(self, request: Request, account_sid: str, webhook_id: str) -> Response:
        """Send a webhook again, under the same id. The body of the request is ignored."""
        delivery = self._delivery(webhook_id)
        outbox.redeliver([delivery], clocks.now(), actor=self.actor)
        delivery.refresh_from_db()
        return self.respond(WebhookDeliveryRead, [delivery])

    def _delivery(self, webhook_id: str) -> WebhookDelivery:
        delivery = _of(self.account).filter(webhook_id=ids.parse_or_nil(webhook_id)).first()
        if delivery is None:
            raise NotFound(f"there is no webhook delivery {printable(webhook_id)} in this account")
        return delivery


def _of(account: Account) -> "QuerySet[WebhookDelivery]":
    return WebhookDelivery.objects.filter(account=account)
