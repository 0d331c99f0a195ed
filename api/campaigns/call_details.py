"""A call attempt as the wire writes it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from campaigns.models import Campaign
from core.ids import wire_id
from dialer.models import CallAttempt

S = CallAttempt.Status
# While it is not over, an attempt is in progress to a client.
UNFINISHED = {S.CLAIMED, S.PLACING, S.UNKNOWN, S.IN_PROGRESS}

STATES = (S.COMPLETED.value, S.BUSY.value, S.NO_ANSWER.value, S.FAILED.value, S.CANCELED.value, S.IN_PROGRESS.value)


def statuses_of(states: Iterable[str]) -> list[str]:
    """The statuses of attempts that a client sees as these states."""
    wanted = set(states)
    return sorted(wanted | UNFINISHED if S.IN_PROGRESS in wanted else wanted)


def call_data(attempt: CallAttempt, campaign: Campaign) -> dict[str, Any]:
    """The record of one attempt; attempt comes with its call loaded. duration in seconds."""
    zone = campaign.account.zone

    def local(moment: datetime | None) -> str | None:
        return moment.astimezone(zone).isoformat(timespec="seconds") if moment else None

    return {
        "call_sid": wire_id(attempt.pk),
        "number": attempt.call.number,
        "name": attempt.call.name,
        "status": "in-progress" if attempt.status in UNFINISHED else attempt.status,
        "attempt_number": attempt.number,
        "duration": attempt.duration_seconds or 0,
        "digits": attempt.digits,
        "digit": attempt.digits,
        "recording_url": attempt.recording_url,
        "date_created": local(attempt.claimed_at),
        "start_time": local(attempt.placing_at),
        "answer_time": local(attempt.answered_at),
        "end_time": local(attempt.ended_at),
        "caller_id": campaign.caller_id_given,
        "direction": "Outgoing",
    }
