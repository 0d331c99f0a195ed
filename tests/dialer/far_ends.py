"""The far end of each carrier, as tests play it: `test_every_carrier.py` runs the same table over all of them.

To run the table over a new driver:

1. Write a subclass of `FarEnd`, here or in a module beside this one. It plays the carrier: it takes what the driver
   asks for over its real protocol, and brings the carrier's news in its own words, on the way by which they come.
2. Add it to `FAR_ENDS`, or beside them in `conftest.py`.

What the carrier can't do is told by its kind's capabilities (`accounts.carriers.CarrierKind`) and by the class
attributes below, and the cases that need it are left out; there is no other way to leave one out.
"""

import base64
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.utils import timezone

from accounts.carriers import FoundBy
from dialer.carriers import signatures
from tests.dialer.stand_in import StandIn, served
from tests.dialer.twilio import Twilio

TALK_SECONDS = 7


class Reply(StrEnum):
    """What the carrier does with a request for a call."""

    TAKEN = "taken"
    NUMBER_REFUSED = "this number is wrong"
    ACCOUNT_REFUSED = "our account may not do that"
    NO_ROOM = "no call is taken now"
    LOST = "the call is taken and the reply is lost"
    GONE = "no call is taken and the reply is lost"


class News(StrEnum):
    """What the carrier tells of a call."""

    RINGING = "ringing"
    ANSWERED = "answered"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"  # only where calls wait at the carrier


@dataclass(eq=False)
class FarCall:
    """A call that the carrier has taken.

    callback: where its news go, if that is an address. fields: of the request for it, if that was one.
    """

    ref: str
    attempt_id: UUID
    number: str
    caller_id: str
    ring_timeout: int
    callback: str = ""
    fields: Mapping[str, list[Any]] = field(default_factory=dict)
    is_hung_up: bool = False


class FarEnd(ABC):
    """A carrier that tests play.

    Attributes:
        carrier: the name of its kind.
        tells_of_rings: it brings RINGING.
        names_numbers: some of its refusals say that the number is at fault.
        can_lose_replies: a reply of its can be lost.
        connects: it connects callees to other numbers as our flows say: `hear`, `ring_other` and `end_other`.
        reply: what it does with requests for calls.
        is_silent: it replies nothing that can be understood, and does nothing.
        calls: those that it has taken, in their order.
        asked: what it was asked by for a call, in their order, where it is asked by requests.
    """

    carrier: ClassVar[str]
    tells_of_rings: ClassVar[bool] = True
    names_numbers: ClassVar[bool] = True
    can_lose_replies: ClassVar[bool] = True
    connects: ClassVar[bool] = False

    def __init__(self, client: Client) -> None:
        self.client = client
        self.reply = Reply.TAKEN
        self.is_silent = False
        self.calls: list[FarCall] = []
        self.asked: list[FoundBy] = []

    @classmethod
    @contextmanager
    def made(cls, client: Client) -> Iterator["FarEnd"]:
        """Start it for the length of the `with` block."""
        with ExitStack() as stack:
            yield cls.start(client, stack)

    @classmethod
    @abstractmethod
    def start(cls, client: Client, stack: ExitStack) -> "FarEnd":
        """Return one that runs until the stack is closed."""

    @abstractmethod
    def trunk(self) -> dict[str, Any]:
        """Return the columns of a trunk that leads here."""

    @abstractmethod
    def tell(self, call: FarCall, news: News, keys: str = "") -> None:
        """Bring news of a call, with the keys pressed so far where such news has them."""

    @abstractmethod
    def press(self, call: FarCall, keys: str) -> None:
        """Bring keys that were pressed during the call. Only where its kind runs our flows."""

    def hear(self, call: FarCall) -> list[str]:
        """Begin a flow, and play what it says before a connect. Returns the texts. Nobody is rung meanwhile."""
        raise NotImplementedError

    def ring_other(self, call: FarCall) -> str:
        """Go on with a flow up to a connect. Returns the number that is rung; "" where none is."""
        raise NotImplementedError

    def end_other(self, call: FarCall, outcome: News) -> None:
        """Tell how the call to that number has ended, after TALK_SECONDS of conversation if it was taken."""
        raise NotImplementedError

    @abstractmethod
    def end(self, call: FarCall, outcome: News) -> None:
        """End the call, and tell nobody: who asks is told."""


