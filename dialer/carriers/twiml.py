"""The family of carriers that speak Twilio's REST API of calls and fetch TwiML from us: Twilio, SignalWire, Telnyx.

By Twilio's public documentation of the Call resource (API version 2010-04-01), and that of SignalWire's and Telnyx's
(TeXML) compatible ones. A carrier of the family is a preset: data. What shapes this driver:
- our id travels in the addresses alone: after a lost reply the driver looks for a call to this number since the attempt
  began. The list can be filtered by numbers, but not by its creation: a call that is queued has no StartTime yet.
- a request may have been carried out whatever 5xx it got, and there is no idempotency key: only the replies that say
  that nothing was done give an attempt back;
- an accepted call may be queued for as long as the account's calls per second are used up, so the pace of a trunk's
  accounts belongs below that rate.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote

from accounts.calling_rules import OPT_OUT
from accounts.carriers import CarrierKind, FlowFormat, FoundBy
from campaigns.models import Outcome
from core import clocks
from dialer.carriers import refusals, signatures
from dialer.carriers.base import (
    Accepted,
    Access,
    Ambiguous,
    AnothersCall,
    CallRequest,
    CantList,
    CantTell,
    Detection,
    Event,
    Listed,
    LookUp,
    NoSuchCall,
    Placed,
    Received,
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
TOO_MANY = {429, 503}
DETECTION = {Detection.MACHINE: "Enable", Detection.END_OF_GREETING: "DetectMessageEnd"}
# How far the carrier's clock and ours may be apart, when looking for a call by its date. Generous: a call that is not
# found is dialled again, and the calls of other attempts are told apart by their ids.
CLOCK_SKEW = timedelta(minutes=10)
FAR_AWAY = datetime.max.replace(tzinfo=UTC)
# Of a document, 64 kB at the most (Twilio's error 11750), what a flow may fill: a long text stands in several elements,
# each of which is marked up.
LONGEST_STRETCH = 50_000


@dataclass(frozen=True)
class Preset:
    """Where carriers of the family differ.

    Attributes:
        path: from the base URL to an account's calls.
        suffix: of the addresses below it.
        is_signed: tells whether a request is signed with a key.
        is_bearer: the token alone opens the API, and the API key is that of the application, which each call names.
        takes_json: a call is asked for by JSON, and its events are written as one text.
        names_call: the reply to a request for a call has its id; otherwise the first event brings it.
        unavailable: error codes that say that no call is taken now.
        numbers_own: error codes that say that the number called is at fault.
        opted_out: those of them that say that the person called wants none of our calls.
        no_such_call: the error code of a call that the carrier does not know.
        page: the name of the field that asks for a list's size, and the most calls on one page.
    """

    path: str
    is_signed: Callable[[str, Received], bool]
    suffix: str = ".json"
    is_bearer: bool = False
    takes_json: bool = False
    names_call: bool = True
    # By Twilio's dictionary: too many requests; too many calls at once of the account, and of a trial account.
    unavailable: frozenset[int] = frozenset({20429, 10004, 86008})
    # By the same: the number called is invalid, can't be reached, or is one that the carrier never calls.
    numbers_own: frozenset[int] = frozenset({13223, 13224, 13225, 21211, 21214, 21217, 21610})
    opted_out: frozenset[int] = frozenset({21610})
    no_such_call: int = 20404
    page: tuple[str, int] = ("PageSize", 1000)


class TwimlCarrier(HttpCarrier):
    """base_url is without a path, such as https://api.twilio.com. The API key is the account SID or a key's."""

    preset: ClassVar[Preset]

    def __init__(self, access: Access) -> None:
        super().__init__(access.api_key, access.api_token)
        if self.preset.is_bearer:
            self._headers = {"Authorization": f"Bearer {access.api_token}"}
        self._application = access.api_key
        self._calls = access.base_url.rstrip("/") + self.preset.path.format(account_sid=access.account_sid)

    @classmethod
    def connect(cls, access: Access) -> "TwimlCarrier":
        return cls(access)

    @classmethod
    def is_genuine(cls, access: Access, request: Received) -> bool | None:
        key = cls.signature_key(access)
        return cls.preset.is_signed(key, request) if key else None

    @classmethod
    def signature_key(cls, access: Access) -> str:
        """Return the key of the carrier's signatures; "" where the trunk has none."""
        return access.signing_key

    @classmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        status = str(payload.get("CallStatus", "")).strip().lower()
        if status not in OUTCOMES and status not in NOT_ENDED:
            raise UnreadableEvent(f"CallStatus {payload.get('CallStatus')!r} is not one that Twilio documents")
        at = _moment(payload.get("Timestamp"))
        event = _event(status, payload.get("CallSid"), at, whole_seconds(payload.get("CallDuration")))
        return replace(
            _with_refusal(event, payload),
            answered_at=at if status == "in-progress" else event.answered_at,
            rang_at=(at or clocks.last_known_now()) if status == "ringing" else None,
            digits=str(payload.get("Keys") or "")[:255],
            answered_by=answered_by(payload.get("AnsweredBy")),
        )

    async def connect_call(self, request: CallRequest) -> Reply:
        response = await self.ask("POST", self._calls + self.preset.suffix, **self._body(request))
        status, body, _ = response
        code = _code(response)
        if status in UNAVAILABLE or 300 <= status < 400 or code in self.preset.unavailable:
            return Unavailable(_message(response), status)
        if 400 <= status < 500:
            wish = OPT_OUT if code in self.preset.opted_out else ""
            return Refused(_message(response), status, names_number=code in self.preset.numbers_own, wish=wish)
        sid = body.get("sid") or body.get("call_sid") if status in {200, 201} else None
        if sid or (status in {200, 201} and not self.preset.names_call and body.get("status") in NOT_ENDED):
            return Accepted(str(sid or "")[:64])
        return Ambiguous(_message(response))

    def _body(self, request: CallRequest) -> dict[str, Any]:
        """Return what asks for a call, as an argument of `ask`."""
        fields = [
            ("To", request.number),
            ("From", request.caller_id),
            ("Url", request.flow_url),
            ("StatusCallback", request.callback_url),
            ("Timeout", str(request.ring_timeout)),
            ("TimeLimit", str(request.max_seconds)),
        ]
        if request.error_url:
            fields.append(("FallbackUrl", request.error_url))
        if request.detection:
            fields.append(("MachineDetection", DETECTION[request.detection]))
        if not self.preset.takes_json:
            return {"data": [*fields, *(("StatusCallbackEvent", event) for event in EVENTS)]}
        methods = {"UrlMethod": "POST", "StatusCallbackMethod": "POST"}
        seconds = {"Timeout": request.ring_timeout, "TimeLimit": request.max_seconds}
        events = {"StatusCallbackEvent": " ".join(EVENTS)}
        return {"json": dict(fields) | seconds | events | methods | {"ApplicationSid": self._application}}

    async def find_call(self, placed: Placed) -> LookUp:
        if placed.carrier_ref:
            response = await self.ask("GET", self._call(placed.carrier_ref))
        else:
            name, size = self.preset.page
            search = {"To": placed.number, "From": placed.caller_id, name: str(size)}
            response = await self.ask("GET", self._calls + self.preset.suffix, params=search)
        if response.status in TOO_MANY:
            return CantTell(_message(response), is_too_many=True, retry_after=response.retry_after)
        if response.status == 404 and placed.carrier_ref and _code(response) == self.preset.no_such_call:
            return NoSuchCall()
        return _one(response, placed) if placed.carrier_ref else _one_of(response, placed, self.preset.page[1])

    def list_calls(self, since: datetime) -> Iterator[Sequence[Listed]]:
        """Read on until a page has no call that is younger: the list can't be filtered by its creation."""
        name, size = self.preset.page
        address = self._calls + self.preset.suffix
        page = self.page(address, params={name: str(size)})
        while True:
            calls = page.body.get("calls")
            if not isinstance(calls, list):
                raise CantList("the list of calls was not understood")
            first = since - CLOCK_SKEW
            young = [call for call in calls if isinstance(call, dict) and _created(call, default=FAR_AWAY) >= first]
            yield [listed for call in young if (listed := _listed(call))]
            further = page.body.get("next_page_uri")
            if not further or not young:
                return
            page = self.page(self.further(address, str(further)))

    async def end_call(self, carrier_ref: str) -> None:
        await self.ask("POST", self._call(carrier_ref), data={"Status": "completed"})

    async def withdraw_call(self, carrier_ref: str) -> Mapping[str, Any] | None:
        """Cancel a call that is queued. A cancel would end one that rings, too, so it is looked at first."""
        shown = (await self.ask("GET", self._call(carrier_ref))).body
        if shown.get("status") in {"queued", "initiated"}:
            shown = (await self.ask("POST", self._call(carrier_ref), data={"Status": "canceled"})).body
        status = str(shown.get("status"))
        if status == "canceled" and shown.get("start_time"):
            return {"CallSid": carrier_ref, "CallStatus": "ringing"}  # its turn had just come
        return {"CallSid": carrier_ref, "CallStatus": status} if status in {"canceled", "ringing"} else None

    def _call(self, carrier_ref: str) -> str:
        return f"{self._calls}/{quote(carrier_ref, safe='')}{self.preset.suffix}"


