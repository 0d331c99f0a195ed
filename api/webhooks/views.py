"""The webhooks of an account: what was sent, what came of it, and sending it again. Exotel has no such addresses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Account
from api.campaigns.views import AccountView
from api.http import envelope, queries, spelling
from api.http.errors import NotFound
from api.http.parsers import printable
from core import ids
from core.ids import wire_id
from webhooks import outbox
from webhooks.models import WebhookDelivery

KINDS = tuple(kind.value for kind in WebhookDelivery.Kind)


class DeliveriesQuery(queries.PageQuery):
    campaign_sid = serializers.CharField(required=False, allow_blank=True)
    kind = serializers.CharField(required=False, allow_blank=True)

    # The key is the order in which they were created.
    sorts = {"date_created": "id"}
    states = tuple(state.value for state in WebhookDelivery.State)

    def validate_kind(self, text: str) -> list[str]:
        known, unknown = spelling.parse_words(text, KINDS)
        if unknown:
            raise serializers.ValidationError(f"{unknown[0]} is none of {', '.join(KINDS)}")
        return known

    def validate_campaign_sid(self, text: str) -> UUID | None:
        """An id that no campaign can have finds as little as one that none has."""
        return (ids.parse(text) or UUID(int=0)) if text else None


class WebhookDeliveriesView(AccountView):
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(DeliveriesQuery, request)
        rows = _of(self.account)
        if query.get("status"):
            rows = rows.filter(outbox.in_state(*query["status"]))
        if query.get("kind"):
            rows = rows.filter(kind__in=query["kind"])
        if query.get("campaign_sid"):
            rows = rows.filter(campaign=query["campaign_sid"])
        total, offset, limit = rows.count(), query["offset"], query["limit"]
        page = rows.order_by(query["sort_by"])[offset : offset + limit]
        items = [envelope.item(delivery_data(row, self.account)) for row in page]
        return Response(envelope.listed(request.method, items, total=total, offset=offset, limit=limit))


class WebhookDeliveryView(AccountView):
    def get(self, request: Request, account_sid: str, webhook_id: str) -> Response:
        return self._answer(request, self._delivery(webhook_id))

    def post(self, request: Request, account_sid: str, webhook_id: str) -> Response:
        """Sends it again, under the same id. A body is not looked at."""
        delivery = self._delivery(webhook_id)
        outbox.redeliver([delivery], timezone.now())
        delivery.refresh_from_db()
        return self._answer(request, delivery)

    def _delivery(self, webhook_id: str) -> WebhookDelivery:
        known = ids.parse(webhook_id)
        delivery = _of(self.account).filter(webhook_id=known).first() if known else None
        if delivery is None:
            raise NotFound(f"there is no webhook delivery {printable(webhook_id)} in this account")
        return delivery

    def _answer(self, request: Request, delivery: WebhookDelivery) -> Response:
        data = delivery_data(delivery, self.account) | {"log": _log(delivery, self.account)}
        return Response(envelope.written(request.method, [envelope.item(data)]))


def delivery_data(delivery: WebhookDelivery, account: Account) -> dict[str, Any]:
    """The record of a webhook. next_try is null once it is delivered or given up."""
    return {
        "id": wire_id(delivery.webhook_id),
        "campaign_sid": wire_id(delivery.campaign_id),
        "kind": delivery.kind,
        "url": delivery.url,
        "status": delivery.state.value,
        "payload": delivery.payload,
        "tries": delivery.tries,
        "last_http_status": delivery.last_status,
        "last_error": delivery.last_error,
        "date_created": _local(delivery.created_at, account),
        "next_try": _local(delivery.next_try_at, account),
        "date_delivered": _local(delivery.delivered_at, account),
        "date_given_up": _local(delivery.given_up_at, account),
        "uri": f"/v2/accounts/{account.sid}/webhook-deliveries/{wire_id(delivery.webhook_id)}",
    }


def _log(delivery: WebhookDelivery, account: Account) -> list[dict[str, Any]]:
    """Every try, the first one first. duration_ms in milliseconds."""
    return [
        {
            "date": _local(each.at, account),
            "duration_ms": each.duration_ms,
            "http_status": each.http_status,
            "error": each.error,
            "response": each.response,
        }
        for each in delivery.log.order_by("pk")
    ]


def _of(account: Account) -> "QuerySet[WebhookDelivery]":
    return WebhookDelivery.objects.filter(account=account)


def _local(moment: datetime | None, account: Account) -> str | None:
    return moment.astimezone(account.zone).isoformat(timespec="seconds") if moment else None