class _HttpFarEnd(FarEnd):
    """A carrier that is asked over HTTP, and sends its news to an address."""

    def post(self, url: str, body: str, content_type: str, headers: dict[str, str]) -> Any:
        path = "/" + url.split("/", 3)[3]
        return self.client.post(path, body, content_type=content_type, headers=headers)

    def note_question(self, path: str) -> None:
        """Note what it is asked by for a call. One who asks for all calls asks for none."""
        asked = urlsplit(path)
        if not asked.path.removesuffix(".json").endswith("/Calls"):
            self.asked.append(FoundBy.ITS_ID)
        elif "From" in parse_qs(asked.query):
            self.asked.append(FoundBy.NUMBER)

    def take(self, form: dict[str, list[Any]], sid: str, names: tuple[str, str, str]) -> FarCall:
        """Keep a call. names: those of the fields that hold the number, the caller ID and the ring timeout."""
        number, caller_id, ring_timeout = (form[name][0] for name in names)
        callback = form["StatusCallback"][0]
        attempt_id = UUID(urlsplit(callback).path.rpartition("/")[2])
        call = FarCall(sid, attempt_id, number, caller_id, int(ring_timeout), callback, form)
        self.calls.append(call)
        return call


# Twilio's family -----------------------------------------------------------------------------------------------------


class _TwilioApi(Twilio):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.far_end: TwilioFarEnd | None = None

    def respond(self, method: str, path: str, form: dict[str, list[str]]) -> tuple[int, object]:
        assert self.far_end is not None
        if self.far_end.is_silent:
            return 500, {}
        is_create = method == "POST" and "To" in form
        if not is_create:
            if method == "GET":
                self.far_end.note_question(path)
            response = super().respond(method, path, form)
            self.far_end.note_hang_ups()
            return response
        match self.far_end.reply:
            case Reply.NUMBER_REFUSED:
                return 400, {"code": 21211, "message": "The phone number is not valid"}
            case Reply.ACCOUNT_REFUSED:
                return 403, {"code": 21216, "message": "Account not allowed to call"}
            case Reply.NO_ROOM:
                return 429, {"code": 20429, "message": "Too Many Requests"}
            case Reply.GONE:
                return 500, {"code": 20500, "message": "Internal Server Error"}
        response = super().respond(method, path, form)
        self.far_end.take(form, list(self.calls)[-1], ("To", "From", "Timeout"))
        return response if self.far_end.reply == Reply.TAKEN else (500, {"code": 20500})