def _kind(name: str, label: str, *, queues_calls: bool, lacks: Set[str] = frozenset()) -> CarrierKind:
    return CarrierKind(
        name,
        label,
        flow_format=FlowFormat.TWIML,
        signs_requests=True,
        queues_calls=queues_calls,
        found_by=frozenset({FoundBy.ITS_ID, FoundBy.NUMBER}),
        lists_calls=True,
        hangs_up=True,
        detects_machines=True,
        longest_stretch=LONGEST_STRETCH,
        lacks=frozenset(lacks),
    )


class TwilioCarrier(TwimlCarrier):
    kind = _kind("twilio", "Twilio", queues_calls=True)
    preset = Preset("/2010-04-01/Accounts/{account_sid}/Calls", signatures.is_twilios)

    @classmethod
    def signature_key(cls, access: Access) -> str:
        """Return the account's own token, which signs: it is the trunk's unless that has the secret of another key."""
        return access.signing_key or (access.api_token if access.api_key == access.account_sid else "")


class SignalWireCarrier(TwimlCarrier):
    # Its <Start> has no noun that records (developer.signalwire.com, cXML).
    kind = _kind("signalwire", "SignalWire", queues_calls=True, lacks={"record_call"})
    preset = Preset("/api/laml/2010-04-01/Accounts/{account_sid}/Calls", signatures.is_signalwires)


