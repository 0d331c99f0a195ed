"""A stand-in for Twilio's REST API of calls over real HTTP. It rings nobody and asks nothing back: tests do that."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.utils import timezone

from tests.dialer.stand_in import StandIn, served

ACCOUNT_SID = "AC0123456789abcdef0123456789abcdef"
TOKEN = "the account's token"


class Twilio(StandIn):
    """Calls by sid, as the API shows them. reply: what a call is answered with instead, as status and body.

    is_telnyx: it speaks TeXML: JSON in, no id in the reply to a request for a call, and errors of its own shape.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_telnyx = False
        self.calls: dict[str, dict[str, Any]] = {}
        self.forms: list[dict[str, list[str]]] = []
        self.paths: list[str] = []
        self.reply: tuple[int, object] | None = None

    def create(self, form: dict[str, list[str]]) -> dict[str, Any]:
        self.forms.append(form)
        sid = f"CA{len(self.calls):032}"
        self.calls[sid] = {
            "sid": sid,
            "status": "queued",
            "to": form["To"][0],
            "from": form["From"][0],
            "date_created": format_datetime(timezone.now()),
            "start_time": None,
            "end_time": None,
            "duration": None,
        }
        return self.calls[sid]

    def respond(self, method: str, path: str, form: dict[str, list[str]]) -> tuple[int, object]:
        self.paths.append(f"{method} {urlsplit(path).path}")
        if self.reply:
            return self.reply
        name = urlsplit(path).path.rpartition("/")[2].removesuffix(".json")
        if name == "Calls":
            if method == "POST":
                call = self.create(form)
                return (200, {name: call[name] for name in ("to", "from", "status")}) if self.is_telnyx else (201, call)
            asked = parse_qs(urlsplit(path).query).get("To")
            listed = [call for call in self.calls.values() if asked in (None, [call["to"]])]
            return 200, {"calls": listed[::-1], "page_size": 1000}
        name = unquote(name)
        if name not in self.calls and self.is_telnyx:
            return 404, {"errors": [{"code": "10005", "title": "Resource not found", "detail": "No such call."}]}
        if name not in self.calls:
            return 404, {"code": 20404, "message": f"The requested resource {path} was not found", "status": 404}
        if method == "POST":
            self.calls[name]["status"] = form["Status"][0]
        return 200, self.calls[name]


@contextmanager
def twilio() -> Iterator[Twilio]:
    """Run one on a free port of this machine."""
    with served(Twilio) as stand_in:
        yield stand_in