class TwilioFarEnd(_HttpFarEnd):
    carrier = "twilio"
    is_telnyx = False
    connects = True

    def __init__(self, client: Client, api: _TwilioApi) -> None:
        super().__init__(client)
        self.api = api
        self._next: dict[str, str] = {}
        api.far_end, api.is_telnyx = self, self.is_telnyx

    @classmethod
    def start(cls, client: Client, stack: ExitStack) -> "TwilioFarEnd":
        return cls(client, stack.enter_context(served(_TwilioApi)))

    def trunk(self) -> dict[str, Any]:
        account = {"account_sid": "AC1", "api_key": "AC1", "api_token": "token"}
        return {"carrier": self.carrier, "base_url": self.api.url, **account, "signing_key": self.signing_key()}

    def signing_key(self) -> str:
        return "a key"

    def sign(self, url: str, fields: dict[str, str]) -> dict[str, str]:
        """Return the headers that sign a form."""
        return {"X-Twilio-Signature": signatures.twilios("a key", url, {name: [fields[name]] for name in fields})}

    def send(self, url: str, call: FarCall, fields: dict[str, str]) -> Any:
        fields = {"CallSid": call.ref, "From": call.caller_id, "To": call.number, **fields}
        return self.post(url, urlencode(fields), "application/x-www-form-urlencoded", self.sign(url, fields))

    def tell(self, call: FarCall, news: News, keys: str = "") -> None:
        status = "in-progress" if news == News.ANSWERED else news.value
        fields = {"CallStatus": status, "Timestamp": format_datetime(timezone.now())}
        if news == News.COMPLETED:
            fields["CallDuration"] = str(TALK_SECONDS)
        assert self.send(call.callback, call, fields).status_code == 204

    def press(self, call: FarCall, keys: str) -> None:
        self._ask(call, Digits=keys)

    def hear(self, call: FarCall) -> list[str]:
        return [text for say in self._ask(call).iter("Say") if (text := say.text)]

    def ring_other(self, call: FarCall) -> str:
        number = self._ask(call).findtext("Dial/Number")
        return number or ""

    def end_other(self, call: FarCall, outcome: News) -> None:
        talked = {"DialCallDuration": str(TALK_SECONDS)} if outcome == News.COMPLETED else {}
        self._ask(call, DialCallStatus=outcome.value, **talked)

    def _ask(self, call: FarCall, **fields: str) -> ET.Element:
        """Ask what comes next: at first for the beginning, then for what follows the last document."""
        if call.ref not in self._next:
            self._next[call.ref] = self.api.forms[self.calls.index(call)]["Url"][0]
            if fields:
                self._ask(call)
        response = self.send(self._next[call.ref], call, {"CallStatus": "in-progress", **fields})
        assert response.status_code == 200
        document = ET.fromstring(response.content)
        for waits in (*document.iter("Gather"), *document.iter("Dial")):
            self._next[call.ref] = waits.attrib["action"]
        for redirect in document.iter("Redirect"):
            self._next[call.ref] = redirect.text or ""
        return document

    def end(self, call: FarCall, outcome: News) -> None:
        answered = {"duration": str(TALK_SECONDS)} if outcome == News.COMPLETED else {"duration": "0"}
        self.api.calls[call.ref] |= {"status": outcome.value, "end_time": format_datetime(timezone.now()), **answered}

    def note_hang_ups(self) -> None:
        for call in self.calls:
            call.is_hung_up = self.api.calls[call.ref]["status"] in {"completed", "canceled"}


class SignalWireFarEnd(TwilioFarEnd):
    carrier = "signalwire"


