"""StatusCallbacks: their fields, and how they are delivered."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
import structlog

from sandbox import clock
from sandbox.calls import Call, CallRequest
from sandbox.faults import Faults
from sandbox.phone_numbers import to_exotel
from sandbox.twiml_runner import sign

log = structlog.get_logger()

# Seconds before the second to the sixth try: long enough for the receiver to restart. They are real seconds, not
# scaled, because a restart does not become faster with the script.
RETRY_WAITS = (0.2, 0.5, 1.0, 2.0, 4.0)
POST_TIMEOUT = aiohttp.ClientTimeout(total=10)
MAX_POSTS_AT_ONCE = 100
# Calls with callbacks still to deliver. Reached only when the receiver hangs under load. Further callbacks are then
# dropped, as any carrier's may be: clients must be able to ask for the call instead.
MAX_PENDING = 100_000
COPIES_WHEN_REPEATED = 3
# In their order in a call; Twilio numbers them.
EVENTS = ("initiated", "ringing", "answered", "terminal")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One callback to send: how many copies, after how many seconds."""

    url: str
    body: bytes
    content_type: str
    copies: int
    wait: float
    signature: str = ""


def callback_fields(call: Call, event: str, clock_error: float = 0) -> dict[str, str]:
    """Return the fields of a callback without those that are not known yet.

    Args:
        event: `ringing`, `answered` or `terminal`.
        clock_error: seconds that every time in it is ahead.
    """
    ring = call.ring

    def moment(at: float | None) -> str | None:
        return clock.to_wire(None if at is None else at + clock_error)

    fields = {
        "CallSid": call.sid,
        "Status": call.status,
        "DateUpdated": moment(call.updated),
    }
    if call.request.callback_events is not None:
        fields |= {
            "EventType": event,
            "DateCreated": moment(ring.start),
            "To": call.request.caller_id,
            "From": to_exotel(call.request.number),
            "PhoneNumberSid": call.request.caller_id,
            "StartTime": moment(ring.start),
            "EndTime": moment(ring.end),
            "ConversationDuration": str(call.conversation_seconds),
            "Direction": "outbound-api",
            "CustomField": call.request.custom_field,
            "Digits": ring.digits,
        }
    return {name: value for name, value in fields.items() if value is not None}


