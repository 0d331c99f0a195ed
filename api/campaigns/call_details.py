"""Call details: the attempts of a campaign that were offered to a carrier."""

from collections.abc import Iterable

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.base import CampaignsView
from api.http import openapi, queries
from api.http.envelope import Item, PageEnvelope
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from dialer.models import CallAttempt, Recording, Transfer
from reports import call_details

Status = CallAttempt.Status
STATES = (Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED, Status.CANCELED, Status.IN_PROGRESS)


class TransferSerializer(ResponseSerializer):
    # context: zone.
    number = Text("E.164.")
    status = Text("in-progress, or how the call ended; canceled: with the call that it was made for.")
    start_time = Moment(source="started_at")
    end_time = Moment(source="ended_at", allow_null=True)
    ring_duration = Count("Seconds, once it has ended.", required=False)
    duration = Count("Of the conversation, in seconds.")

    def get_status(self, transfer: Transfer) -> str:
        return transfer.outcome or "in-progress"

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
    # context: zone; campaign, which all attempts are of. The attempts come with their calls loaded.
    call_sid = WireId("32 hexadecimal digits.", source="pk")
    number = Text("E.164.", source="call.number")
    name = Text(source="call.name")
    status = Text("in-progress, or how the attempt ended.")
    attempt_number = Count("From 1.", source="number")
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
    wish = Text(
        "refusal or opt-out: what the person called asks for about further calls. Not of Exotel's API.", required=False
    )
    transfers = TransferSerializer(
        many=True, required=False, help_text="Calls to other numbers that the flow made. Not of Exotel's API."
    )

    recordings = RecordingSerializer(
        many=True, required=False, help_text="What the flow has recorded. Not of Exotel's API."
    )

    def get_recording_url(self, attempt: CallAttempt) -> str:
        made = sorted(attempt.recordings.all(), key=lambda recording: recording.recorded_at)
        return attempt.recording_url or (made[-1].url if made else "")

    def get_recordings(self, attempt: CallAttempt) -> list[Recording] | None:
        return sorted(attempt.recordings.all(), key=lambda recording: recording.recorded_at) or None

    def get_transfers(self, attempt: CallAttempt) -> list[Transfer] | None:
        return list(attempt.transfers.all()) or None

    def get_reason(self, attempt: CallAttempt) -> str:
        return "" if attempt.status == Status.COMPLETED else attempt.reason

    def get_status(self, attempt: CallAttempt) -> str:
        return "in-progress" if attempt.status in CallAttempt.UNFINISHED else attempt.status

    def get_duration(self, attempt: CallAttempt) -> int:
        return attempt.duration_seconds or 0

    def get_caller_id(self, attempt: CallAttempt) -> str:
        given: str = self.context["campaign"].caller_id_given
        return given

    def get_direction(self, attempt: CallAttempt) -> str:
        return "Outgoing"


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
        attempts = call_details.attempts_of(campaign, statuses_of(query.get("status") or []))
        page = queries.page_of(attempts, query)
        return self.respond_page(
            CallDetailsPage, page, total=queries.total_of(attempts, page, query), query=query, campaign=campaign
        )


def statuses_of(states: Iterable[str]) -> list[str]:
    """Return the statuses of attempts that a client sees as these states."""
    wanted = set(states)
    return sorted(wanted | set(CallAttempt.UNFINISHED) if Status.IN_PROGRESS in wanted else wanted)
