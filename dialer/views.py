"""The addresses that carriers use: to send their events, and to read a flow."""

import json
import math
from typing import Any
from uuid import UUID

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from campaigns import spoken_text
from campaigns.models import Call, Campaign, Flow
from core import failpoints, signed_addresses
from dialer import carriers, inbox, links

# More fields than any carrier sends. No driver reads those that are cut off.
MOST_FIELDS = 100
# Values below this level are stored as null: no driver reads any that deep, and the event must not be lost for them.
MOST_LEVELS = 16

log = structlog.get_logger(__name__)


@csrf_exempt
@require_POST
def take_event(request: HttpRequest, carrier: str, attempt_id: UUID) -> HttpResponse:
    """Check the token, store the event, respond 2xx. Nothing else: the inbox settles it."""
    purpose, subject = links.event_subject(carrier, attempt_id)
    if not carriers.is_known(carrier) or not _may_ask(request, purpose, subject):
        return _no_such_address()
    payload = _payload(request)
    if payload is None:
        log.warning("event_refused", carrier=carrier, attempt=attempt_id.hex, content_type=request.content_type)
        return HttpResponse("the event must be a form or a JSON object\n", status=400, content_type="text/plain")
    failpoints.reached("event-before-commit")
    inbox.append(carrier, [(attempt_id, payload)])
    failpoints.reached("event-after-commit")
    return HttpResponse(status=204)


@require_GET
def hand_out_flow(request: HttpRequest, flow_pk: int) -> HttpResponse:
    """Respond with the flow document. A carrier gets its address with a call."""
    if not _may_ask(request, "flows", str(flow_pk)):
        return _no_such_address()
    flow = Flow.objects.filter(pk=flow_pk).first()
    return JsonResponse(flow.document if flow else {}, status=200 if flow else 404)


@require_GET
def hand_out_campaign_text(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """Respond with the flow of a campaign whose calls all hear the same text."""
    if not _may_ask(request, "campaign-texts", campaign_id.hex):
        return _no_such_address()
    texts = Campaign.objects.filter(type=Campaign.Type.STATIC).exclude(text="")
    return JsonResponse(spoken_text.document(get_object_or_404(texts, pk=campaign_id)))


@require_GET
def hand_out_call_text(request: HttpRequest, call_pk: int) -> HttpResponse:
    """Respond with the flow of one call of a dynamic campaign: the text with the values of the call's list entry."""
    if not _may_ask(request, "call-texts", str(call_pk)):
        return _no_such_address()
    texts = Call.objects.exclude(campaign__text="").select_related("campaign")
    call = get_object_or_404(texts, pk=call_pk)
    return JsonResponse(spoken_text.document(call.campaign, call.variables))


def _may_ask(request: HttpRequest, kind: str, subject: str) -> bool:
    return signed_addresses.is_token(request.GET.get("token", ""), kind, subject)


def _no_such_address() -> HttpResponse:
    return HttpResponse("no such address\n", status=403, content_type="text/plain")


def _payload(request: HttpRequest) -> dict[str, Any] | None:
    """Return the fields of the form or of the JSON object; None for anything else, and where there are no fields."""
    if request.content_type == "application/json":
        try:
            fields = json.loads(request.body, parse_constant=lambda _: None, parse_float=_finite)
        except (ValueError, RecursionError):
            return None
    else:
        fields = request.POST.dict()
    if not isinstance(fields, dict) or not fields:
        return None
    return {_storable(name): _storable(value) for name, value in list(fields.items())[:MOST_FIELDS]}


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