class TelnyxCarrier(TwimlCarrier):
    """The API key is the id of a TeXML application, the token an API key, and the signing key the public key."""

    kind = _kind("telnyx", "Telnyx", queues_calls=False)
    preset = Preset(
        "/v2/texml/Accounts/{account_sid}/Calls",
        signatures.is_telnyxs,
        suffix="",
        is_bearer=True,
        takes_json=True,
        names_call=False,
        unavailable=frozenset({10011}),
        # What Telnyx says of a number it says of the caller ID with the same code.
        numbers_own=frozenset(),
        no_such_call=10005,
        page=("page[size]", 250),
    )


def answered_by(told: Any) -> str:
    """Return who answered, in our words, for `machine_start`, `machine_end_beep`, `fax`, `human`, `not_sure` …"""
    word = str(told or "").strip().lower()
    if word.startswith("machine") or word == "fax":
        return "machine"
    return {"": "", "human": "human"}.get(word, "unknown")


def _one(response: Response, placed: Placed) -> LookUp:
    """Read the call that was asked for by its id."""
    if response.status != 200:
        return CantTell(_message(response))
    if str(response.body.get("sid", ""))[:64] != placed.carrier_ref:
        return CantTell("the carrier showed a call of another id")
    return AnothersCall() if response.body.get("to") != placed.number else _looked_up(response.body)


