"""The addresses that carriers use: to send their events, and to read a flow."""

from uuid import UUID

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from campaigns import spoken_text
from campaigns.models import Call, Campaign, Flow
from core import signed_addresses
from dialer import carrier_events, event_signatures, inbox
from dialer.carriers.base import Received

log = structlog.get_logger(__name__)


@csrf_exempt
@require_POST
def take_event(request: HttpRequest, carrier: str, attempt_id: UUID) -> HttpResponse:
    """Check token and signature, store the event, respond 2xx. Nothing else: the inbox settles it."""
    if not carrier_events.may_send(carrier, attempt_id, request.GET.get("token", "")):
        return _no_such_address()
    if event_signatures.is_checked(carrier) and not event_signatures.is_right(carrier, received(request)):
        log.warning("event_not_signed", carrier=carrier, attempt=attempt_id.hex)
        return HttpResponse(carrier_events.NOT_SIGNED, status=403, content_type="text/plain")
    payload = carrier_events.read(request.META.get("CONTENT_TYPE", ""), request.body)
    if payload is None:
        log.warning("event_refused", carrier=carrier, attempt=attempt_id.hex, content_type=request.content_type)
        return HttpResponse(carrier_events.NOT_READABLE, status=400, content_type="text/plain")
    event = inbox.Incoming(carrier, attempt_id, payload)
    carrier_events.store([event])
    inbox.enqueue_settle([event])
    return HttpResponse(status=204)


def received(request: HttpRequest, base: str = "") -> Received:
    """Return the request as its carrier has signed it. base: the address of this server that the carrier knows."""
    url = f"{base or settings.EVENTS_URL}{request.get_full_path_info()}"  # without the prefix, which the base has
    return Received(url, request.headers, request.META.get("CONTENT_TYPE", ""), request.body)


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
    return HttpResponse(carrier_events.NO_SUCH_ADDRESS, status=403, content_type="text/plain")
