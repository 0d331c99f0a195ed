"""Exotel's v1 connect API: call a number, and put it into a flow once it is answered.

What is known of the protocol stands in Exotel's public documentation of v1 calls. Its limits shape this driver:
- our id can travel only in the callback address, as CustomField is the campaign's and reaches the customer's own flow;
- so a lost answer is settled by looking for a call to this number from this caller ID since the attempt began;
- an answer of 500, 502 or 504 says nothing of whether a phone rings; only 429 and 503 say that none does.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import aiohttp
from django.conf import settings

from campaigns.models import Outcome
from campaigns.numbers import to_e164
from dialer.carriers import event_loop
from dialer.carriers.base import (
    Accepted,
    Ambiguous,
    Answer,
    CallRequest,
    CantTell,
    Carrier,
    Event,
    LookUp,
    NoSuchCall,
    Placed,
    Refused,
    Unavailable,
    UnreadableEvent,
)

NAME = "exotel"
# Exotel's dates have no zone; they are Indian time.
ZONE = ZoneInfo("Asia/Kolkata")
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
# `canceled` is listed for calls too; nobody was reached and a phone may have rung, so it is a failed attempt.
OUTCOMES = {
    "completed": Outcome.COMPLETED.value,
    "busy": Outcome.BUSY.value,
    "no-answer": Outcome.NO_ANSWER.value,
    "failed": Outcome.FAILED.value,
    "canceled": Outcome.FAILED.value,
}
NOT_ENDED = {"queued", "ringing", "in-progress"}
UNAVAILABLE = {429, 503}
# How far the carrier's clock and ours may be apart, when looking for a call by its date.
CLOCK_SKEW = timedelta(minutes=2)
CONNECTIONS = 100


class ExotelCarrier(Carrier):
    """base_url without the version, such as https://host; one HTTP session for all threads of a process."""

    def __init__(self, base_url: str, account_sid: str, api_key: str, api_token: str) -> None:
        self._calls = f"{base_url.rstrip('/')}/v1/Accounts/{account_sid}/Calls"
        self._headers = {"Authorization": aiohttp.encode_basic_auth(api_key, api_token)}
        self._session: aiohttp.ClientSession | None = None

    def place(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Answer]:
        return event_loop.run(self._gather({request.attempt_id: self._connect(request) for request in requests}))

    def look_up(self, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
        return event_loop.run(self._gather({each.attempt_id: self._find(each) for each in placed}))

    def hang_up(self, carrier_refs: Sequence[str]) -> None:
        event_loop.run(self._gather({ref: self._end(ref) for ref in carrier_refs}))

    @classmethod
    def read_event(cls, payload: Mapping[str, Any]) -> Event:
        status = str(payload.get("Status", "")).strip().lower()
        if status not in OUTCOMES and status not in NOT_ENDED:
            raise UnreadableEvent(f"Status {payload.get('Status')!r} is none of Exotel's")
        return _event(payload, status, _seconds(payload.get("ConversationDuration")))

    async def _gather(self, jobs: Mapping[Any, Any]) -> dict[Any, Any]:
        return dict(zip(jobs, await asyncio.gather(*jobs.values()), strict=True))

    async def _connect(self, request: CallRequest) -> Answer:
        form = {
            "From": request.number,
            "CallerId": request.caller_id,
            "Url": request.flow_url,
            "CallType": "trans",
            "TimeLimit": str(request.max_seconds),
            "TimeOut": str(request.ring_timeout),
            "StatusCallback": request.callback_url,
            "StatusCallbackEvents[0]": "terminal",
            "StatusCallbackEvents[1]": "answered",
            "CustomField": request.custom_field,
        }
        try:
            status, body = await self._ask("POST", f"{self._calls}/connect.json", data=form)
        except aiohttp.ClientConnectorError as error:
            return Unavailable(f"can't connect: {error.os_error.strerror or error}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Ambiguous(f"no answer: {_named(error)}")
        if status in UNAVAILABLE:
            return Unavailable(_message(body, status), status)
        if 400 <= status < 500:
            return Refused(_message(body, status), status)
        sid = body.get("Call", {}).get("Sid") if status == 200 else None
        return Accepted(str(sid)) if sid else Ambiguous(_message(body, status))

    async def _find(self, placed: Placed) -> LookUp:
        try:
            if placed.carrier_ref:
                status, body = await self._ask("GET", f"{self._calls}/{placed.carrier_ref}.json?details=true")
                calls = [body["Call"]] if status == 200 and "Call" in body else []
            else:
                status, body = await self._ask("GET", f"{self._calls}.json", params=_search(placed))
                calls = body.get("Calls", [])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return CantTell(f"no answer: {_named(error)}")
        if status == 404 and placed.carrier_ref:
            return NoSuchCall()
        if status != 200:
            return CantTell(_message(body, status))
        fitting = [call for call in calls if _fits(call, placed)]
        return _looked_up(fitting[-1]) if fitting else NoSuchCall()

    async def _end(self, carrier_ref: str) -> None:
        # Not in Exotel's documentation; the sandbox has it. What a carrier says to it changes nothing here.
        try:
            await self._ask("POST", f"{self._calls}/{carrier_ref}", data={"Status": "completed"})
        except (aiohttp.ClientError, TimeoutError, OSError):
            return

    async def _ask(self, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object of the answer; {} where the body is none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=settings.CARRIER_TIMEOUT_SECONDS),
            )
            event_loop.close_at_exit(self._session.close)
        # No redirects: the credentials and the number must not follow one.
        async with self._session.request(method, url, allow_redirects=False, **options) as answer:
            text = await answer.text(errors="replace")
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        return answer.status, body if isinstance(body, dict) else {}


def _search(placed: Placed) -> dict[str, str]:
    since = (placed.placing_at - CLOCK_SKEW).astimezone(ZONE).strftime(DATE_FORMAT)
    until = (placed.placing_at + CLOCK_SKEW).astimezone(ZONE).strftime(DATE_FORMAT)
    return {"From": placed.number, "To": placed.caller_id, "DateCreated": f"gte:{since};lte:{until}", "PageSize": "100"}


def _fits(call: Mapping[str, Any], placed: Placed) -> bool:
    """Whether this record may be the attempt's: the number it rang, and no other attempt's id."""
    if placed.carrier_ref:
        return True
    return call.get("Sid") not in placed.known_refs and to_e164(str(call.get("From", "")), "IN") == placed.number


def _looked_up(call: Mapping[str, Any]) -> LookUp:
    status = str(call.get("Status", "")).strip().lower()
    if status not in OUTCOMES and status not in NOT_ENDED:
        return CantTell(f"Status {call.get('Status')!r} is none of Exotel's")
    details = call.get("Details") or {}
    return _event({**call, "CallSid": call.get("Sid")}, status, _seconds(details.get("ConversationDuration")))


def _event(fields: Mapping[str, Any], status: str, duration: int | None) -> Event:
    ended = status in OUTCOMES
    ended_at = _moment(fields.get("EndTime")) if ended else None
    answered = status in {"completed", "in-progress"}
    answered_at = ended_at - timedelta(seconds=duration) if ended_at and duration is not None else None
    return Event(
        status=OUTCOMES.get(status, "in-progress"),
        carrier_ref=str(fields.get("CallSid") or ""),
        answered_at=answered_at if answered else None,
        ended_at=ended_at,
        duration_seconds=duration if ended and answered else None,
        digits=str(fields.get("Digits") or "")[:255],
        recording_url=str(fields.get("RecordingUrl") or "")[:2048],
    )


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.strptime(str(text), DATE_FORMAT).replace(tzinfo=ZONE).astimezone(UTC)
    except ValueError:
        return None


def _seconds(text: Any) -> int | None:
    try:
        return max(0, int(float(text)))
    except (TypeError, ValueError, OverflowError):
        return None


def _message(body: Mapping[str, Any], status: int) -> str:
    fault = body.get("RestException")
    text = str(fault.get("Message", "")) if isinstance(fault, dict) else ""
    return f"HTTP {status}: {text}".rstrip(": ")[:255]


def _named(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
