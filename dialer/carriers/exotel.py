"""Exotel's v1 connect API: call a number, and put it into a flow once it is answered.

The protocol is that of Exotel's public documentation of v1 calls. Its limits shape this driver:
- our id can travel only in the callback address: CustomField is the campaign's and reaches the customer's own flow;
- so after a lost reply the driver looks for a call to this number since the attempt began;
- a reply of 500, 502 or 504 does not say whether a phone rings, and neither does one that makes no sense;
- nothing ends a call that is up: it goes on to its own end, or to its TimeLimit.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog

from accounts.calling_rules import OPT_OUT
from accounts.carriers import CarrierKind, FoundBy
from campaigns.models import Outcome
from contacts.numbers import to_e164
from core import clocks
from dialer.carriers.base import (
    Accepted,
    Access,
    Ambiguous,
    AnothersCall,
    CallRequest,
    CantList,
    CantTell,
    Event,
    Listed,
    LookUp,
    NoSuchCall,
    Placed,
    Refused,
    Reply,
    Unavailable,
    UnreadableEvent,
)
from dialer.carriers.http_carrier import HttpCarrier, whole_seconds

log = structlog.get_logger(__name__)

# Exotel's dates have no zone; they are Indian time.
ZONE = ZoneInfo("Asia/Kolkata")
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
USUAL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
# `canceled` is listed for calls too; no person answered and a phone may have rung, so it is a failed attempt.
OUTCOMES = {
    "completed": Outcome.COMPLETED.value,
    "busy": Outcome.BUSY.value,
    "no-answer": Outcome.NO_ANSWER.value,
    "failed": Outcome.FAILED.value,
    "canceled": Outcome.FAILED.value,
}
NOT_ENDED = {"queued", "ringing", "in-progress"}
# No phone rang, and another try may succeed: too many requests, an overloaded carrier, or a problem of our account
# there (credentials, balance) rather than of this number.
UNAVAILABLE = {401, 402, 407, 408, 429, 503}
# A look-up is sent again later. 503 is the reply of an overloaded carrier too.
TOO_MANY = {429, 503}
# Registers of people who do not want to be called: a refusal that names one is about the number called.
DO_NOT_CALL = re.compile(r"\b(ndnc|dnd|trai|do not (disturb|call))\b", re.IGNORECASE)
# Words about our side of the carrier, where the next number would be refused as well.
OUR_SIDE = re.compile(
    r"kyc|account|caller.?id|exophone|virtual number|balance|credit|recharge|suspend|permi(ssion|tted)|authori[sz]"
    r"|token|\bsid\b|tenant|trunk|\bplan\b|subscri|\bapp\b|\burl\b|flow|callback|timelimit|timeout|customfield"
    r"|\brate\b|\blimit|\bip\b",
    re.IGNORECASE,
)
# The number called is the parameter From of connect; other replies write To.
NUMBERS_OWN = re.compile(
    r"(?i:invalid|not valid|bad|malformed)\b.{0,30}\b(From|To)\b|\b(From|To)\b['\"]? (is|must|has)\b"
    r"|(?i:invalid|not a valid|unknown|blocked|blacklisted) (?i:phone|mobile|destination|callee|called|to)\b"
)
# How far the carrier's clock and ours may be apart, when looking for a call by its date. Generous: a call that is not
# found is dialled again, and the calls of other attempts are told apart by their ids.
CLOCK_SKEW = timedelta(minutes=10)


# Hosts of Exotel's API, one for each region.
API_HOST = re.compile(r"api\.([a-z0-9-]+\.)*exotel\.(com|in)")


class ExotelCarrier(HttpCarrier):
    """base_url is without the version, such as https://host."""

    # CustomField: at most 128 characters, by the API reference of connect.
    kind = CarrierKind(
        "exotel",
        "Exotel (v1 connect)",
        runs_our_flows=False,
        found_by=frozenset({FoundBy.ITS_ID, FoundBy.NUMBER}),
        lists_calls=True,
        reports_keys=False,
        longest_custom_field=128,
    )
    events: ClassVar[tuple[str, ...]] = ("terminal", "answered", "ringing")

    def __init__(self, base_url: str, account_sid: str, api_key: str, api_token: str) -> None:
        super().__init__(api_key, api_token)
        self._calls = f"{base_url.rstrip('/')}/v1/Accounts/{account_sid}/Calls"
        self._flows = f"http://{_flow_host(base_url)}/{account_sid}/exoml/start_voice"

    @classmethod
    def connect(cls, access: Access) -> "ExotelCarrier":
        return cls(access.base_url, access.account_sid, access.api_key, access.api_token)

    @classmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        status = str(payload.get("Status", "")).strip().lower()
        if status not in OUTCOMES and status not in NOT_ENDED:
            raise UnreadableEvent(f"Status {payload.get('Status')!r} is not one that Exotel documents")
        event = _event(payload, status, whole_seconds(payload.get("ConversationDuration")))
        if payload.get("EventType") == "answered":
            return replace(event, answered_at=_moment(payload.get("DateUpdated")))
        if status == "ringing":
            return replace(event, rang_at=_moment(payload.get("DateUpdated")) or clocks.last_known_now())
        return event

    def _flow_address(self, request: CallRequest) -> str:
        """Return the flow's address in the operator's account, "" without one. No text of a client is sent."""
        return f"{self._flows}/{request.flow_id}" if request.flow_id else ""

    async def connect_call(self, request: CallRequest) -> Reply:
        flow_address = self._flow_address(request)
        if not flow_address:
            return Refused("the campaign reads a text, and this carrier runs flows of its own account only")
        form = {
            "From": request.number,
            "CallerId": request.caller_id,
            "Url": flow_address,
            "CallType": "trans",
            "TimeLimit": str(request.max_seconds),
            "TimeOut": str(request.ring_timeout),
            "StatusCallback": request.callback_url,
            **{f"StatusCallbackEvents[{place}]": event for place, event in enumerate(self.events)},
            # Parsed in a tenth of the time of the default, a multipart form. A form that comes anyway is read, too.
            "StatusCallbackContentType": "application/json",
            "CustomField": request.custom_field,
        }
        status, body, _ = await self.ask("POST", f"{self._calls}/connect.json", data=form)
        if status in UNAVAILABLE or 300 <= status < 400:
            return Unavailable(_message(body, status), status)
        if 400 <= status < 500:
            message = _message(body, status)
            wish = OPT_OUT if DO_NOT_CALL.search(message) else ""
            return Refused(message, status, names_number=_names_number(message, request.number), wish=wish)
        call = body.get("Call")
        sid = call.get("Sid") if status == 200 and isinstance(call, dict) else None
        return Accepted(str(sid)[:64]) if sid else Ambiguous(_message(body, status))

    async def find_call(self, placed: Placed) -> LookUp:
        if placed.carrier_ref:
            reply = await self.ask("GET", f"{self._calls}/{placed.carrier_ref}.json?details=true")
        else:
            reply = await self.ask("GET", f"{self._calls}.json", params=_search(placed))
        if reply.status in TOO_MANY:
            return CantTell(_message(reply.body, reply.status), is_too_many=True, retry_after=reply.retry_after)
        read = _one if placed.carrier_ref else _one_of
        return read(reply.status, reply.body, placed)

    def list_calls(self, since: datetime) -> Iterator[Sequence[Listed]]:
        address, search = f"{self._calls}.json", {"DateCreated": _dates(since), "PageSize": "100"}
        page = self.page(address, params=search)
        while True:
            calls, about = page.body.get("Calls"), page.body.get("Metadata")
            if not isinstance(calls, list):
                raise CantList("the list of calls was not understood")
            yield [listed for call in calls if isinstance(call, dict) and (listed := _listed(call))]
            further = about.get("NextPageUri") if isinstance(about, dict) else None
            if not further or not calls:
                return
            page = self.page(self.further(address, str(further)))


