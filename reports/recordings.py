"""The address at which a recording of ours is heard."""

from uuid import UUID

import structlog
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from accounts import audit
from accounts.audit import Actor
from dialer import recordings
from dialer.models import Recording

log = structlog.get_logger(__name__)


@require_GET
def hear(request: HttpRequest, recording_id: UUID) -> HttpResponseBase:
    """Send the file to the holder of its address, and record where it went."""
    if not recordings.is_token(request.GET.get("token", ""), recording_id):
        return _text("this address is not valid: read the call details again\n", 403)
    known = Recording.objects.select_related("attempt__campaign__account").exclude(file="")
    recording = known.filter(pk=recording_id, attempt__campaign__account__is_active=True).first()
    if recording is None or recording.attempt.campaign.is_purging:
        return _text("there is no such recording any more\n", 404)
    return send(recording, audit.UNKNOWN)


def send(recording: Recording, actor: Actor) -> HttpResponseBase:
    """Send the file of a recording of ours, with its campaign loaded, and record who heard it."""
    try:
        file = recordings.storage().open(recording.file)
        # A bucket's file is read here, as the response asks for its length.
        response = FileResponse(file, content_type="audio/wav", filename=f"{recording.pk.hex}.wav")
    except FileNotFoundError:
        return _text("there is no such recording any more\n", 404)
    except Exception:
        # Storages raise errors of their own libraries.
        log.exception("recording_not_opened", recording=recording.pk.hex)
        return _text("the recording can't be read now: try again, and tell the operator of this server\n", 503)
    audit.record(actor, audit.Verb.DOWNLOADED, recording.attempt.campaign, what="recording of a call")
    response["Cache-Control"] = "private, no-store"  # people's voices
    return response


def _text(message: str, status: int) -> HttpResponse:
    return HttpResponse(message, status=status, content_type="text/plain")
