"""The multipart form of a CSV upload. The file goes to the disk as it arrives, and never into memory."""

from dataclasses import dataclass
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from api.http.parsers import BodyTooLarge, discard, printable
from core.errors import InvalidRequest

MAX_FILE_BYTES = 60 * 1024 * 1024
# For boundaries, headers and the other parts of the form.
MAX_REST_BYTES = 64 * 1024
FILE_PART = "file_name"

TOO_LARGE = f"the file is larger than {MAX_FILE_BYTES // 1024 // 1024} MB: split it, and send the parts one by one"


@dataclass(frozen=True)
class Form:
    fields: dict[str, str]
    file: "UploadedFile[Any] | None"


class _ToDisk(TemporaryFileUploadHandler):
    """Count the bytes written, because a body in chunks does not say beforehand how large it is."""

    is_too_large = False
    size = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.size += len(raw_data)
        if self.size > MAX_FILE_BYTES:
            self.is_too_large = True
            raise StopUpload(connection_reset=True)
        super().receive_data_chunk(raw_data, start)


def receive(request: HttpRequest) -> Form:
    """Read the form. Raises BodyTooLarge for a file above 60 MB, and InvalidRequest for an unreadable form."""
    if request.content_type != "multipart/form-data":
        raise InvalidRequest(
            f"send the file as multipart/form-data, not as {printable(request.content_type or 'nothing')}"
        )
    meta, stream = _body(request)
    handler = _ToDisk(request)
    try:
        fields, files = MultiPartParser(meta, stream, [handler], request.encoding).parse()
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
