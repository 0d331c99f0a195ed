"""People of a campaign: take some out while it goes on, or call some again. Exotel has no such addresses."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns import bodies, related
from api.campaigns.base import TAGS, CampaignsView
from api.campaigns.requests import CONTENT, CampaignRequestSerializer, ScheduleRequestSerializer
from api.campaigns.responses import CampaignsWritten
from api.http import bulk, openapi
from api.http.envelope import Failure, Result, WrittenEnvelope
from api.http.errors import first_sentence
from api.http.fields import (
    OwnObjectSerializer,
    TextField,
    WordField,
    refuse_unknown_keys,
    visible,
    without_nulls,
)
from api.http.idempotency import idempotent
from api.http.parsers import printable
from api.http.responses import Count, ResponseSerializer, Text
from campaigns import again, taking_out
from campaigns.called_again import WHO, Selection
from campaigns.models import Campaign
from campaigns.taking_out import TakenOut, Wanted
from contacts import numbers
from core import clocks, ids
from core.errors import InvalidRequest
from dialer.models import CallAttempt
from webhooks.addresses import LookUps

KEY, REASON = "calls", "reason"
# Of people whom this campaign calls no more, whatever is asked of it.
MAY_BE_CALLED = (
    "other campaigns may call it, and an 'again' of this one: put it on the do-not-call list to prevent that"
)


class CancelRequestSerializer(OwnObjectSerializer):
    # Validated data: number in E.164, or call_sid as a UUID. context: account.
    number = TextField(max_length=64, required=False, help_text="All calls to it.")
    call_sid = TextField(max_length=64, required=False, help_text="The call that this attempt is of, instead.")

    def validate_number(self, given: str) -> str:
        try:
            return numbers.read(given, self.context["account"].region)
        except numbers.InvalidNumber as invalid:
            raise ValidationError(f"{visible(given)} is not a valid number") from invalid

    def validate_call_sid(self, given: str) -> Any:
        call_sid = ids.parse(given)
        if call_sid is None:
            raise ValidationError(f"{printable(given)} is not the sid of a call")
        return call_sid

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise ValidationError({"number": "is required, or call_sid instead of it"})
        return attrs


class CancelBody(serializers.Serializer):  # type: ignore[type-arg]
    calls = CancelRequestSerializer(many=True)
    reason = serializers.CharField(required=False, max_length=255, help_text="For the report and the audit log.")


class CanceledSerializer(ResponseSerializer):
    number = Text("E.164.")
    canceled = Count("Calls to it that waited, and have ended.", source="waiting")
    in_progress = Count("Calls that are up, or being dialed: they go on, and are not tried again.", source="under_way")


class CanceledResult(Result):
    data_ = CanceledSerializer(source="*", allow_null=True)


class CanceledResults(WrittenEnvelope):
    response = CanceledResult(many=True, source="rows")


class CancelCallsView(CampaignsView):
    @extend_schema(
        operation_id="cancel_calls",
        parameters=[openapi.IDEMPOTENCY_KEY],
        request=openapi.json_body("CancelCallsBody", CancelBody, CancelRequestSerializer),
        examples=[
            OpenApiExample(
                "Two people",
                value={KEY: [{"number": "+919810012345"}, {"number": "098100 12346"}], "reason": "have paid"},
                request_only=True,
            )
        ],
        responses=openapi.bulk_responses(CanceledResults),
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        """Take people out of a campaign that has not ended. Calls that are up are not hung up."""
        campaign = self.campaign(campaign_id)
        serializer = CancelRequestSerializer(context={"account": self.account})
        checked = [bulk.validated(serializer, body) for body in bulk.bodies(request, KEY, beside=(REASON,))]
        given = [fields for fields, failure in checked if not failure]
        attempts = CallAttempt.objects.filter(campaign=campaign)
        sids = attempts.filter(pk__in=[fields["call_sid"] for fields in given if "call_sid" in fields])
        calls = dict(sids.values_list("pk", "call_id"))
        # 0 is no call's id.
        wanted = [Wanted(fields.get("number", ""), _call_id(fields, calls)) for fields in given]
        taken = iter(taking_out.take_out(campaign, wanted, actor=self.actor, reason=_reason(request), now=clocks.now()))
        rows = [failure or _canceled(next(taken), fields) for fields, failure in checked]
        return self.respond(CanceledResults, rows, http_code=bulk.MULTI_STATUS)


class ScheduleAgainSerializer(ScheduleRequestSerializer):
    """The new campaign's own: nothing of the schedule of the campaign that is called again."""

    @property
    def changed(self) -> Campaign | None:
        return None


