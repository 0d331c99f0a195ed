"""Webhook deliveries as responses show them."""

from collections.abc import Iterable

from django.conf import settings
from rest_framework import serializers

from api.http.envelope import Item, PageEnvelope, WrittenEnvelope
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from core.ids import wire_id
from webhooks.models import WebhookDelivery, WebhookTry

KINDS = tuple(kind.value for kind in WebhookDelivery.Kind)
STATES = tuple(state.value for state in WebhookDelivery.State)


class WebhookTrySerializer(ResponseSerializer):
    date = Moment("When it began.", source="at")
    duration_ms = Count("Milliseconds until the response or the error.")
    http_status = Count("Null if there was no response.", allow_null=True)
    error = Text("Empty where the webhook was taken.")
    response = Text("The beginning of the receiver's response.")


class WebhookDeliverySerializer(ResponseSerializer):
    # context: zone, account.
    id = WireId("The header webhook-id of every try: 32 hexadecimal digits.", source="webhook_id")
    campaign_sid = WireId(source="campaign_id")
    kind = Text(f"One of {', '.join(KINDS)}.")
    url = Text()
    status = Text(f"One of {', '.join(STATES)}.", source="state.value")
    payload = serializers.DictField(help_text="The body.")
    tries = Count("Begun since it was created, or last sent again.")
    last_http_status = Count(source="last_status", allow_null=True)
    last_error = Text("Why the last try failed.")
    date_created = Moment(source="created_at")
    next_try = Moment("Null once it is delivered or given up.", source="next_try_at", allow_null=True)
    date_delivered = Moment(source="delivered_at", allow_null=True)
    date_given_up = Moment(source="given_up_at", allow_null=True)
    uri = Text()

    def get_uri(self, delivery: WebhookDelivery) -> str:
        sid = self.context["account"].sid
        return f"{settings.SCRIPT_NAME}/v2/accounts/{sid}/webhook-deliveries/{wire_id(delivery.webhook_id)}"


class WebhookDeliveryWithLogSerializer(WebhookDeliverySerializer):
    log = WebhookTrySerializer(many=True)

    def get_log(self, delivery: WebhookDelivery) -> Iterable[WebhookTry]:
        return delivery.log.order_by("pk")


class WebhookDeliveryItem(Item):
    data_ = WebhookDeliverySerializer(source="*")


class WebhookDeliveriesPage(PageEnvelope):
    response = WebhookDeliveryItem(many=True, source="rows")


class WebhookDeliveryWithLogItem(Item):
    data_ = WebhookDeliveryWithLogSerializer(source="*")


class WebhookDeliveryRead(WrittenEnvelope):
    response = WebhookDeliveryWithLogItem(many=True, source="rows")