def _flow_host(base_url: str) -> str:
    """Return the host in the addresses of flows: my.in.exotel.com for api.in.exotel.com. A proxy has none."""
    host = urlsplit(base_url).hostname or ""
    return f"my.{host.removeprefix('api.')}" if API_HOST.fullmatch(host) else "my.exotel.com"


def _search(placed: Placed) -> dict[str, str]:
    return {"From": placed.number, "DateCreated": _dates(placed.placing_at), "PageSize": "100"}


def _dates(since: datetime) -> str:
    """Return the filter of the calls since then, whichever of the two clocks is ahead."""
    first = (since - CLOCK_SKEW).astimezone(ZONE).strftime(DATE_FORMAT)
    last = (clocks.last_known_now() + CLOCK_SKEW).astimezone(ZONE).strftime(DATE_FORMAT)
    return f"gte:{first};lte:{last}"


def _listed(call: Mapping[str, Any]) -> Listed | None:
    """Read a call of a list; None for one that came in, or that names no call."""
    number, created = _number(call, "From"), _moment(call.get("DateCreated"))
    is_ours = str(call.get("Direction") or "outbound").startswith("outbound")
    if not is_ours or not number or not created or not call.get("Sid"):
        return None
    found = _looked_up(call)
    ref = str(call["Sid"])[:64]
    event = found if isinstance(found, Event) else Event(status="in-progress", carrier_ref=ref)
    return Listed(number, _caller_id(call), created, event)