def twilio_fields(call: Call, event: str, clock_error: float = 0) -> dict[str, str]:
    """Return the fields of a status callback of Twilio's."""
    fields = {
        "CallSid": call.sid,
        "AccountSid": call.request.account_sid,
        "From": call.request.caller_id,
        "To": call.request.number,
        "CallStatus": event if event in {"initiated", "ringing"} else call.status,
        "Direction": "outbound-api",
        "ApiVersion": "2010-04-01",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(EVENTS.index(event)),
        "Timestamp": clock.to_rfc2822(call.updated + clock_error) or "",
    }
    if event == "terminal":
        fields |= {"CallDuration": str(call.conversation_seconds), "Duration": str(-(-call.conversation_seconds // 60))}
    return fields


def _is_wanted(request: CallRequest, event: str) -> bool:
    """Return whether the request asked for it. Exotel always sends the terminal one."""
    if request.twilio:
        return ("completed" if event == "terminal" else event) in request.twilio.events
    return event == "terminal" or event in (request.callback_events or ())


class CallbackSender:
    """Send callbacks: those of one call in order, each accepted or given up before the next one."""

    def __init__(self, session: aiohttp.ClientSession, retry_waits: tuple[float, ...] = RETRY_WAITS) -> None:
        self._session = session
        self._retry_waits = retry_waits
        # Posts wait here rather than in the session's connection pool, where waiting counts against their timeout.
        self._slots = asyncio.Semaphore(MAX_POSTS_AT_ONCE)
        # By call and not by its sid, which a script may have given to another call too.
        self._pending: dict[Call, asyncio.Task[None]] = {}
        self._held_back: dict[Call, Delivery] = {}

    def send(self, call: Call, event: str, faults: Faults) -> None:
        """Send the callback of an event, if the call's request asked for it.

        Args:
            event: `initiated`, which Twilio alone has, `ringing`, `answered` or `terminal`.
        """
        if not call.request.status_callback or not _is_wanted(call.request, event):
            return
        delivery = self._delivery(call, event, faults)
        if event == "answered" and faults.strike("shuffle-callbacks"):
            self._held_back[call] = delivery
            return
        deliveries = [delivery]
        if event == "terminal" and call in self._held_back:
            deliveries.append(self._held_back.pop(call))
        self._enqueue(call, deliveries)

    def close(self) -> None:
        """Drop the callbacks that are not delivered yet."""
        for task in self._pending.values():
            task.cancel()

    def _delivery(self, call: Call, event: str, faults: Faults) -> Delivery:
        if call.request.twilio:
            fields = twilio_fields(call, event, _clock_error(faults))
            body, content_type = urlencode(fields).encode(), "application/x-www-form-urlencoded"
            signature = sign(call, call.request.status_callback or "", fields)
        else:
            fields = callback_fields(call, event, _clock_error(faults))
            body, content_type = _json(fields) if call.request.callback_json else _multipart(fields)
            signature = ""
        delay = faults.strike("delay-callbacks")
        copies = COPIES_WHEN_REPEATED if faults.strike("repeat-callbacks") else 1
        return Delivery(
            url=call.request.status_callback or "",
            body=body,
            content_type=content_type,
            copies=0 if faults.strike("drop-callbacks") else copies,
            wait=delay.seconds * call.time_scale if delay else 0,
            signature=signature,
        )

    def _enqueue(self, call: Call, deliveries: list[Delivery]) -> None:
        previous = self._pending.get(call)
        if previous is None and len(self._pending) >= MAX_PENDING:
            log.error("callback_dropped", call_sid=call.sid, pending=len(self._pending))
            return
        task = asyncio.create_task(self._deliver_all(deliveries, after=previous))
        self._pending[call] = task
        task.add_done_callback(lambda done: self._forget(call, done))

    def _forget(self, call: Call, done: asyncio.Task[None]) -> None:
        if self._pending.get(call) is done:
            del self._pending[call]

    async def _deliver_all(self, deliveries: list[Delivery], after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        for delivery in deliveries:
            if delivery.wait:
                await asyncio.sleep(delivery.wait)
            for _ in range(delivery.copies):
                await self._deliver(delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        for wait in self._retry_waits:
            if await self._post(delivery):
                return
            await asyncio.sleep(wait)
        if not await self._post(delivery):
            # Without the query: it may carry the receiver's token.
            log.error("callback_given_up", url=delivery.url.partition("?")[0], tries=len(self._retry_waits) + 1)

    async def _post(self, delivery: Delivery) -> bool:
        """Return whether the receiver accepted it, with a status of 2xx."""
        headers = {"Content-Type": delivery.content_type}
        if delivery.signature:
            headers["X-Twilio-Signature"] = delivery.signature
        async with self._slots:
            try:
                async with self._session.post(
                    delivery.url,
                    data=delivery.body,
                    headers=headers,
                    timeout=POST_TIMEOUT,
                    allow_redirects=False,
                ) as response:
                    return response.status // 100 == 2
            except (aiohttp.ClientError, TimeoutError, ValueError):  # ValueError: not a URL
                return False


def _clock_error(faults: Faults) -> float:
    fault = faults.strike("callbacks-ahead", "callbacks-behind")
    if fault is None:
        return 0
    return fault.seconds if fault.name == "callbacks-ahead" else -fault.seconds


def _json(fields: dict[str, str]) -> tuple[bytes, str]:
    return json.dumps(fields).encode(), "application/json"


def _multipart(fields: dict[str, str]) -> tuple[bytes, str]:
    # Written by hand: a general multipart writer costs more than all other work for a short call.
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return f"{''.join(parts)}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
