"""The part of Twilio's REST API that places and follows calls (its public page on the Call resource)."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from multidict import MultiMapping

from sandbox import clock
from sandbox.calls import Call, CallFilter, CallRequest, TwilioOptions
from sandbox.exotel_api import PAGE_SIZE, close_unanswered, hang, has_credentials, password_of
from sandbox.faults import CONNECT_FAULTS
from sandbox.phone_numbers import to_e164
from sandbox.switchboard import Switchboard

MAX_TIME_LIMIT_SECONDS = 14_400
MAX_RING_SECONDS = 600
MAX_PAGE_SIZE = 1000
RING_SECONDS = 60  # when the request names no Timeout
EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})

# The responses of the faults that refuse a call: status, Twilio's error code, words. None names the number.
REFUSALS: dict[str, tuple[int, int, str]] = {
    "http-400": (400, 21212, "Invalid From Number (caller ID)"),
    "http-403": (403, 20003, "Permission to place calls is denied for this account"),
    "http-404": (404, 20404, "The requested resource was not found"),
    "http-429": (429, 20429, "Too Many Requests"),
    "http-500": (500, 20500, "Internal Server Error"),
    "http-503": (503, 20503, "Service Unavailable"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Form = MultiMapping[str | bytes | bytearray | web.FileField]


class BadRequest(ValueError):
    """The request gets status 400; the arguments are Twilio's code and words."""