def _one(status: int, body: Mapping[str, Any], placed: Placed) -> LookUp:
    """Read the call that was asked for by its id. Only the carrier's own 404 means that there is none."""
    if status == 404 and "RestException" in body:
        return NoSuchCall()
    call = body.get("Call")
    if status != 200 or not isinstance(call, dict):
        return CantTell(_message(body, status))
    if str(call.get("Sid", ""))[:64] != placed.carrier_ref:
        return CantTell("the carrier showed a call of another id")
    return AnothersCall() if _shows_another_number(call, placed) else _looked_up(call)


def _one_of(status: int, body: Mapping[str, Any], placed: Placed) -> LookUp:
    """Read the call that may be the attempt's: to its number, of no other attempt, nearest to its dial."""
    calls = body.get("Calls")
    if status != 200 or not isinstance(calls, list):
        return CantTell(_message(body, status))
    at_number = [call for call in calls if isinstance(call, dict) and _number(call, "From") == placed.number]
    sids = Counter(str(call.get("Sid", "")) for call in at_number)
    if any(times > 1 for times in sids.values()):
        return CantTell("the carrier lists two calls of one id")
    fitting = [call for call in at_number if call.get("Sid") not in placed.known_refs]
    if not fitting:
        return NoSuchCall()
    call = min(fitting, key=lambda call: (_caller_id(call) != placed.caller_id, _distance(call, placed)))
    found = _looked_up(call)
    return replace(found, is_guess=True, caller_id=_caller_id(call)) if isinstance(found, Event) else found


def _shows_another_number(call: Mapping[str, Any], placed: Placed) -> bool:
    """Compare the last digits, however the number is written. One that is masked says nothing."""
    shown = re.sub(r"[\s().+-]", "", str(call.get("From") or ""))
    return len(shown) >= 8 and shown.isdecimal() and shown[-8:] != placed.number[-8:]


def _number(call: Mapping[str, Any], field: str) -> str | None:
    return to_e164(str(call.get(field) or ""), "IN")


def _caller_id(call: Mapping[str, Any]) -> str:
    return _number(call, "PhoneNumberSid") or _number(call, "To") or ""


def _distance(call: Mapping[str, Any], placed: Placed) -> timedelta:
    created = _moment(call.get("DateCreated"))
    return abs(created - placed.placing_at) if created else timedelta.max


def _looked_up(call: Mapping[str, Any]) -> LookUp:
    status = str(call.get("Status", "")).strip().lower()
    if status not in OUTCOMES and status not in NOT_ENDED:
        return CantTell(f"Status {call.get('Status')!r} is not one that Exotel documents")
    details = call.get("Details")
    talked = whole_seconds(details.get("ConversationDuration")) if isinstance(details, dict) else None
    return _event({**call, "CallSid": call.get("Sid")}, status, talked)


def _event(fields: Mapping[str, Any], status: str, duration: int | None) -> Event:
    ended_at = _moment(fields.get("EndTime")) if status in OUTCOMES else None
    answered = status == "completed"
    answered_at = ended_at - timedelta(seconds=duration) if ended_at and duration is not None else None
    return Event(
        status=OUTCOMES.get(status, "in-progress"),
        carrier_ref=str(fields.get("CallSid") or "")[:64],
        started_at=min(filter(None, map(_moment, (fields.get("DateCreated"), fields.get("StartTime")))), default=None),
        answered_at=answered_at if answered else None,
        ended_at=ended_at,
        duration_seconds=duration if answered else None,
        digits=str(fields.get("Digits") or "")[:255],
        recording_url=_address(fields.get("RecordingUrl")),
    )


def _address(text: Any) -> str:
    """Return an http(s) address; "" for anything else, which a person who opens the report might click."""
    given = str(text or "").strip()[:2048]
    return given if re.match(r"https?://[^\s/]", given, re.IGNORECASE) else ""


def _moment(given: Any) -> datetime | None:
    text = str(given)
    try:
        if USUAL_DATE.fullmatch(text):  # each event has three, and `strptime` takes five times as long
            return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)
        return datetime.strptime(text, DATE_FORMAT).replace(tzinfo=ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _message(body: Mapping[str, Any], status: int) -> str:
    fault = body.get("RestException")
    text = str(fault.get("Message", "")) if isinstance(fault, dict) else ""
    return f"HTTP {status}: {text}".rstrip(": ")[:255]


def _names_number(message: str, number: str) -> bool:
    """Tell whether a refusal is about the number called, rather than about our side, so that no other is refused."""
    if DO_NOT_CALL.search(message):
        return True
    if OUR_SIDE.search(message):
        return False
    # The carrier may write the number without its country code, or in groups.
    holds_number = number[-8:] in re.sub(r"[\s().-]", "", message)
    return holds_number or bool(NUMBERS_OWN.search(message))
