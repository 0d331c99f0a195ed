"""Why a campaign dials or does not, and what has become of its calls to one number. Exotel has no such address."""

from dataclasses import dataclass
from datetime import datetime

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.base import TAGS, CampaignsView
from api.campaigns.responses import State
from api.http import openapi
from api.http.envelope import Item, WrittenEnvelope
from api.http.errors import NotFound
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from campaigns.models import Call, Campaign
from contacts import numbers
from core import clocks
from dialer import diagnosis
from dialer.diagnosis import CallDiagnosis, Diagnosis, Step
from dialer.models import CallAttempt

# A campaign may call a number as often as its list has it. So many of these calls are shown, the oldest first.
MOST_CALLS = 20


@dataclass(frozen=True)
class DiagnosedCampaign:
    """calls_to_number: None if the request names no number."""

    campaign: Campaign
    found: Diagnosis
    calls_to_number: list[CallDiagnosis] | None = None


class AttemptStep(ResponseSerializer):
    status = Text()
    at = Moment()
    reason = Text()


@dataclass(frozen=True)
class AttemptWithSteps:
    attempt: CallAttempt
    steps: tuple[Step, ...]


class DiagnosedAttempt(ResponseSerializer):
    call_sid = WireId("32 hexadecimal digits.", source="attempt.pk")
    attempt_number = Count("From 1; one that was given back leaves its number to the next.", source="attempt.number")
    status = Text(
        "claimed, placing, in-progress, unknown, or how it ended; canceled: given back before any phone rang.",
        source="attempt.status",
    )
    reason = Text(source="attempt.reason")
    history = AttemptStep(many=True, source="steps")


class DiagnosedCall(ResponseSerializer):
    number = Text("E.164.", source="call.number")
    status = Text("created, in-progress, retrying, completed, failed or canceled.", source="call.status")
    rule = Text("The code of the rule that holds it, or that ended it unanswered.", required=False)
    summary = Text("A sentence: how its attempts ended, and what comes next.")
    next_attempt_at = Moment(
        "When its retry can be dialled; null if it waits for none, or if none can be dialled any more.", allow_null=True
    )
    attempts = DiagnosedAttempt(many=True, help_text="The latest, oldest first.")

    def get_rule(self, found: CallDiagnosis) -> str:
        return "" if found.call.status in (Call.Status.IN_PROGRESS, Call.Status.COMPLETED) else found.call.rule

    def get_attempts(self, found: CallDiagnosis) -> list[AttemptWithSteps]:
        return [AttemptWithSteps(attempt, steps) for attempt, steps in found.attempts]


class DiagnosisReason(ResponseSerializer):
    # The reason's detail is for the operator only.
    code = Text("For programs, such as outside-calling-hours.")
    message = Text("For people.")
    until = Moment("When this will have passed, where that is known.", allow_null=True)


class DiagnosisCalls(ResponseSerializer):
    total = Count()
    due = Count("To dial now.")
    up = Count("With an attempt under way.")
    waiting_for_retry = Count("Whose retry is not due yet.")
    ended = Count()


class DiagnosisSerializer(ResponseSerializer):
    campaign_sid = WireId(source="campaign.pk")
    status = State(source="campaign.status")
    summary = Text("One sentence.", source="found.summary")
    reasons = DiagnosisReason(
        many=True, source="found.reasons", help_text="What stops it comes first, then what slows it down."
    )
    calls = DiagnosisCalls(source="found.calls")
    last_placed_at = Moment(source="found.last_placed_at", allow_null=True)
    next_attempt_at = Moment(
        "When the next call can be dialled; null if that takes a person, or if none can be dialled any more.",
        source="found.next_attempt_at",
        allow_null=True,
    )
    calls_to_number = DiagnosedCall(
        many=True, required=False, help_text=f"With number: the calls to it, at most {MOST_CALLS}."
    )


class DiagnosisItem(Item):
    data_ = DiagnosisSerializer(source="*")


class DiagnosisRead(WrittenEnvelope):
    response = DiagnosisItem(many=True, source="rows")


class DiagnosisQuery(serializers.Serializer):  # type: ignore[type-arg]
    number = serializers.CharField(required=False, allow_blank=True, max_length=64)


class DiagnosisView(CampaignsView):
    reads_much = True

    @extend_schema(
        operation_id="diagnose_campaign",
        parameters=[OpenApiParameter("number", OpenApiTypes.STR, description="Tells of the calls to this number too.")],
        responses=openapi.responses(DiagnosisRead),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        query = DiagnosisQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        now = clocks.now()
        found = diagnosis.of_campaign(campaign, now)
        number = query.validated_data.get("number")
        calls = self._calls(campaign, number, found, now) if number else None
        return self.respond(DiagnosisRead, [DiagnosedCampaign(campaign, found, calls)])

    def _calls(self, campaign: Campaign, given: str, found: Diagnosis, now: datetime) -> list[CallDiagnosis]:
        try:
            number = numbers.read(given, self.account.region)
        except numbers.InvalidNumber as invalid:
            why = f": {invalid.reason}" if invalid.reason else ""
            refusal = f"is not a valid number{why}; write its + as %2B in an address"
            raise serializers.ValidationError({"number": refusal}) from invalid
        calls = list(campaign.calls.filter(number=number).order_by("id")[:MOST_CALLS])
        if not calls:
            raise NotFound(f"this campaign has no call to {number}")
        return list(diagnosis.of_calls(calls, found, now))
