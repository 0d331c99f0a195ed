"""Files from the forms of pages: they go to the disk, up to the API's limit, once the person is known."""

from contextlib import suppress
from typing import Any, cast

from django.http import HttpRequest

from api.csv_uploads import upload_form
from api.csv_uploads.upload_form import ToDisk
from api.http.parsers import discard
from core.errors import InvalidRequest


def limited(request: HttpRequest) -> ToDisk:
    """Let the file of the form go to the disk, up to the limit. Nothing of the form may have been read."""
    handler = ToDisk(request)
    request.upload_handlers = [handler]
    return handler


def require_whole(request: HttpRequest, handler: ToDisk) -> None:
    """Read the form. Raises InvalidRequest where its file is too large."""
    request.POST  # noqa: B018 -- reads the body
    if handler.is_too_large:
        # A browser that is still sending when the connection closes shows an error of its own, not our page.
        with suppress(OSError):
            discard(cast(Any, request))
        raise InvalidRequest(upload_form.TOO_LARGE)
