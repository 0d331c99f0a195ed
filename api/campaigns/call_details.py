"""Call details: attempts that were offered to a carrier, and numbers that a rule kept from ever being dialed."""

from collections.abc import Iterable, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.base import CampaignsView
from api.http import openapi, queries
from api.http.envelope import Item, PageEnvelope
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from campaigns.models import Call, Campaign
from dialer.models import CallAttempt, Recording, Transfer
from reports import call_details
from reports.call_details import Record

Status = CallAttempt.Status
STATES = (Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED, Status.CANCELED, Status.IN_PROGRESS)


class TransferSerializer(ResponseSerializer):
    # context: zone.
    number = Text("E.164.")
    status = Text("in-progress, or how the call ended; canceled: with the call that it was made for.")
    rule = Text("The rule that kept the number from being rung; then status is failed.", required=False)
    reason = Text("The same as a sentence.", required=False)
    start_time = Moment(source="started_at")
    end_time = Moment(source="ended_at", allow_null=True)
    ring_duration = Count("Seconds, once it has ended.", required=False)
    duration = Count("Of the conversation, in seconds.")

    def get_status(self, transfer: Transfer) -> str:
        return transfer.outcome or "in-progress"

    def get_rule(self, transfer: Transfer) -> str | None:
        return transfer.rule or None

    def get_reason(self, transfer: Transfer) -> str | None:
        return transfer.reason or None

    def get_ring_duration(self, transfer: Transfer) -> int | None:
        return transfer.ring_seconds

    def get_duration(self, transfer: Transfer) -> int:
        return transfer.talk_seconds or 0


class RecordingSerializer(ResponseSerializer):
    # context: zone.
    url = Text("Where it is heard.")
    duration = Count("In seconds.", source="seconds")
    date_created = Moment(source="recorded_at")
    is_cut = serializers.BooleanField(
        required=False,
        help_text="Its end is missing, as the gateway died during it. Left out otherwise.",
    )

    def get_is_cut(self, recording: Recording) -> bool | None:
        return recording.is_cut or None


class CallDetailSerializer(ResponseSerializer):
    # context: zone; campaign, which all records are of. The attempts come with their calls loaded.
    call_sid = WireId(
        "32 hexadecimal digits; null where a rule kept the number from ever being dialed.", source="pk", allow_null=True
    )
    number = Text("E.164.", source="call.number")
    name = Text(source="call.name")
    status = Text("in-progress, or how the attempt ended; of a number that was never dialed: failed or canceled.")
    attempt_number = Count("From 1; 0 where the number was never dialed.", source="number")
    duration = Count("Of the conversation, in seconds.")
    digits = Text("Keys that were pressed.")
    digit = Text("The same as digits.", source="digits")
    recording_url = Text("Of the whole call, by the carrier; otherwise the last one that the flow made.")
    date_created = Moment(source="claimed_at")
    start_time = Moment(source="placing_at", allow_null=True)
    answer_time = Moment(source="answered_at", allow_null=True)
    end_time = Moment(source="ended_at", allow_null=True)
    caller_id = Text()
    direction = Text()
    answered_by = Text(
        "human, machine or unknown, where the campaign asks for it. Not of Exotel's API.", required=False
    )
    reason = Text(
        "Why nobody was reached, where the carrier says so or this server knows. Not of Exotel's API.", required=False
    )
    rule = Text("The code of the rule that ended the number: no attempt follows. Not of Exotel's API.", required=False)
    end_reason = Text("With rule: why the number ended. Not of Exotel's API.", required=False)
    wish = Text(
        "refusal or opt-out: what the person called asks for about further calls. Not of Exotel's API.", required=False
    )
    transfers = TransferSerializer(
        many=True, required=False, help_text="Calls to other numbers that the flow made. Not of Exotel's API."
    )

    recordings = RecordingSerializer(
        many=True, required=False, help_text="What the flow has recorded. Not of Exotel's API."
    )

    def get_recording_url(self, record: Record) -> str:
        if not isinstance(record, CallAttempt):
            return ""
        made = _recordings(record)
        return record.recording_url or (made[-1].url if made else "")

    def get_recordings(self, record: Record) -> list[Recording] | None:
        return (_recordings(record) or None) if isinstance(record, CallAttempt) else None

    def get_transfers(self, record: Record) -> list[Transfer] | None:
        return (list(record.transfers.all()) or None) if isinstance(record, CallAttempt) else None

    def get_reason(self, record: Record) -> str:
        return "" if record.status == Status.COMPLETED else record.reason

    def get_rule(self, record: Record) -> str:
        return record.call.rule if record.call.status in (Call.Status.FAILED, Call.Status.CANCELED) else ""

    def get_end_reason(self, record: Record) -> str:
        return record.call.end_reason if self.get_rule(record) else ""

    def get_status(self, record: Record) -> str:
        return "in-progress" if record.status in CallAttempt.UNFINISHED else record.status

    def get_duration(self, record: Record) -> int:
        return (record.duration_seconds or 0) if isinstance(record, CallAttempt) else 0

    def get_caller_id(self, record: Record) -> str:
        given: str = self.context["campaign"].caller_id_given
        return given

    def get_direction(self, record: Record) -> str:
        return "Outgoing"


def _recordings(attempt: CallAttempt) -> list[Recording]:
    return sorted(attempt.recordings.all(), key=lambda recording: recording.recorded_at)


class CallDetailItem(Item):
    data_ = CallDetailSerializer(source="*")


class CallDetailsPage(PageEnvelope):
    response = CallDetailItem(many=True, source="rows")


class CallDetailsQuery(queries.StatusQuery):
    sorts = {"date_created": "claimed_at"}
    states = tuple(status.value for status in STATES)


class CallDetailsView(CampaignsView):
    reads_much = True
    searched_by = ("status",)

    @extend_schema(
        operation_id="list_call_details",
        parameters=openapi.query(CallDetailsQuery),
        responses=openapi.responses(CallDetailsPage),
        tags=["Calls"],
    )
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        query = queries.parse(CallDetailsQuery, request)
        page, total = _page(campaign, query)
        return self.respond_page(CallDetailsPage, page, total=total, query=query, campaign=campaign)


def _page(campaign: Campaign, query: dict[str, Any]) -> tuple[Sequence[Record], int]:
    """Return the page that is asked for, and how many records there are. Few campaigns have numbers of rules."""
    statuses = statuses_of(query.get("status") or [])
    attempts = call_details.attempts_of(campaign, statuses)
    never = call_details.never_dialed(campaign, statuses).count()
    if not never:
        of_attempts = queries.page_of(attempts, query)
        return of_attempts, queries.total_of(attempts, of_attempts, query)
    page = call_details.read_together(
        campaign,
        statuses,
        is_descending=query["sort_by"].startswith("-"),
        offset=query["offset"],
        limit=query["limit"],
    )
    return page, attempts.count() + never


def statuses_of(states: Iterable[str]) -> list[str]:
    """Return the statuses of attempts that a client sees as these states."""
    wanted = set(states)
    return sorted(wanted | set(CallAttempt.UNFINISHED) if Status.IN_PROGRESS in wanted else wanted)