class TelnyxFarEnd(TwilioFarEnd):
    carrier = "telnyx"
    is_telnyx = True
    names_numbers = False
    key = Ed25519PrivateKey.generate()

    def signing_key(self) -> str:
        return base64.b64encode(self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def sign(self, url: str, fields: dict[str, str]) -> dict[str, str]:
        moment = str(int(time.time()))
        signed = self.key.sign(f"{moment}|{urlencode(fields)}".encode())
        return {"telnyx-timestamp": moment, "telnyx-signature-ed25519": base64.b64encode(signed).decode()}


# Exotel --------------------------------------------------------------------------------------------------------------


class _ExotelApi(StandIn):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.far_end: ExotelFarEnd | None = None
        self.shown: dict[str, dict[str, Any]] = {}

    def respond(self, method: str, path: str, form: dict[str, list[str]]) -> tuple[int, object]:
        assert self.far_end is not None
        name = urlsplit(path).path.rpartition("/")[2].removesuffix(".json")
        if name == "connect":
            return self._connect(self.far_end, form)
        if method == "GET":
            self.far_end.note_question(path)
        if name == "Calls":
            asked = parse_qs(urlsplit(path).query).get("From")
            return 200, {"Calls": [call for call in self.shown.values() if asked in (None, [call["From"]])]}
        if name not in self.shown:
            return 404, {"RestException": {"Status": 404, "Message": "no such call"}}
        if method == "POST":
            next(call for call in self.far_end.calls if call.ref == name).is_hung_up = True
        return 200, {"Call": self.shown[name]}

    def _connect(self, far_end: "ExotelFarEnd", form: dict[str, list[str]]) -> tuple[int, object]:
        match far_end.reply:
            case Reply.NUMBER_REFUSED:
                return 400, {"RestException": {"Message": f"{form['From'][0]} is in NDNC"}}
            case Reply.ACCOUNT_REFUSED:
                return 403, {"RestException": {"Message": "not yet KYC compliant"}}
            case Reply.NO_ROOM:
                return 429, {}
            case Reply.GONE:
                return 500, {}
        call = far_end.take(form, f"exotel{len(far_end.calls)}", ("From", "CallerId", "TimeOut"))
        self.shown[call.ref] = {
            "Sid": call.ref,
            "From": call.number,
            "To": call.caller_id,
            "PhoneNumberSid": call.caller_id,
            "Status": "queued",
            "DateCreated": _indian(),
        }
        return (200, {"Call": self.shown[call.ref]}) if far_end.reply == Reply.TAKEN else (500, {})


class ExotelFarEnd(_HttpFarEnd):
    carrier = "exotel"

    def __init__(self, client: Client, api: _ExotelApi) -> None:
        super().__init__(client)
        self.api = api
        api.far_end = self

    @classmethod
    def start(cls, client: Client, stack: ExitStack) -> "ExotelFarEnd":
        return cls(client, stack.enter_context(served(_ExotelApi)))

    def trunk(self) -> dict[str, Any]:
        account = {"account_sid": "operator1", "api_key": "key", "api_token": "token"}
        return {"carrier": self.carrier, "base_url": self.api.url, **account}

    def tell(self, call: FarCall, news: News, keys: str = "") -> None:
        status, event = {
            News.RINGING: ("ringing", "ringing"),
            News.ANSWERED: ("in-progress", "answered"),
        }.get(news, (news.value, "terminal"))
        fields = {"CallSid": call.ref, "Status": status, "DateUpdated": _indian(), "EventType": event, "Digits": keys}
        if news == News.COMPLETED:
            fields |= {"ConversationDuration": str(TALK_SECONDS), "EndTime": _indian()}
        body = urlencode(fields)
        assert self.post(call.callback, body, "application/x-www-form-urlencoded", {}).status_code == 204

    def press(self, call: FarCall, keys: str) -> None:
        raise NotImplementedError("its flows are its own")

    def end(self, call: FarCall, outcome: News) -> None:
        talked = {"ConversationDuration": TALK_SECONDS if outcome == News.COMPLETED else 0}
        self.api.shown[call.ref] |= {"Status": outcome.value, "EndTime": _indian(), "Details": talked}


class SandboxFarEnd(ExotelFarEnd):
    """It runs our flows, and tells of the keys with the end of a call."""

    carrier = "sandbox"
    tells_of_rings = False

    def __init__(self, client: Client, api: _ExotelApi) -> None:
        super().__init__(client, api)
        self._pressed: dict[str, str] = {}

    def press(self, call: FarCall, keys: str) -> None:
        self._pressed[call.ref] = keys

    def tell(self, call: FarCall, news: News, keys: str = "") -> None:
        super().tell(call, news, keys or self._pressed.get(call.ref, ""))


def _indian(ago: timedelta = timedelta()) -> str:
    return (timezone.now() - ago).astimezone(ZoneInfo("Asia/Kolkata")).strftime("%Y-%m-%d %H:%M:%S")


FAR_ENDS: tuple[type[FarEnd], ...] = (TwilioFarEnd, SignalWireFarEnd, TelnyxFarEnd, ExotelFarEnd, SandboxFarEnd)
