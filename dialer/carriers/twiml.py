"""The family of carriers that speak Twilio's REST API of calls and fetch TwiML from us: Twilio and SignalWire.

By Twilio's public documentation of the Call resource (API version 2010-04-01) and SignalWire's of its compatible one.
What shapes this driver:
- our id travels in the addresses alone: after a lost reply the driver looks for a call to this number since the attempt
  began. The list can be filtered by numbers, but not by its creation: a call that is queued has no StartTime yet.
- a request may have been carried out whatever 5xx it got, and there is no idempotency key: only the replies that say
  that nothing was done give an attempt back;
- an accepted call may be queued for as long as the account's calls per second are used up, so the pace of a trunk's
  accounts belongs below that rate.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from accounts.carriers import CarrierKind, FlowFormat
from campaigns.models import Outcome
from dialer.carriers import twilio_signature
from dialer.carriers.base import (
    Accepted,
    Access,
    Ambiguous,
    AnothersCall,
    CallRequest,
    CantTell,
    Event,
    LookUp,
    NoSuchCall,
    Placed,
    Refused,
    Reply,
    Unavailable,
    UnreadableEvent,
)
from dialer.carriers.http_carrier import HttpCarrier, Response, whole_seconds

EVENTS = ("initiated", "ringing", "answered", "completed")
OUTCOMES = {
    "completed": Outcome.COMPLETED.value,
    "busy": Outcome.BUSY.value,
    "no-answer": Outcome.NO_ANSWER.value,
    "failed": Outcome.FAILED.value,
    # Ended by us or by the operator before anybody picked up; a phone may have rung.
    "canceled": Outcome.FAILED.value,
}
# `initiated` is SignalWire's word for `queued` in a look-up, and both carriers' in an event.
NOT_ENDED = {"queued", "initiated", "ringing", "in-progress"}
# Nothing was done: too many requests, an overloaded carrier, or a problem of our account there.
UNAVAILABLE = {401, 402, 407, 408, 429, 503}
# By the dictionary of error codes: too many requests; too many calls at once of the account, and of a trial account.
UNAVAILABLE_CODES = {20429, 10004, 86008}
TOO_MANY = {429, 503}
# By the same: the number called is invalid, can't be reached, or is one that the carrier never calls.
NUMBERS_OWN_CODES = {13223, 13224, 13225, 21211, 21214, 21217}
# How far the carrier's clock and ours may be apart, when looking for a call by its date. Generous: a call that is not
# found is dialled again, and the calls of other attempts are told apart by their ids.
CLOCK_SKEW = timedelta(minutes=10)
FAR_AWAY = datetime.max.replace(tzinfo=UTC)
# The most calls on one page of a list.
PAGE_SIZE = 1000


@dataclass(frozen=True)
class Preset:
    """Where carriers of the family differ.

    Attributes:
        path: from the base URL to an account's calls.
        signature_header: of requests that are signed with the account's token; "" where another key signs them.
    """

    path: str
    signature_header: str = ""


class TwimlCarrier(HttpCarrier):
    """base_url is without a path, such as https://api.twilio.com. The API key is the account SID or a key's."""

    preset: ClassVar[Preset]

    def __init__(self, access: Access) -> None:
        super().__init__(access.api_key, access.api_token)
        self._calls = access.base_url.rstrip("/") + self.preset.path.format(account_sid=access.account_sid)

    @classmethod
    def connect(cls, access: Access) -> "TwimlCarrier":
        return cls(access)

    @classmethod
    def is_genuine(
        cls, access: Access, headers: Mapping[str, str], url: str, fields: Mapping[str, Sequence[str]]
    ) -> bool:
        """Tell whether a form comes from the carrier. True where the trunk has no key to check it with.

        Only the account's own token signs; a trunk may have the secret of another key.
        """
        header = cls.preset.signature_header
        if not header or access.api_key != access.account_sid:
            return True
        return twilio_signature.is_right(headers.get(header, ""), access.api_token, url, fields)

    @classmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        status = str(payload.get("CallStatus", "")).strip().lower()
        if status not in OUTCOMES and status not in NOT_ENDED:
            raise UnreadableEvent(f"CallStatus {payload.get('CallStatus')!r} is not one that Twilio documents")
        at = _moment(payload.get("Timestamp"))
        event = _event(status, payload.get("CallSid"), at, whole_seconds(payload.get("CallDuration")))
        return replace(
            event,
            answered_at=at if status == "in-progress" else event.answered_at,
            digits=str(payload.get("Keys") or "")[:255],
        )

    async def connect_call(self, request: CallRequest) -> Reply:
        form = [
            ("To", request.number),
            ("From", request.caller_id),
            ("Url", request.flow_url),
            ("StatusCallback", request.callback_url),
            *(("StatusCallbackEvent", event) for event in EVENTS),
            ("Timeout", str(request.ring_timeout)),
            ("TimeLimit", str(request.max_seconds)),
        ]
        response = await self.ask("POST", f"{self._calls}.json", data=form)
        status, body, _ = response
        if status in UNAVAILABLE or 300 <= status < 400 or body.get("code") in UNAVAILABLE_CODES:
            return Unavailable(_message(response), status)
        if 400 <= status < 500:
            return Refused(_message(response), status, names_number=body.get("code") in NUMBERS_OWN_CODES)
        sid = body.get("sid") if status in {200, 201} else None
        return Accepted(str(sid)[:64]) if sid else Ambiguous(_message(response))

    async def find_call(self, placed: Placed) -> LookUp:
        if placed.carrier_ref:
            response = await self.ask("GET", f"{self._calls}/{placed.carrier_ref}.json")
        else:
            search = {"To": placed.number, "From": placed.caller_id, "PageSize": str(PAGE_SIZE)}
            response = await self.ask("GET", f"{self._calls}.json", params=search)
        if response.status in TOO_MANY:
            return CantTell(_message(response), is_too_many=True, retry_after=response.retry_after)
        return _one(response, placed) if placed.carrier_ref else _one_of(response, placed)

    async def end_call(self, carrier_ref: str) -> None:
        await self.ask("POST", f"{self._calls}/{carrier_ref}.json", data={"Status": "completed"})


