"""The API's description in OpenAPI, complete enough that a generated client works.

What a client sends is described by the serializers that validate it; what it gets is described here, as the answers are
plain dictionaries. The views themselves stay free of it: `describe` decorates them, and `api.urls` calls it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_serializer,
    extend_schema_view,
)
from rest_framework import serializers

from api.campaigns.serializers import RETRY_STATUSES, CampaignSerializer, RetriesSerializer, ScheduleSerializer
from api.campaigns.views import CallDetailsView, CampaignListView, CampaignView
from api.exophones import views
from api.http import idempotency, queries, spelling
from campaigns.lifecycle import ACTIONS
from reports import stats

STATES = [spelling.state(status) for status in spelling.CAMPAIGN_STATES]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "api.http.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "basic", "description": "User: the API key. Password: the API token."}


class NumbersSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "api.http.fields.NumbersField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        many = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 5000}
        one = {"type": "string", "description": "Comma-separated."}
        return {"oneOf": [many, one], "example": ["+919810012345", "098100 12346"]}


class MomentSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "api.http.fields.MomentField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "example": "2030-01-31T10:30:00+05:30"}


class WordSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "api.http.fields.WordField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.target.words.values())}


# What is sent and what is answered have names of their own, where they are not the same.
for _sent, _name in (
    (CampaignSerializer, "CampaignRequest"),
    (RetriesSerializer, "RetriesRequest"),
    (ScheduleSerializer, "ScheduleRequest"),
):
    extend_schema_serializer(component_name=_name)(_sent)


def text(help_text: str = "", **options: Any) -> serializers.CharField:
    return serializers.CharField(help_text=help_text, **options)


def count(help_text: str = "", **options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=help_text, **options)


def moment(help_text: str = "", **options: Any) -> serializers.DateTimeField:
    return serializers.DateTimeField(help_text=help_text, **options)


Component = type[serializers.Serializer[Any]]


def component(name: str, /, **fields: Any) -> Component:
    """A named object of the schema."""
    return type(name, (serializers.Serializer,), fields)


Stats = component("Stats", **{key: count("Numbers.") for key in stats.KEYS})

Retries = component(
    "Retries",
    number_of_retries=count("Attempts beyond the first."),
    interval_mins=count("Minutes.", required=False),
    mechanism=serializers.ChoiceField(["Linear", "Exponential"], required=False),
    on_status=serializers.ListField(child=serializers.ChoiceField(RETRY_STATUSES), required=False),
)

Schedule = component("Schedule", send_at=moment(), end_at=moment("No attempt starts from then on."))

Summary = component(
    "Summary",
    campaign_sid=text(),
    call_scheduled=count("Numbers."),
    call_initialized=count("Attempts that were started."),
    call_completed=count("Numbers."),
    call_failed=count("Numbers."),
    call_inprogress=count("Numbers."),
    DateCreated=moment(),
)


def campaign_fields() -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    return {
        "id": text("32 hexadecimal digits."),
        "account_sid": text(),
        "name": text(),
        "type": text(),
        "campaign_type": text(),
        "caller_id": text("As given."),
        "url": text("As given.", required=False),
        "lists": serializers.ListField(child=text(), required=False, help_text="The sids of its lists, as given."),
        "flow_type": text("With read_via_text.", required=False),
        "read_via_text": text("Instead of url.", required=False),
        "repeat_menu_attempts": count("As given.", required=False),
        "from": serializers.ListField(child=text(), required=False, help_text="E.164; only of a single campaign."),
        "call_duplicate_numbers": serializers.BooleanField(),
        "retries": Retries(),
        "schedule": Schedule(),
        "mode": text(),
        "throttle": count("Calls a minute.", required=False),
        "custom_field": text(required=False),
        "status": serializers.ChoiceField(STATES),
        "stats": Stats(),
        "date_created": moment(),
        "date_updated": moment(),
        "date_started": moment("Null until it has started.", allow_null=True),
        "report_url": text("Null until it has ended; a fresh link each time.", allow_null=True),
        "uri": text(),
        "http_status": count("Of a failed campaign: why.", required=False),
        "status_callback": text(required=False),
        "call_status_callback": text(required=False),
        "call_schedule_callback": text(required=False),
    }


CampaignResource = component("Campaign", **campaign_fields())

CallDetail = component(
    "CallDetail",
    call_sid=text("32 hexadecimal digits."),
    number=text("E.164."),
    name=text(),
    status=text("in-progress, or how the attempt ended."),
    attempt_number=count("From 1."),
    duration=count("Of the conversation, in seconds."),
    digits=text("Keys that were pressed."),
    digit=text("The same as digits."),
    recording_url=text(),
    date_created=moment(),
    start_time=moment(allow_null=True),
    answer_time=moment(allow_null=True),
    end_time=moment(allow_null=True),
    caller_id=text(),
    direction=text(),
)

ErrorData = component("ErrorData", code=count(), message=text(), description=text("What was wrong, where, what to do."))


def item(name: str, /, data: Component, **siblings: Any) -> Component:
    """One good item of an answer."""
    return component(
        name,
        code=count("HTTP status of this item."),
        error_data=serializers.JSONField(allow_null=True),
        status=text("success: of the item, not the campaign's own."),
        data=data(),
        **siblings,
    )


def answer(name: str, of: Component, metadata: Component) -> Component:
    """The envelope around items."""
    return component(
        name, request_id=text(), method=text(), http_code=count(), metadata=metadata(), response=of(many=True)
    )


Written = component("Written", total=count(), success=count(), failed=count())
Page = component("Page", count=count("Records in this page."), offset=count(), total=count(), limit=count())

CampaignItem = item("CampaignItem", CampaignResource, summary=Summary())
CampaignsWritten = answer("CampaignsWritten", CampaignItem, Written)
CampaignsPage = answer("CampaignsPage", CampaignItem, Page)
CallDetailsPage = answer("CallDetailsPage", item("CallDetailItem", CallDetail), Page)

ErrorItem = component(
    "ErrorItem",
    code=count(),
    status=text("failure"),
    data=serializers.JSONField(allow_null=True),
    error_data=ErrorData(),
)
Errors = answer("Errors", ErrorItem, Written)

ERRORS = {
    400: "Something in the request is wrong; nothing was changed.",
    401: "No credentials, or wrong ones.",
    404: "There is no such thing in this account.",
    405: "The address has no such method.",
    409: "The first request with this Idempotency-Key is still running.",
    413: "The body is too large.",
    422: "The Idempotency-Key was used for another request.",
    429: "Too many requests: Retry-After says when to try again.",
}


def responses(good: Any, *codes: int, good_code: int = 200, bad: Component = Errors) -> dict[int, Any]:
    """A good answer and the errors that every operation may give."""
    errors = {code: OpenApiResponse(bad, ERRORS[code]) for code in sorted({400, 401, 404, 429, *codes})}
    return {good_code: good, **errors}


IDEMPOTENCY_KEY = OpenApiParameter(
    idempotency.HEADER,
    {"type": "string", "minLength": 1, "maxLength": idempotency.MAX_KEY_LENGTH, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="Sent again within 24 hours, the request is not done again: the first answer comes back.",
)

ExoPhone = component(
    "ExoPhone",
    sid=text("The digits of the number."),
    phone_number=text("E.164."),
    friendly_name=text("As it is dialled within its country."),
    capabilities=component("Capabilities", voice=serializers.BooleanField(), sms=serializers.BooleanField())(),
    country=text("Two letters."),
    region=text(allow_null=True),
    voice_url=text(allow_null=True),
    sms_url=text(allow_null=True),
    uri=text(),
)

ExoPhonesPage = component(
    "ExoPhonesPage",
    page=count("From 0."),
    page_size=count(),
    uri=text(),
    first_page_uri=text(),
    next_page_uri=text("Null on the last page.", allow_null=True),
    previous_page_uri=text("Null on the first page.", allow_null=True),
    incoming_phone_numbers=ExoPhone(many=True),
)

# The envelope, as for all errors, and v2_beta's own shape beside it.
ExoPhoneErrors = component(
    "ExoPhoneErrors",
    request_id=text(),
    method=text(),
    http_code=count(),
    metadata=Written(),
    response=ErrorItem(many=True),
    RestException=component("RestException", Status=count("HTTP status."), Message=text())(),
)


def query(of: type[queries.PageQuery]) -> list[OpenApiParameter]:
    """The parameters of a list, from the serializer that reads them."""
    shown: Mapping[str, tuple[Any, str]] = {
        "offset": (OpenApiTypes.INT, "Position of the first record, from 0."),
        "limit": (OpenApiTypes.INT, f"At most {of.most}; more is clamped."),
        "status": (OpenApiTypes.STR, f"Comma-separated, in any spelling: {', '.join(of.states)}."),
        "sort_by": (OpenApiTypes.STR, f"One of {', '.join(of.sorts)}, with :asc or :desc."),
        "name": (OpenApiTypes.STR, "A part of the name."),
        "type": (OpenApiTypes.STR, "trans"),
        "list_sids": (OpenApiTypes.STR, "Comma-separated: in any of these lists."),
        "filter": (OpenApiTypes.STR, "show_list adds the lists of each contact."),
        "campaign_sid": (OpenApiTypes.STR, "The id of a campaign."),
        "kind": (OpenApiTypes.STR, "Comma-separated: call-status, call-schedule, campaign-status."),
    }
    names: Sequence[str] = list(of().fields)
    return [OpenApiParameter(name, shown[name][0], description=shown[name][1]) for name in names]


@extend_schema_serializer(component_name="CampaignChange")
class CampaignChange(CampaignSerializer):
    """A campaign's fields to change: all of them optional."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