def _one_of(response: Response, placed: Placed, page_size: int) -> LookUp:
    """Read the call that may be the attempt's: to its number, of no other attempt, nearest to its dial."""
    calls = response.body.get("calls")
    if response.status != 200 or not isinstance(calls, list):
        return CantTell(_message(response))
    since = placed.placing_at - CLOCK_SKEW
    lately = [call for call in calls if isinstance(call, dict) and _created(call, default=placed.placing_at) >= since]
    is_cut = bool(response.body.get("next_page_uri")) or len(calls) >= page_size
    if is_cut and len(lately) == len(calls):
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


def _listed(call: Mapping[str, Any]) -> Listed | None:
    """Read a call of a list; None for one that came in, for a second leg, and for one that names no call."""
    number, created, ref = str(call.get("to") or ""), _moment(call.get("date_created")), str(call.get("sid") or "")
    is_ours = call.get("direction") in {None, "", "outbound", "outbound-api"}
    if not is_ours or not number or not created or not ref:
        return None
    found = _looked_up(call)
    event = found if isinstance(found, Event) else Event(status="in-progress", carrier_ref=ref[:64])
    return Listed(number, str(call.get("from") or ""), created, event)


def _looked_up(call: Mapping[str, Any]) -> LookUp:
    status = str(call.get("status", "")).strip().lower()
    if status not in OUTCOMES and status not in NOT_ENDED:
        return CantTell(f"status {call.get('status')!r} is not one that Twilio documents")
    found = _event(status, call.get("sid"), _moment(call.get("end_time")), whole_seconds(call.get("duration")))
    was_dialed = bool(call.get("start_time"))
    never_rang = found.was_withdrawn and not was_dialed
    return replace(found, started_at=_moment(call.get("date_created")), was_withdrawn=never_rang)


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
        was_withdrawn=status == "canceled",
    )


def _with_refusal(event: Event, payload: Mapping[str, Any]) -> Event:
    """Read the SIP response that ended a call which nobody answered: Twilio and SignalWire name it differently."""
    code = whole_seconds(payload.get("SipResponseCode") or payload.get("SipResultCode"))
    refusal = refusals.BY_SIP_CODE.get(code or 0)
    if refusal is None or event.status not in {Outcome.BUSY, Outcome.FAILED, Outcome.NO_ANSWER}:
        return event
    reason = f"{refusal.words} (SIP {code})"
    return replace(event, reason=reason, names_number=refusal.is_final, wish=refusals.wish_of(code))


def _created(call: Mapping[str, Any], default: datetime) -> datetime:
    return _moment(call.get("date_created")) or default


def _moment(text: Any) -> datetime | None:
    """Read a date of RFC 2822, as in `Tue, 31 Aug 2010 20:36:28 +0000`, or Telnyx's of ISO 8601."""
    try:
        written = str(text)
        moment = datetime.fromisoformat(written) if written[:4].isdigit() else parsedate_to_datetime(written)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _error(response: Response) -> Mapping[str, Any]:
    """Return the error as Twilio writes it, or the first one as Telnyx writes them."""
    errors = response.body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if isinstance(first, dict):
        return {"code": first.get("code"), "message": first.get("detail") or first.get("title")}
    return response.body


def _code(response: Response) -> int | None:
    return whole_seconds(_error(response).get("code"))


def _message(response: Response) -> str:
    code, text = (_error(response).get(name) for name in ("code", "message"))
    words = f"error {code}: {text}" if code else str(text or "")
    return f"HTTP {response.status}: {words}".rstrip(": ")[:255]