class TwilioCarrier(TwimlCarrier):
    kind = CarrierKind("twilio", "Twilio", flow_format=FlowFormat.TWIML)
    preset = Preset("/2010-04-01/Accounts/{account_sid}/Calls", signature_header="X-Twilio-Signature")


class SignalWireCarrier(TwimlCarrier):
    kind = CarrierKind("signalwire", "SignalWire", flow_format=FlowFormat.TWIML)
    preset = Preset("/api/laml/2010-04-01/Accounts/{account_sid}/Calls")


def _one(response: Response, placed: Placed) -> LookUp:
    """Read the call that was asked for by its id. Only the carrier's own 404 means that there is none."""
    if response.status == 404 and response.body.get("code") == 20404:
        return NoSuchCall()
    if response.status != 200:
        return CantTell(_message(response))
    if str(response.body.get("sid", ""))[:64] != placed.carrier_ref:
        return CantTell("the carrier showed a call of another id")
    return AnothersCall() if response.body.get("to") != placed.number else _looked_up(response.body)


def _one_of(response: Response, placed: Placed) -> LookUp:
    """Read the call that may be the attempt's: to its number, of no other attempt, nearest to its dial."""
    calls = response.body.get("calls")
    if response.status != 200 or not isinstance(calls, list):
        return CantTell(_message(response))
    since = placed.placing_at - CLOCK_SKEW
    lately = [call for call in calls if isinstance(call, dict) and _created(call, default=placed.placing_at) >= since]
    if len(lately) == PAGE_SIZE:
        return CantTell("the carrier lists more calls to this number than fit on a page")
    at_number = [call for call in lately if (call.get("to"), call.get("from")) == (placed.number, placed.caller_id)]
    sids = Counter(str(call.get("sid", "")) for call in at_number)
    if any(times > 1 for times in sids.values()):
        return CantTell("the carrier lists two calls of one id")
    fitting = [call for call in at_number if call.get("sid") not in placed.known_refs]
    if not fitting:
        return NoSuchCall()
    call = min(fitting, key=lambda call: abs(_created(call, default=FAR_AWAY) - placed.placing_at))
    found = _looked_up(call)
    return replace(found, is_guess=True, caller_id=placed.caller_id) if isinstance(found, Event) else found


def _looked_up(call: Mapping[str, Any]) -> LookUp:
    status = str(call.get("status", "")).strip().lower()
    if status not in OUTCOMES and status not in NOT_ENDED:
        return CantTell(f"status {call.get('status')!r} is not one that Twilio documents")
    found = _event(status, call.get("sid"), _moment(call.get("end_time")), whole_seconds(call.get("duration")))
    return replace(found, started_at=_moment(call.get("date_created")))


def _event(status: str, sid: Any, ended_at: datetime | None, duration: int | None) -> Event:
    """Read what events and look-ups have in common. The duration of a call that nobody answered is that of the ring."""
    answered = status == "completed"
    ended = ended_at if status in OUTCOMES else None
    return Event(
        status=OUTCOMES.get(status, "in-progress"),
        carrier_ref=str(sid or "")[:64],
        answered_at=ended - timedelta(seconds=duration) if answered and ended and duration is not None else None,
        ended_at=ended,
        duration_seconds=duration if answered else None,
    )


def _created(call: Mapping[str, Any], default: datetime) -> datetime:
    return _moment(call.get("date_created")) or default


def _moment(text: Any) -> datetime | None:
    """Read a date of RFC 2822, as in `Tue, 31 Aug 2010 20:36:28 +0000`."""
    try:
        moment = parsedate_to_datetime(str(text))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _message(response: Response) -> str:
    code, text = response.body.get("code"), response.body.get("message")
    words = f"error {code}: {text}" if code else str(text or "")
    return f"HTTP {response.status}: {words}".rstrip(": ")[:255]
