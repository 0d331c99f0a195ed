"""The part of Exotel's v1 API that places and follows calls (developer.exotel.com/api/make-a-call-api)."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from sandbox import clock
from sandbox.calls import STATUSES, Call, CallFilter, CallRequest
from sandbox.faults import CONNECT_FAULTS
from sandbox.phone_numbers import to_e164
from sandbox.switchboard import Switchboard

MAX_TIME_LIMIT_SECONDS = 14_400
PAGE_SIZE = 50
MAX_PAGE_SIZE = 100
MOST_LISTED = 10**9
CALLBACK_EVENTS = frozenset({"answered", "ringing", "terminal"})
CALLBACK_CONTENT_TYPES = ("multipart/form-data", "application/json")

# The responses of the faults that refuse a call. None names the number. The 503 is one that Exotel has sent.
REFUSALS: dict[str, tuple[int, str, int | None]] = {
    "http-400": (400, "Bad Request: the call is refused", None),
    "http-403": (403, "Forbidden: the account is not yet KYC compliant", None),
    "http-404": (404, "Not Found: there is no such account", None),
    "http-429": (429, "Too Many Requests", None),
    "http-500": (500, "Internal Server Error", None),
    "http-503": (503, "Service Unavailable; ", 35008),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequest(ValueError):
    """The request gets status 400; the message is for its author."""


class ExotelApi:
    """Handlers of `/v1`."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def routes(self) -> list[web.RouteDef]:
        calls = "/v1/Accounts/{account_sid}/Calls"
        return [
            web.post(f"{calls}/connect", self._entered(self.connect)),
            web.post(f"{calls}/connect.json", self._entered(self.connect)),
            web.get(f"{calls}.json", self._entered(self.list_calls)),
            web.get(f"{calls}/{{call_sid}}", self._entered(self.show_call)),
            web.post(f"{calls}/{{call_sid}}", self._entered(self.end_call)),
        ]

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Place one call. Status 200 means that it is accepted, not that anybody answers."""
        call_request = parse_connect(request.match_info["account_sid"], await _form(request))
        # After the checks, so that a fault with `times` is not used up by a request that is refused anyway.
        fault = self._switchboard.script.faults.strike(*CONNECT_FAULTS)
        name = fault.name if fault else None
        seconds = fault.seconds * self._switchboard.script.time_scale if fault else 0
        if name in REFUSALS:
            return rest_exception(*REFUSALS[name])
        if name == "hang-before-ring":
            return await hang(request, seconds)
        call = self._switchboard.place(call_request)
        if name == "hang-after-ring":
            return await hang(request, seconds)
        if name == "error-after-ring":
            return rest_exception(*REFUSALS["http-500"])
        if name == "malformed-answer":
            return web.Response(text='{"Call": {"Sid": "', content_type="application/json")
        return web.json_response({"Call": call.as_json()})

    async def show_call(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        if call is None:
            return _no_such_call()
        return web.json_response({"Call": call.as_json(details=request.query.get("details") == "true")})

    async def list_calls(self, request: web.Request) -> web.StreamResponse:
        """List calls by number, caller ID, status and date, newest first. Total counts all; After is of NextPageUri."""
        page_size = _whole_number(request.query, "PageSize", MAX_PAGE_SIZE) or PAGE_SIZE
        found = self._switchboard.calls.find(parse_call_filter(request.match_info["account_sid"], request.query))
        after = _whole_number(request.query, "After", MOST_LISTED) or 0
        is_last = after + page_size >= len(found)
        metadata = {
            "Total": len(found),
            "PageSize": page_size,
            "FirstPageUri": str(request.rel_url),
            "PrevPageUri": None,
            "NextPageUri": None if is_last else str(request.rel_url.update_query(After=str(after + page_size))),
        }
        listed = [call.as_json() for call in found[after : after + page_size]]
        return web.json_response({"Metadata": metadata, "Calls": listed})

    async def end_call(self, request: web.Request) -> web.StreamResponse:
        """Hang up a live call (form field Status=completed). An extension: Exotel documents no such request."""
        call = self._call(request)
        if call is None:
            return _no_such_call()
        if (await _form(request)).get("Status") != "completed":
            raise BadRequest("Status must be completed: a call can be ended, nothing else")
        self._switchboard.hang_up(call)
        return web.json_response({"Call": call.as_json()})

    def _call(self, request: web.Request) -> Call | None:
        call_sid = request.match_info["call_sid"].removesuffix(".json")
        return self._switchboard.calls.get(request.match_info["account_sid"], call_sid)

    def _entered(self, handler: Handler) -> Handler:
        """Wrap a handler of /v1: first the `down` fault, then authentication."""

        async def entered(request: web.Request) -> web.StreamResponse:
            if self._switchboard.script.faults.strike("down"):
                return close_unanswered(request)
            if not has_credentials(request.headers.get("Authorization", "")):
                return rest_exception(401, "Authentication is required: an API key and token")
            try:
                return await handler(request)
            except BadRequest as error:
                return rest_exception(400, str(error))

        return entered


def rest_exception(status: int, message: str, code: int | None = None) -> web.Response:
    """Return an error in Exotel's shape, where Code may be missing too."""
    body: dict[str, object] = {"Status": status, "Message": message}
    if code is not None:
        body["Code"] = code
    return web.json_response({"RestException": body}, status=status)


