"""The webhook deliveries in the OpenAPI document."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from api.http.openapi import Page, Written, answer, component, count, item, moment, query, responses, text
from api.webhooks.views import KINDS, DeliveriesQuery, WebhookDeliveriesView, WebhookDeliveryView

TAGS = ["Webhooks"]

WebhookTry = component(
    "WebhookTry",
    date=moment("When it began."),
    duration_ms=count("Milliseconds until the answer or the error."),
    http_status=count("Null where there was no answer.", allow_null=True),
    error=text("Empty where the webhook was taken."),
    response=text("The beginning of the receiver's answer."),
)


def delivery_fields() -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    return {
        "id": text("The header webhook-id of every try: 32 hexadecimal digits."),
        "campaign_sid": text(),
        "kind": text(f"One of {', '.join(KINDS)}."),
        "url": text(),
        "status": text(f"One of {', '.join(DeliveriesQuery.states)}."),
        "payload": serializers.DictField(help_text="The body."),
        "tries": count("Begun since it was created, or last sent again."),
        "last_http_status": count(allow_null=True),
        "last_error": text("Why the last try failed."),
        "date_created": moment(),
        "next_try": moment("Null once it is delivered or given up.", allow_null=True),
        "date_delivered": moment(allow_null=True),
        "date_given_up": moment(allow_null=True),
        "uri": text(),
    }


Delivery = component("WebhookDelivery", **delivery_fields())
DeliveryWithLog = component("WebhookDeliveryWithLog", **delivery_fields(), log=WebhookTry(many=True))

DeliveriesPage = answer("WebhookDeliveriesPage", item("WebhookDeliveryItem", Delivery), Page)
OneDelivery = answer("WebhookDeliveryRead", item("WebhookDeliveryWithLogItem", DeliveryWithLog), Written)


def describe() -> None:
    """Attaches the descriptions to the views."""
    extend_schema_view(
        get=extend_schema(
            operation_id="list_webhook_deliveries",
            parameters=query(DeliveriesQuery),
            responses=responses(DeliveriesPage),
            tags=TAGS,
        )
    )(WebhookDeliveriesView)
    extend_schema_view(
        get=extend_schema(operation_id="get_webhook_delivery", responses=responses(OneDelivery), tags=TAGS),
        post=extend_schema(operation_id="redeliver_webhook", request=None, responses=responses(OneDelivery), tags=TAGS),
    )(WebhookDeliveryView)