ChangesBody = component("ChangesBody", campaigns=CampaignChange(many=True))
CampaignsBody = component("CampaignsBody", campaigns=CampaignSerializer(many=True))
ActionBody = component("ActionBody", action=serializers.ChoiceField(list(ACTIONS)))
ActionsBody = component("ActionsBody", campaigns=ActionBody(many=True))


def either(name: str, *bodies: Any) -> PolymorphicProxySerializer:
    return PolymorphicProxySerializer(name, list(bodies), resource_type_field_name=None)


EXAMPLE = OpenApiExample(
    "A campaign",
    request_only=True,
    value={
        "campaigns": [
            {
                "name": "No class tomorrow",
                "caller_id": "08012345678",
                "url": "http://my.exotel.com/acme/exoml/start_voice/29281",
                "from": ["+919810012345"],
                "retries": {"number_of_retries": 2, "interval_mins": 10, "mechanism": "Exponential"},
            }
        ]
    },
)


def without_aliases(endpoints: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The addresses to describe: one spelling of each is enough."""
    return [endpoint for endpoint in endpoints if "/campaign/" not in endpoint[0]]


def document() -> dict[str, Any]:
    """The OpenAPI document, as it is served."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def describe() -> None:
    """Attaches the descriptions to the views."""
    extend_schema_view(
        get=extend_schema(
            operation_id="list_campaigns",
            parameters=query(queries.CampaignsQuery),
            responses=responses(CampaignsPage),
            tags=["Campaigns"],
        ),
        post=extend_schema(
            operation_id="create_campaigns",
            request={"application/json": either("CreateBody", CampaignsBody, CampaignSerializer)},
            parameters=[IDEMPOTENCY_KEY],
            responses=responses(CampaignsWritten, 409, 413, 422),
            examples=[EXAMPLE],
            tags=["Campaigns"],
        ),
    )(CampaignListView)
    extend_schema_view(
        get=extend_schema(operation_id="get_campaign", responses=responses(CampaignsWritten), tags=["Campaigns"]),
        put=extend_schema(
            operation_id="change_campaign",
            request={"application/json": either("ChangeBody", ActionsBody, ActionBody, ChangesBody, CampaignChange)},
            responses=responses(CampaignsWritten, 413),
            tags=["Campaigns"],
        ),
        delete=extend_schema(operation_id="delete_campaign", responses=responses(CampaignsWritten), tags=["Campaigns"]),
    )(CampaignView)
    extend_schema_view(
        get=extend_schema(
            operation_id="list_call_details",
            parameters=query(queries.PageQuery),
            responses=responses(CallDetailsPage),
            tags=["Calls"],
        )
    )(CallDetailsView)
    page = [
        OpenApiParameter("Page", OpenApiTypes.INT, description="From 0."),
        OpenApiParameter("PageSize", OpenApiTypes.INT, description=f"At most {views.MAX_PAGE_SIZE}; more is clamped."),
    ]
    extend_schema_view(
        get=extend_schema(
            operation_id="list_exophones",
            parameters=page,
            responses=responses(ExoPhonesPage, bad=ExoPhoneErrors),
            tags=["ExoPhones"],
        )
    )(views.ExoPhoneListView)
    extend_schema_view(
        get=extend_schema(
            operation_id="get_exophone", responses=responses(ExoPhone, bad=ExoPhoneErrors), tags=["ExoPhones"]
        )
    )(views.ExoPhoneDetailsView)
