"""A call's row as an event of the carrier `sip`, and that event in the dialer's words.

Every event is a snapshot of the whole row, so one that is lost, late or repeated takes nothing from the next.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from campaigns.models import Outcome
from dialer.carriers.base import Event, UnreadableEvent
from dialer.carriers.refusals import wish_of
from sipgateway import codes
from sipgateway.codes import Concerns
from sipgateway.models import SipCall

UP = "in-progress"


def snapshot(call: SipCall) -> dict[str, Any]:
    """Return the event that tells how the call stands."""
    ended = call.status == SipCall.Status.ENDED
    status = call.outcome if ended else UP
    if ended and call.is_taken and status == Outcome.CANCELED:
        # The dialer was told that the trunk has the call, and gives none of those back.
        status = Outcome.FAILED
    return {
        "call_id": call.attempt_id.hex,
        "status": str(status),
        "code": call.code,
        "reason": call.reason,
        "digits": call.digits,
        "invited_at": _text(call.inviting_at),
        "ringing_at": _text(call.ringing_at),
        "answered_at": _text(call.answered_at),
        "ended_at": _text(call.ended_at),
        "concerns_number": ended and concerns(call) == Concerns.NUMBER,
    }


def read(payload: Mapping[str, Any]) -> Event:
    """Return the event in the dialer's words. Raises UnreadableEvent."""
    status = payload.get("status")
    if status != UP and status not in Outcome.values:
        raise UnreadableEvent(f"status {status!r} is not one of a SIP call")
    answered_at, ended_at = _moment(payload.get("answered_at")), _moment(payload.get("ended_at"))
    code = payload.get("code")
    talked = int((ended_at - answered_at).total_seconds()) if answered_at and ended_at else None
    return Event(
        status=str(status),
        carrier_ref=str(payload.get("call_id") or "")[:64],
        started_at=_moment(payload.get("invited_at")),
        rang_at=_moment(payload.get("ringing_at")),
        answered_at=answered_at,
        ended_at=ended_at,
        duration_seconds=max(talked, 0) if talked is not None else None,
        digits=str(payload.get("digits") or "")[:255],
        reason=str(payload.get("reason") or "")[:255],
        names_number=payload.get("concerns_number") is True,
        wish=wish_of(code if isinstance(code, int) and status != UP else None),
    )


def concerns(call: SipCall) -> Concerns | None:
    """Return whom the end of the call is about; None where no response of the trunk ended it."""
    if call.code is None or call.code < 300:
        return None
    return codes.meaning_of(call.code, has_rung=call.ringing_at is not None).concerns


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