class TwilioApi:
    """Handlers of `/2010-04-01`."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def routes(self) -> list[web.RouteDef]:
        calls = "/2010-04-01/Accounts/{account_sid}/Calls"
        return [
            web.post(f"{calls}.json", self._entered(self.create)),
            web.get(f"{calls}.json", self._entered(self.list_calls)),
            web.get(f"{calls}/{{call_sid}}.json", self._entered(self.show_call)),
            web.post(f"{calls}/{{call_sid}}.json", self._entered(self.end_call)),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Place one call. Status 201 means that it is queued, not that anybody answers."""
        token = password_of(request.headers["Authorization"])
        call_request = parse_create(request.match_info["account_sid"], token, await request.post())
        faults = self._switchboard.script.faults
        # After the checks, so that a fault with `times` is not used up by a request that is refused anyway.
        fault = faults.strike(*CONNECT_FAULTS)
        name = fault.name if fault else None
        seconds = fault.seconds * self._switchboard.script.time_scale if fault else 0
        if name in REFUSALS:
            return error(*REFUSALS[name])
        if name == "hang-before-ring":
            return await hang(request, seconds)
        call = self._switchboard.place(call_request)
        if name == "hang-after-ring":
            return await hang(request, seconds)
        if name == "error-after-ring":
            return error(*REFUSALS["http-500"])
        if name == "malformed-answer":
            return web.Response(status=201, text='{"sid": "', content_type="application/json")
        return web.json_response(as_json(call), status=201)

    async def show_call(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        return _no_such_call(request) if call is None else web.json_response(as_json(call))

    async def list_calls(self, request: web.Request) -> web.StreamResponse:
        """List calls by To, From and Status, newest first, page by page."""
        query = request.query
        number = query.get("To")
        wanted = CallFilter(
            account_sid=request.match_info["account_sid"],
            number=None if number is None else to_e164(number) or number,
            caller_id=query.get("From"),
            status=query.get("Status"),
        )
        size = min(_whole_number(query.get("PageSize"), "PageSize", 10**9) or PAGE_SIZE, MAX_PAGE_SIZE)
        found = self._switchboard.calls.find(wanted)
        page = _whole_number(query.get("Page"), "Page", 10**9) or 0
        listed = [as_json(call) for call in found[page * size : (page + 1) * size]]
        is_last = (page + 1) * size >= len(found)
        further = None if is_last else str(request.rel_url.update_query(Page=str(page + 1)))
        return web.json_response({"calls": listed, "page": page, "page_size": size, "next_page_uri": further})

    async def end_call(self, request: web.Request) -> web.StreamResponse:
        """Hang up a live call: form field Status, `completed` or, for one that nobody has answered, `canceled`."""
        call = self._call(request)
        if call is None:
            return _no_such_call(request)
        status = (await request.post()).get("Status")
        if status not in {"completed", "canceled"}:
            raise BadRequest(21218, "Status must be completed or canceled: nothing else of a call can be changed here")
        if status == "completed" or call.ring.answer is None:
            self._switchboard.hang_up(call)
        return web.json_response(as_json(call))

    def _call(self, request: web.Request) -> Call | None:
        return self._switchboard.calls.get(request.match_info["account_sid"], request.match_info["call_sid"])

    def _entered(self, handler: Handler) -> Handler:
        """Wrap a handler of the API: first the `down` fault, then authentication."""

        async def entered(request: web.Request) -> web.StreamResponse:
            if self._switchboard.script.faults.strike("down"):
                return close_unanswered(request)
            if not has_credentials(request.headers.get("Authorization", "")):
                return error(401, 20003, "Authenticate")
            try:
                return await handler(request)
            except BadRequest as bad:
                return error(400, *bad.args)

        return entered


def error(status: int, code: int, message: str) -> web.Response:
    """Return an error in Twilio's shape."""
    return web.json_response({"code": code, "message": message, "status": status}, status=status)


def as_json(call: Call) -> dict[str, object]:
    """Return the Call resource."""
    ring, request = call.ring, call.request
    return {
        "sid": call.sid,
        "account_sid": request.account_sid,
        "api_version": "2010-04-01",
        "to": request.number,
        "from": request.caller_id,
        "status": call.status,
        "direction": "outbound-api",
        "date_created": clock.to_rfc2822(call.created),
        "date_updated": clock.to_rfc2822(call.updated),
        "start_time": None if call.is_queued else clock.to_rfc2822(ring.end if ring.answer is None else ring.answer),
        "end_time": clock.to_rfc2822(ring.end),
        "duration": str(call.conversation_seconds) if ring.end is not None else None,
        "answered_by": None,
        "parent_call_sid": None,
        "price": None,
        "uri": f"/2010-04-01/Accounts/{request.account_sid}/Calls/{call.sid}.json",
    }


def parse_create(account_sid: str, token: str, form: Form) -> CallRequest:
    """Check the form of a request for a call. Raises BadRequest."""
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    for name, code in (("To", 21201), ("From", 21213), ("Url", 21205)):
        if not fields.get(name, "").strip():
            raise BadRequest(code, f"No '{name}' is specified")
    number = fields["To"].strip()
    if to_e164(number) != number:
        raise BadRequest(21211, f"The phone number you are attempting to call, {number[:32]}, is not valid")
    events = frozenset(value for value in form.getall("StatusCallbackEvent", ()) if isinstance(value, str))
    if not events <= EVENTS:
        raise BadRequest(21626, f"StatusCallbackEvent must be of {', '.join(sorted(EVENTS))}")
    return CallRequest(
        account_sid=account_sid,
        number=number,
        caller_id=fields["From"].strip(),
        url=fields["Url"],
        status_callback=fields.get("StatusCallback"),
        time_limit=_whole_number(fields.get("TimeLimit"), "TimeLimit", MAX_TIME_LIMIT_SECONDS),
        ring_timeout=_whole_number(fields.get("Timeout"), "Timeout", MAX_RING_SECONDS) or RING_SECONDS,
        twilio=TwilioOptions(
            token,
            events or frozenset({"completed"}),
            fields.get("MachineDetection") in {"Enable", "DetectMessageEnd"},
            fields.get("FallbackUrl", ""),
        ),
    )


def _whole_number(text: str | None, name: str, most: int) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise BadRequest(20001, f"{name} must be a whole number from 1 to {most}")
    return int(text)


def _no_such_call(request: web.Request) -> web.Response:
    return error(404, 20404, f"The requested resource {request.path} was not found")
