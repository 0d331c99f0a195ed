"""Why a campaign dials, or does not, and what has become of its calls to one number. Exotel has no such address."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.views import AccountView
from api.http import envelope, spelling
from api.http.errors import NotFound
from campaigns.models import Campaign
from contacts.numbers import to_e164
from core.ids import wire_id
from dialer import diagnosis
from dialer.diagnosis import CallDiagnosis, Diagnosis

# A campaign may call a number that stands in its list again and again as often: so many are shown, in their order.
MOST_CALLS = 20

Local = Callable[[datetime | None], str | None]


class DiagnosisQuery(serializers.Serializer):  # type: ignore[type-arg]
    number = serializers.CharField(required=False, allow_blank=True, max_length=64)


class DiagnosisView(AccountView):
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        query = DiagnosisQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        now = timezone.now()
        found = diagnosis.of_campaign(campaign, now)
        data = diagnosis_data(campaign, found)
        if given := query.validated_data.get("number"):
            data["calls_to_number"] = self._calls(campaign, given, found, now)
        return Response(envelope.written(request.method, [envelope.item(data)]))

    def _calls(self, campaign: Campaign, given: str, found: Diagnosis, now: datetime) -> list[dict[str, Any]]:
        number = to_e164(given, self.account.region)
        if number is None:
            raise serializers.ValidationError({"number": "is not a valid number; write its + as %2B in an address"})
        calls = list(campaign.calls.filter(number=number).order_by("id")[:MOST_CALLS])
        if not calls:
            raise NotFound(f"this campaign has no call to {number}")
        local = _local(campaign)
        return [call_data(each, local) for each in diagnosis.of_calls(calls, found, now)]


def diagnosis_data(campaign: Campaign, found: Diagnosis) -> dict[str, Any]:
    """campaign comes with its account. Details for the operator's eyes stay out."""
    local = _local(campaign)
    return {
        "campaign_sid": wire_id(campaign.pk),
        "status": spelling.state(campaign.status),
        "summary": found.summary,
        "reasons": [
            {"code": reason.code, "message": reason.message, "until": local(reason.until)} for reason in found.reasons
        ],
        "calls": {
            "total": found.calls.total,
            "due": found.calls.due,
            "up": found.calls.up,
            "waiting_for_retry": found.calls.waiting_for_retry,
            "ended": found.calls.ended,
        },
        "last_placed_at": local(found.last_placed_at),
        "next_attempt_at": local(found.next_attempt_at),
    }


def call_data(found: CallDiagnosis, local: Local) -> dict[str, Any]:
    """One call, and its latest attempts with the moves of each: those that were given back are among them."""
    return {
        "number": found.call.number,
        "status": found.call.status,
        "summary": found.summary,
        "next_attempt_at": local(found.call.next_attempt_at),
        "attempts": [
            {
                "call_sid": wire_id(attempt.pk),
                "attempt_number": attempt.number,
                "status": attempt.status,
                "reason": attempt.reason,
                "history": [{"status": step.status, "at": local(step.at), "reason": step.reason} for step in steps],
            }
            for attempt, steps in found.attempts
        ],
    }


def _local(campaign: Campaign) -> Local:
    zone = campaign.account.zone
    return lambda moment: moment.astimezone(zone).isoformat(timespec="seconds") if moment else None
