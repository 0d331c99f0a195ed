"""Carriers' events as they come over HTTP: who may send one, what is kept of its body, and its way into the inbox.

Two servers take them by these rules: the events process (`dialer.events_server`), and web where a proxy has no route to
that one.
"""

import io
import json
import math
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters

from core import failpoints, signed_addresses
from dialer import carriers, inbox, links

# More fields than any carrier sends. No driver reads those that are cut off.
MOST_FIELDS = 100
# Values below this level are stored as null: no driver reads any that deep, and the event must not be lost for them.
MOST_LEVELS = 16

NOT_READABLE = "the event must be a form or a JSON object\n"
NOT_SIGNED = "the event is not signed by its carrier: is the trunk's signing key the right one?\n"
NO_SUCH_ADDRESS = "no such address\n"


def may_send(carrier: str, attempt_id: UUID, token: str) -> bool:
    """Tell whether the address is one that this server has given to a carrier."""
    return carriers.is_known(carrier) and signed_addresses.is_token(token, *links.event_subject(carrier, attempt_id))


def read(content_type: str, body: bytes) -> dict[str, Any] | None:
    """Return the fields of the form or of the JSON object; None for anything else, and where there are no fields.

    Args:
        content_type: the header, with its parameters.
    """
    try:
        fields = _fields(content_type, body)
    except (ValueError, RecursionError, MultiPartParserError, SuspiciousOperation):
        return None
    if not isinstance(fields, dict) or not fields:
        return None
    return {_storable(name): _storable(value) for name, value in list(fields.items())[:MOST_FIELDS]}


def store(events: Sequence[inbox.Incoming]) -> None:
    """Store events in one transaction. A carrier may be told that they were taken once this has returned."""
    failpoints.reached("event-before-commit")
    inbox.store(events)
    failpoints.reached("event-after-commit")


def _fields(content_type: str, body: bytes) -> Any:
    kind, parameters = parse_header_parameters(content_type)
    match kind:
        case "application/json":
            return json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
        case "application/x-www-form-urlencoded":
            return QueryDict(body, encoding="utf-8").dict()
        case "multipart/form-data":
            plain = _plain_multipart(body, parameters.get("boundary", ""))
            return plain or _multipart(content_type, body, parameters.get("charset", "utf-8"))
    return None


class _NoFiles(FileUploadHandler):
    """Leave files out: no driver reads one."""

    def new_file(self, *_args: Any, **_options: Any) -> None:
        raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Take nothing: there is no file."""

    def file_complete(self, file_size: int) -> None:
        """Return no file."""


# A part as carriers write it: text under a simple name.
_PLAIN_PART = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([\w.\[\]-]+)"(?:\r\nContent-Type: text/plain(?:; charset=utf-8)?)?',
    re.IGNORECASE,
)


def _plain_multipart(body: bytes, boundary: str) -> dict[str, str] | None:
    """Read a form whose parts are plain text: in a tenth of the time of a reader that knows all kinds of parts.

    Returns None where there is any other part, or anything else that needs that reader.
    """
    between = b"--" + boundary.encode()
    before, *parts = (b"\r\n" + body).split(b"\r\n" + between)
    is_plain = boundary and not before and parts and body.count(between) == len(parts) <= MOST_FIELDS
    if not is_plain or not parts.pop().startswith(b"--"):
        return None
    fields = {}
    for part in parts:
        head, has_value, value = part.partition(b"\r\n\r\n")
        plain = _PLAIN_PART.fullmatch(head)
        if plain is None or not has_value:
            return None
        fields[plain[1].decode()] = value.decode(errors="replace")
    return fields


def _multipart(content_type: str, body: bytes, charset: str) -> dict[str, Any]:
    about = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))}
    form, _ = MultiPartParser(about, io.BytesIO(body), [_NoFiles()], charset).parse()
    return dict(form.dict())


def _finite(digits: str) -> float | None:
    """Return the number; None for one that no double holds (`1e999`), which PostgreSQL refuses in JSON."""
    number = float(digits)
    return number if math.isfinite(number) else None


def _storable(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Remove what PostgreSQL refuses in JSON (NUL, lone surrogates) or no driver reads: it must not cost the event."""
    match value:
        case str():
            return value.replace("\0", "").encode(errors="replace").decode()
        case list() | dict() if not levels:
            return None
        case list():
            return [_storable(item, levels - 1) for item in value]
        case dict():
            return {_storable(name): _storable(item, levels - 1) for name, item in value.items()}
    return value