def has_credentials(authorization: str) -> bool:
    """Return whether a Basic Authorization header holds any key and any token."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        key, _, token = base64.b64decode(credentials, validate=True).partition(b":")
    except binascii.Error:
        return False
    return bool(key and token)


def password_of(authorization: str) -> str:
    """Return the password of a Basic Authorization header that `has_credentials`."""
    _, _, token = base64.b64decode(authorization.partition(" ")[2]).partition(b":")
    return token.decode(errors="replace")


def parse_connect(account_sid: str, form: Mapping[str, str]) -> CallRequest:
    """Check the form of a connect request. Raises BadRequest."""
    for name in ("From", "CallerId", "Url"):
        if not form.get(name, "").strip():
            raise BadRequest(f"{name} is mandatory")
    number = to_e164(form["From"])
    if number is None:
        raise BadRequest("From is not a phone number")
    content_type = form.get("StatusCallbackContentType") or CALLBACK_CONTENT_TYPES[0]
    if content_type not in CALLBACK_CONTENT_TYPES:
        raise BadRequest(f"StatusCallbackContentType must be one of {', '.join(CALLBACK_CONTENT_TYPES)}")
    # Form style of a list: StatusCallbackEvents[0]=…, or StatusCallbackEvents[]=….
    events = frozenset(value for name, value in form.items() if name.startswith("StatusCallbackEvents["))
    if not events <= CALLBACK_EVENTS:
        raise BadRequest(f"StatusCallbackEvents must be of {', '.join(sorted(CALLBACK_EVENTS))}")
    return CallRequest(
        account_sid=account_sid,
        number=number,
        caller_id=form["CallerId"].strip(),
        url=form["Url"],
        status_callback=form.get("StatusCallback"),
        callback_events=events or None,
        callback_json=content_type == "application/json",
        custom_field=form.get("CustomField"),
        time_limit=_whole_number(form, "TimeLimit", MAX_TIME_LIMIT_SECONDS),
        ring_timeout=_whole_number(form, "TimeOut", MAX_TIME_LIMIT_SECONDS),
    )


def parse_call_filter(account_sid: str, query: Mapping[str, str]) -> CallFilter:
    """Check the query of a list request. Raises BadRequest."""
    status = query.get("Status")
    if status is not None and status not in STATUSES:
        raise BadRequest(f"Status must be one of {', '.join(STATUSES)}")
    number = query.get("From")
    bounds = _date_bounds(query.get("DateCreated", ""))
    return CallFilter(
        account_sid=account_sid,
        number=None if number is None else to_e164(number) or number,
        caller_id=query.get("To"),
        status=status,
        created_from=bounds.get("gte"),
        created_to=bounds.get("lte"),
    )


def _date_bounds(text: str) -> dict[str, float]:
    """Read `gte:YYYY-MM-DD HH:MM:SS;lte:…` (Indian time) to Unix seconds; either part may be missing."""
    bounds = {}
    for part in filter(None, text.split(";")):
        operator, _, date = part.partition(":")
        try:
            bounds[operator] = clock.from_wire(date)
        except ValueError:
            bounds["unreadable"] = 0.0
    if not bounds.keys() <= {"gte", "lte"}:
        raise BadRequest("DateCreated must be gte:YYYY-MM-DD HH:MM:SS;lte:YYYY-MM-DD HH:MM:SS, or one of the two")
    return bounds


def _whole_number(fields: Mapping[str, str], name: str, most: int) -> int | None:
    text = fields.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise BadRequest(f"{name} must be a whole number from 1 to {most}")
    return int(text)


async def _form(request: web.Request) -> dict[str, str]:
    """Return the fields of a urlencoded or multipart form. Values of a repeated field are numbered `name[n]`."""
    try:
        posted = await request.post()
    except ValueError as error:
        raise BadRequest(f"the form cannot be read: {error}") from error
    form: dict[str, str] = {}
    for name, value in posted.items():
        if isinstance(value, str):
            form[f"{name}[{len(form)}]" if name in form else name] = value
    return form


async def hang(request: web.Request, seconds: float) -> web.StreamResponse:
    """Close the connection without a response, after so many seconds."""
    await asyncio.sleep(seconds)
    return close_unanswered(request)


def close_unanswered(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # never sent: there is no connection left to send it on


def _no_such_call() -> web.Response:
    return rest_exception(404, "Call not found")