# Of the first campaign, and so of one that calls its people again.
OF_THE_PARENT = (*CONTENT, "from", "lists", "campaign_type", "call_duplicate_numbers")


class AgainRequestSerializer(CampaignRequestSerializer):
    """Whom to call again, and what is not as in the campaign itself."""

    schedule = ScheduleAgainSerializer(required=False)
    who = serializers.ListField(
        child=WordField(WHO), required=False, help_text="Those whose last attempt ended so, or who were never tried."
    )
    pressed = serializers.ListField(
        child=serializers.RegexField(r"\A[0-9*#]{1,32}\Z", error_messages={"invalid": "must be keys, such as 2"}),
        required=False,
        max_length=100,
        help_text="Those who pressed exactly these keys.",
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in OF_THE_PARENT:
            fields.pop(name, None)
        for field in fields.values():
            field.required = False
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what a client believes to change or to narrow down, and what would be dropped."""
        for name in OF_THE_PARENT:
            if isinstance(data, dict) and name not in self.fields and data.get(name) is not None:
                raise ValidationError({name: "is that of the campaign that is called again: leave it out"})
        refuse_unknown_keys(data, self.fields)
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        selection = Selection(
            tuple(dict.fromkeys(attrs.pop("who", ()))), tuple(dict.fromkeys(attrs.pop("pressed", ())))
        )
        if selection == Selection():
            raise ValidationError({"who": f"is required, or pressed instead: give some of {', '.join(WHO)}"})
        return super().validate(attrs) | {"selection": selection}


class AgainBody(serializers.Serializer):  # type: ignore[type-arg]
    campaigns = AgainRequestSerializer(many=True)


class AgainView(CampaignsView):
    @extend_schema(
        operation_id="call_again",
        parameters=[openapi.IDEMPOTENCY_KEY],
        request=openapi.json_body("CallAgainBody", AgainBody, AgainRequestSerializer),
        examples=[
            OpenApiExample(
                "Those who were not reached",
                value={"who": ["no-answer", "busy"], "schedule": {"send_at": "2030-01-31T10:30:00+05:30"}},
                request_only=True,
            )
        ],
        responses=openapi.responses(CampaignsWritten, 409, 413, 422),
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        """Create a campaign of those who were not reached, or who pressed a key. The reached and listed are skipped."""
        parent = self.campaign(campaign_id)
        given = bodies.parse(request)
        if len(given) != 1:
            raise InvalidRequest("give exactly one campaign, that of whom to call again")
        context = {"account": self.account, "campaign": parent, "look_ups": LookUps()}
        serializer = AgainRequestSerializer(data=without_nulls(given[0]), context=context, partial=True)
        serializer.is_valid(raise_exception=True)
        columns = dict(serializer.validated_data)
        child = again.create(parent, columns.pop("selection"), actor=self.actor, now=clocks.now(), **columns)
        return self.respond(CampaignsWritten, [child], related=related.load([child], with_numbers=True))


def _call_id(fields: dict[str, Any], calls: dict[Any, int]) -> int | None:
    return calls.get(fields["call_sid"], 0) if "call_sid" in fields else None


def _reason(request: Request) -> str:
    """Return the reason of the body. Raises ValidationError."""
    given = request.data.get(REASON) if isinstance(request.data, dict) else None
    if given is None:
        return ""
    try:
        return str(TextField(max_length=255, allow_blank=True).run_validation(given))
    except ValidationError as error:
        raise ValidationError({REASON: first_sentence(error.detail)}) from error


def _canceled(taken: TakenOut | None, fields: dict[str, Any]) -> TakenOut | Failure:
    if taken is None:
        [(name, value)] = fields.items()
        return Failure(404, f"'{name}': this campaign has no call {value.hex if name == 'call_sid' else f'to {value}'}")
    if not taken.waiting and not taken.under_way:
        return Failure(409, f"'number': {taken.number} is over already: nothing was changed; {MAY_BE_CALLED}", taken)
    return taken
