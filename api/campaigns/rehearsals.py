"""What is to be expected of a campaign: how much of it fits before its end, and how it would go. Ours alone."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns import bodies
from api.campaigns.base import TAGS, CampaignsView
from api.campaigns.requests import CampaignRequestSerializer
from api.http import openapi, queries
from api.http.envelope import Item, WrittenEnvelope
from api.http.fields import WordField
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from campaigns import lifecycle
from campaigns.models import Campaign
from core import clocks
from core.errors import InvalidRequest
from dialer import rehearsal
from dialer.rehearsal import Callees, Forecast, Rehearsal
from webhooks.addresses import LookUps

# People that a request rehearses with; of more, one of so many.
MOST_PEOPLE = 10_000
LEARNT, DEFAULT = "learnt", "default"
CALLEES = OpenApiParameter(
    "callees",
    OpenApiTypes.STR,
    enum=[LEARNT, DEFAULT],
    description="How people answer: as the account's own past says, or as in most campaigns.",
)


@dataclass(frozen=True)
class ForecastOf:
    campaign: Campaign
    found: Forecast


@dataclass(frozen=True)
class RehearsalOf:
    rehearsal: Rehearsal

    @property
    def found(self) -> Forecast:
        return self.rehearsal.forecast


class Day(NamedTuple):
    day: date
    starts: int


class KeptSerializer(ResponseSerializer):
    code = Text("The rule, for programs: outside-recipients-hours, do-not-call …")
    count = Count("Numbers.")
    numbers = serializers.ListField(child=serializers.CharField(), help_text="The first of them.")


class ForecastFields(ResponseSerializer):
    summary = Text("One sentence.", source="found.summary")
    numbers = Count("Left to call.", source="found.numbers")
    fits = Count("Called before the end.", source="found.fits")
    canceled = Count("Not called before the end.", source="found.canceled")
    ends_at = Moment("The campaign's end.", source="found.ends_at")
    finishes_at = Moment(
        "When its last call would end, if it had no end; null: never.", source="found.finishes_at", allow_null=True
    )
    kept = KeptSerializer(many=True, source="found.kept", help_text="Numbers that a rule keeps from being called.")


class ForecastSerializer(ForecastFields):
    campaign_sid = WireId(source="campaign.pk")


class HourSerializer(ResponseSerializer):
    begins_at = Moment()
    starts = Count("Calls that start in it.")
    channels = serializers.FloatField(help_text="In use, on average.")
    peak = Count("The most channels in use at once.")


class DaySerializer(ResponseSerializer):
    day = serializers.DateField(help_text="By the account's clocks.")
    starts = Count()


class RehearsalSerializer(ForecastFields):
    earliest = Moment("If people answer more often.", source="rehearsal.earliest", allow_null=True)
    latest = Moment("If less often; null: never.", source="rehearsal.latest", allow_null=True)
    attempts = serializers.DictField(
        child=serializers.IntegerField(), source="rehearsal.attempts", help_text="By their outcome."
    )
    hours = HourSerializer(many=True, source="rehearsal.hours")
    days = DaySerializer(many=True)
    spills_to = serializers.DateField(
        source="rehearsal.spills_to",
        allow_null=True,
        help_text="The first day after the end with calls that are left.",
    )
    learnt_from = Count("Attempts of the account's past; 0: the default.", source="rehearsal.callees.learnt_from")

    def get_days(self, made: "RehearsalOf") -> list[Day]:
        return [Day(*row) for row in sorted(made.rehearsal.days.items())]


class ForecastItem(Item):
    data_ = ForecastSerializer(source="*")


class ForecastRead(WrittenEnvelope):
    response = ForecastItem(many=True, source="rows")


class RehearsalItem(Item):
    data_ = RehearsalSerializer(source="*")


class RehearsalRead(WrittenEnvelope):
    response = RehearsalItem(many=True, source="rows")


class CalleesQuery(serializers.Serializer):  # type: ignore[type-arg]
    callees = WordField([LEARNT, DEFAULT], required=False)


class _RehearsalsView(CampaignsView):
    def callees(self, request: Request) -> Callees:
        """Return the people that the request asks for, or those of the account's past."""
        chosen = queries.parse(CalleesQuery, request).get("callees", LEARNT)
        return rehearsal.DEFAULT if chosen == DEFAULT else rehearsal.learnt(self.account)


class ForecastView(_RehearsalsView):
    reads_much = True

    @extend_schema(
        operation_id="forecast_campaign",
        parameters=[CALLEES],
        responses=openapi.responses(ForecastRead),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        found = rehearsal.forecast_campaign(campaign, clocks.now(), self.callees(request))
        return self.respond(ForecastRead, [ForecastOf(campaign, found)])


class RehearsalView(_RehearsalsView):
    @extend_schema(
        operation_id="rehearse_campaign",
        request=openapi.json_body("RehearsalBody", bodies.CampaignsBody, CampaignRequestSerializer),
        parameters=[CALLEES],
        responses=openapi.responses(RehearsalRead, 413),
        examples=[bodies.EXAMPLE],
        tags=TAGS,
    )
    def post(self, request: Request, account_sid: str) -> Response:
        self._place = self._take_place()
        callees = self.callees(request)
        given = bodies.parse(request)
        if len(given) != 1:
            raise InvalidRequest("give exactly one campaign to rehearse")
        context = {"account": self.account, "look_ups": LookUps()}
        serializer = CampaignRequestSerializer(data=given[0], context=context)
        serializer.is_valid(raise_exception=True)
        columns = dict(serializer.validated_data)
        numbers, now = columns.pop("numbers", None) or (), clocks.now()
        columns.pop("custom_field", None)
        campaign = lifecycle.draft(self.account, now=now, **columns)
        found = rehearsal.rehearse(rehearsal.of_draft(campaign, numbers, now, most=MOST_PEOPLE), callees)
        return self.respond(RehearsalRead, [RehearsalOf(found)])
