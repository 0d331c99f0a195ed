"""Calls whose flow is TwiML: documents are asked for one after another, and followed in real time."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp
import structlog

from sandbox import clock
from sandbox.calls import Call
from sandbox.flow_runner import (
    CONNECT_SECONDS,
    KEY_SECONDS,
    PLAY_SECONDS,
    RING_SECONDS,
    SPEECH_CHARACTERS_PER_SECOND,
    Callee,
    Gather,
)
from sandbox.leg_log import Leg, LegLog

log = structlog.get_logger()

FETCH_TIMEOUT = aiohttp.ClientTimeout(total=15)
SILENCE_SECONDS = 5.0  # a Gather without a timeout
MOST_DOCUMENTS = 1000  # of one call: a document that asks for itself for ever is a mistake
# Twilio's limits, by its errors 11750 and 13521: bytes of a document; of a Say, bytes of its text with the voices that
# take least, and characters of it as it stands in an address.
MOST_DOCUMENT_BYTES = 64_000
MOST_SAY_BYTES, MOST_SAY_QUOTED = 3_000, 4_500


class TwimlRunner:
    """Takes calls through their documents, one coroutine for each call that is up."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.leg_log = LegLog()

    async def run(self, call: Call) -> None:
        """Return when the documents have come to their end. Keys are added to the call as they are pressed."""
        callee = Callee(call.plan.digits, call.plan.digits_seed, call.plan.transfer)
        url: str | None = call.request.url
        fields: dict[str, str] = {}
        if call.request.twilio and call.request.twilio.detects_machines:
            fields["AnsweredBy"] = "machine_start" if call.plan.is_machine else "human"
        for _ in range(MOST_DOCUMENTS):
            if url is None:
                return
            document = await self._fetch(call, url, fields)
            if document is None and (fallback := call.request.twilio and call.request.twilio.fallback_url):
                document = await self._fetch(call, fallback, {"ErrorCode": "11200", "ErrorUrl": url})
            if document is None:
                return
            url, fields = await self._follow(document, call, callee)

    async def _fetch(self, call: Call, url: str, fields: Mapping[str, str]) -> ET.Element | None:
        request = call.request
        form = {
            "CallSid": call.sid,
            "AccountSid": request.account_sid,
            "From": request.caller_id,
            "To": request.number,
            "CallStatus": call.status,
            "Direction": "outbound-api",
            "ApiVersion": "2010-04-01",
            **fields,
        }
        try:
            headers = {"X-Twilio-Signature": sign(call, url, form)}
            async with self._session.post(url, data=form, headers=headers, timeout=FETCH_TIMEOUT) as response:
                response.raise_for_status()
                return _read(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError, ET.ParseError) as error:
            log.warning("twiml_unusable", url=url.partition("?")[0], reason=str(error))
            return None

    async def _follow(self, document: ET.Element, call: Call, callee: Callee) -> tuple[str | None, dict[str, str]]:
        """Do what a document says. Returns the address of the next one, None at the end, and the fields for it."""
        for verb in document:
            if verb.tag == "Hangup":
                return None, {}
            if verb.tag == "Redirect":
                return (verb.text or "").strip(), {}
            if verb.tag == "Gather":
                keys = await _gather(verb, call, callee)
                if keys or verb.get("actionOnEmptyResult") == "true":
                    return verb.get("action", call.request.url), {"Digits": keys}
            elif verb.tag == "Dial" and verb.get("action"):
                return verb.get("action"), await self._dial(verb, call, callee)
            else:
                await _wait(call, _seconds(verb))
        return None, {}

    async def _dial(self, verb: ET.Element, call: Call, callee: Callee) -> dict[str, str]:
        """Ring another number as the script says, and return what the next document is asked for with.

        It ends with its call, if that ends before: `completed` where somebody had taken it, else `canceled`.
        """
        number = verb.findtext("Number", verb.text or "").strip()
        caller_id = verb.get("callerId", call.request.caller_id)
        leg = Leg(number, caller_id, call.ring.attempt_id, call.sid, clock.now())
        self.leg_log.add(leg)
        try:
            if callee.transfer == "completed":
                leg.answer = leg.start
                await _wait(call, CONNECT_SECONDS)
            elif callee.transfer == "no-answer":
                await _wait(call, float(verb.get("timeout", RING_SECONDS)))
            leg.outcome = callee.transfer
        finally:
            leg.end = clock.now()
            leg.outcome = leg.outcome or ("completed" if leg.answer else "canceled")
        told = {"DialCallStatus": leg.outcome}
        return told | ({"DialCallDuration": str(round(CONNECT_SECONDS))} if leg.answer else {})


def _read(body: bytes) -> ET.Element:
    """Read a document. Raises ET.ParseError, or ValueError for one that is larger than Twilio takes."""
    if len(body) > MOST_DOCUMENT_BYTES:
        raise ValueError(f"the document has {len(body)} bytes, of {MOST_DOCUMENT_BYTES} at most")
    document = ET.fromstring(body)  # noqa: S314 -- from the server under test
    for say in document.iter("Say"):
        text = say.text or ""
        if len(text.encode()) > MOST_SAY_BYTES or len(quote(text, safe="")) > MOST_SAY_QUOTED:
            raise ValueError(f"a Say has {len(text)} characters, which are more than it can hold")
    return document


def sign(call: Call, url: str, form: Mapping[str, str]) -> str:
    """Return what Twilio sends as X-Twilio-Signature with a form."""
    assert call.request.twilio is not None
    signed = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(call.request.twilio.token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


async def _gather(verb: ET.Element, call: Call, callee: Callee) -> str:
    for part in verb:
        await _wait(call, _seconds(part))
    digits, timeout = int(verb.get("numDigits", "1")), float(verb.get("timeout", SILENCE_SECONDS))
    gather = Gather([], digits, timeout, 1, {}, [], verb.get("finishOnKey", "#"))
    keys = callee.press(gather)
    for key in keys:
        await _wait(call, KEY_SECONDS)
        call.conversation.keys.append((0.0, key))
    if len(keys) < gather.digits:
        await _wait(call, KEY_SECONDS if keys and gather.finish_key else gather.timeout)
    return keys


def _seconds(verb: ET.Element) -> float:
    match verb.tag:
        case "Say":
            return len(verb.text or "") / SPEECH_CHARACTERS_PER_SECOND
        case "Play":
            return PLAY_SECONDS
        case "Dial":
            return CONNECT_SECONDS
        case "Pause":
            return float(verb.get("length", "1"))
    return 0.0


async def _wait(call: Call, seconds: float) -> None:
    await asyncio.sleep(seconds * call.time_scale)
