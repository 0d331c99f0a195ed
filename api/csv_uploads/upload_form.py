"""The multipart form of a CSV upload. The file goes to the disk as it arrives, and never into memory."""

import unicodedata
from dataclasses import dataclass
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import ParseError

from api.http.parsers import BodyTooLarge, discard, parse_json, printable
from contacts.csv_uploads import column_names
from contacts.csv_uploads.columns import MAX_CELL, OURS, ColumnChoice
from contacts.models import ContactList
from core.errors import InvalidRequest
from core.names import displayed

MAX_FILE_BYTES = 60 * 1024 * 1024
# For boundaries, headers and the other parts of the form.
MAX_REST_BYTES = 64 * 1024
FILE_PART = "file_name"

TOO_LARGE = f"the file is larger than {MAX_FILE_BYTES // 1024 // 1024} MB: split it, and send the parts one by one"


@dataclass(frozen=True)
class Form:
    fields: dict[str, str]
    file: "UploadedFile[Any] | None"


class ToDisk(TemporaryFileUploadHandler):
    """Count the bytes written, because a body in chunks does not say beforehand how large it is."""

    is_too_large = False
    size = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.size += len(raw_data)
        if self.size > MAX_FILE_BYTES:
            self.is_too_large = True
            raise StopUpload(connection_reset=True)
        super().receive_data_chunk(raw_data, start)


class _Parser(MultiPartParser):
    """Refuse a name of the file that has what Django would leave out without a word."""

    def sanitize_file_name(self, file_name: str) -> str | None:
        _require_readable(FILE_PART, file_name)
        return super().sanitize_file_name(file_name)


def receive(request: HttpRequest) -> Form:
    """Read the form. Raises BodyTooLarge for a file above 60 MB, and InvalidRequest for an unreadable form."""
    if request.content_type != "multipart/form-data":
        raise InvalidRequest(
            f"send the file as multipart/form-data, not as {printable(request.content_type or 'nothing')}"
        )
    meta, stream = _body(request)
    handler = ToDisk(request)
    try:
        fields, files = _Parser(meta, stream, [handler], request.encoding).parse()
    except InvalidRequest:
        discard(stream)
        raise
    except MultiPartParserError as error:
        raise InvalidRequest("the form can't be read: its parts or its boundary are broken") from error
    if handler.is_too_large:
        discard(stream)
        raise BodyTooLarge(TOO_LARGE)
    return Form({name: str(value) for name, value in fields.items()}, files.get(FILE_PART))


def _body(request: HttpRequest) -> tuple[dict[str, Any], Any]:
    """Return the headers and the body, which comes with its length or, as from Node, in chunks."""
    meta = request.META
    max_bytes = MAX_FILE_BYTES + MAX_REST_BYTES
    if "chunked" in meta.get("HTTP_TRANSFER_ENCODING", "").lower() and meta.get("wsgi.input_terminated"):
        # Django takes a body without a length for an empty one. Any other length is only an upper bound to it.
        return {**meta, "CONTENT_LENGTH": str(max_bytes)}, meta["wsgi.input"]
    if int(meta.get("CONTENT_LENGTH") or 0) > max_bytes:
        discard(cast(Any, request))
        raise BodyTooLarge(TOO_LARGE)
    return meta, request


def list_name(form: Form) -> str:
    """Return the name of the list. Raises InvalidRequest where there is none that people can read."""
    name = form.fields.get("list_name", "").strip()
    if not name or len(name) > 255:
        raise InvalidRequest("'list_name' is mandatory: give a name of at most 255 characters for the list to fill")
    _require_readable("list_name", name)
    return name


def column_choice(form: Form) -> ColumnChoice:
    """Return what the form says about the columns. Raises InvalidRequest with the field's name."""
    kind = form.fields.get("type", "").strip().lower() or ContactList.Type.STATIC
    if kind not in ContactList.Type.values:
        raise InvalidRequest("'type': must be static or dynamic")
    is_dynamic = kind == ContactList.Type.DYNAMIC
    return ColumnChoice(is_dynamic, _columns(form, is_dynamic=is_dynamic), _switch(form, "ignore_columns") or False)


def number_column(form: Form) -> str:
    """Return how a file for the do-not-call list spells the column of its numbers; "" where its name says it."""
    columns = _columns(form, is_dynamic=False)
    if others := sorted(columns.keys() - {"number"}):
        raise InvalidRequest(f"'columns': {printable(others[0])} is not kept with a number: name only number")
    return columns.get("number", "")


def required_file(form: Form) -> "UploadedFile[Any]":
    """Return the file. Raises InvalidRequest where there is none."""
    if form.file is None:
        raise InvalidRequest(f"'{FILE_PART}' is mandatory: send the file itself in this part of the form")
    return form.file


def allows_blanks(form: Form) -> bool | None:
    """Return whether rows may have no value for a column; None where the form does not say it."""
    return _switch(form, "allow_blanks")


def _switch(form: Form, field: str) -> bool | None:
    given = form.fields.get(field, "").strip().lower()
    if given not in {"", "true", "false", "1", "0"}:
        raise InvalidRequest(f"'{field}': must be true or false")
    return given in {"true", "1"} if given else None


def _columns(form: Form, *, is_dynamic: bool) -> dict[str, str]:
    """Return the field `columns`: for our names of columns, how the file's header spells them."""
    given = form.fields.get("columns", "").strip()
    try:
        names = parse_json(given)
    except ParseError as error:
        raise InvalidRequest(f"'columns': {error.detail}".replace("the body", "the field")) from error
    if not isinstance(names, dict) or not all(isinstance(name, str) and name.strip() for name in names.values()):
        raise InvalidRequest("""'columns': must be an object such as {"number": "Phone 1", "first_name": "Given"}""")
    columns: dict[str, str] = {}
    for name, spelled in names.items():
        _require_readable("columns", name)
        column = column_names.exact(displayed(name)) or displayed(name)
        if not is_dynamic and column not in OURS:
            raise InvalidRequest(f"'columns': {printable(name)} is none of {', '.join(OURS)}")
        if not column or name != name.strip() or len(name) > MAX_CELL:
            raise InvalidRequest(
                f"'columns': the name {printable(name)} must have 1 to {MAX_CELL} characters, no space around"
            )
        if column in columns:
            raise InvalidRequest(f"'columns': {printable(name)} stands twice, in two ways to write {printable(column)}")
        columns[column] = spelled
    return columns


def _require_readable(field: str, text: str) -> None:
    """Refuse control characters, among them NUL, which PostgreSQL can't store, and bytes that are not UTF-8."""
    if "\ufffd" in text:  # Django has put it in their place
        raise InvalidRequest(f"'{field}': is not UTF-8: encode the form as UTF-8")
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise InvalidRequest(f"'{field}': leave out the control character U+{ord(character):04X}")
