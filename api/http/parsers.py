"""Request bodies: JSON whatever `Content-Type` says, because curl labels a body without that header as a form."""

import codecs
import io
import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

# The deepest meaningful body, campaigns[0].retries.on_status[0], has five levels. Python's own recursion limit would be
# reached at a different depth in every function that walks the body after the parser.
MAX_DEPTH = 32
# Longer integers mean nothing here, and parsing them costs time that grows with the square of their length.
MAX_DIGITS = 40
# The most bytes of a body that is too large that are read and discarded, and the size of one read.
MAX_DISCARDED = 64 * 1024 * 1024
PIECE = 64 * 1024


class BodyTooLarge(APIException):
    status_code = 413


class BoundedJSONParser(BaseParser):
    """Read at most MAX_REQUEST_BYTES of JSON, and refuse what is ambiguous or can't be stored.

    Refused are text that PostgreSQL can't hold (NUL, lone surrogates), numbers that no double can hold, and an object
    with the same key twice.
    """

    media_type = "*/*"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = read_bounded(stream)
        try:
            text = body.removeprefix(codecs.BOM_UTF8).decode()
        except UnicodeError as error:
            raise ParseError("the body is not valid UTF-8 text: encode it as UTF-8") from error
        return parse_json(text)


def parse_json(text: str) -> Any:
    """Parse JSON. Raises ParseError."""
    if not text.strip():
        return {}
    try:
        data = json.loads(
            text, parse_constant=_refuse, parse_int=_integer, parse_float=_float, object_pairs_hook=_object
        )
    except RecursionError as error:
        raise ParseError(_TOO_DEEP) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ParseError(f"the body is not valid JSON: {error.msg} at {place}") from error
    for value in _values(data):
        if isinstance(value, str) and (problem := why_not_storable(value)):
            place = _place_of(value, data)
            raise ParseError(f"'{place}': {problem}" if place else f"the body {problem}")
    return data


_TOO_DEEP = f"the body nests deeper than {MAX_DEPTH} levels: send the campaign as the documentation shows it"


def _values(data: Any) -> Iterator[Any]:
    """Yield every key and value of the data, level by level. Raises ParseError below MAX_DEPTH."""
    level = [data]
    for _ in range(MAX_DEPTH):
        yield from level
        mappings = [value for value in level if isinstance(value, dict)]
        yield from (key for mapping in mappings for key in mapping)
        level = [inner for value in level if isinstance(value, list) for inner in value]
        level += [inner for mapping in mappings for inner in mapping.values()]
        if not level:
            return
    raise ParseError(_TOO_DEEP)


def _refuse(constant: str) -> None:
    raise ParseError(f"the body is not valid JSON: {constant} is no number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ParseError(f"{digits[:20]}… is too large a number: write phone numbers as text, in quotes")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ParseError(f"{digits[:20]} is too large a number")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with a key twice: a wrong guess which `from` is meant would call the wrong people."""
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ParseError(f"'{printable(twice)}' stands twice in one object: send it once")
    return parsed


def why_not_storable(text: str) -> str:
    """Return why PostgreSQL can't store this text, and what to do; "" where it can."""
    if "\0" in text:
        return "holds a NUL character (\\u0000): leave it out"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeError:
            return f"holds half a surrogate pair ({printable(text)}): send both halves, or encode it as UTF-8"
    return ""


def _place_of(text: str, data: Any) -> str:
    """Return where a text is, as a key or as a value: `campaigns[0].name`."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name is text or value is text:
                return printable(name)
            if place := _place_of(text, value):
                return f"{printable(name)}{'' if place.startswith('[') else '.'}{place}"
    if isinstance(data, list):
        for position, value in enumerate(data):
            if value is text:
                return f"[{position}]"
            if place := _place_of(text, value):
                return f"[{position}]{'' if place.startswith('[') else '.'}{place}"
    return ""


def printable(text: str) -> str:
    """Return the beginning of any text in a form that an error message can show."""
    return text[:64].encode(errors="backslashreplace").decode()


def read_bounded(stream: IO[bytes]) -> bytes:
    """Read the body. Raises BodyTooLarge above MAX_REQUEST_BYTES, and ParseError if it ends early."""
    try:
        body = stream.read(settings.MAX_REQUEST_BYTES + 1)
        if len(body) <= settings.MAX_REQUEST_BYTES:
            return body
        discard(stream)
    except Exception as error:
        # Each server raises its own exceptions for a body that ends early or has malformed chunks.
        raise ParseError("the body can't be read to its end: send the request again") from error
    raise _too_large()


def require_bounded(request: HttpRequest) -> None:
    """Raise BodyTooLarge if the request says that its body is larger than MAX_REQUEST_BYTES. Reads nothing of it."""
    length = str(request.META.get("CONTENT_LENGTH") or "0").strip()
    if length.isdecimal() and (len(length) > MAX_DIGITS or int(length) > settings.MAX_REQUEST_BYTES):
        raise _too_large()


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is larger than {settings.MAX_REQUEST_BYTES:,} bytes: send fewer numbers in one request"
    )


def discard(stream: IO[bytes]) -> None:
    """Read on: a client that is still sending when the connection closes never sees the response."""
    for _ in range(MAX_DISCARDED // PIECE):
        if not stream.read(PIECE):
            return


def take_chunked_body(request: HttpRequest) -> None:
    """Make a body in chunks, without a Content-Length, readable like any other. Node and Go send such bodies.

    Django reads as many bytes as Content-Length says: without it, none. The body is read only if the server marks the
    end of the input, because reading from any other server would wait for ever.
    """
    meta = request.META
    if "chunked" in meta.get("HTTP_TRANSFER_ENCODING", "").lower() and meta.get("wsgi.input_terminated"):
        body = read_bounded(meta["wsgi.input"])
        meta["CONTENT_LENGTH"] = str(len(body))
        request._stream = io.BytesIO(body)
