"""The address at which carriers that speak TwiML ask what a call does next. The place in the flow is in the address."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from campaigns import flow_interpreter, spoken_text
from campaigns.flow_interpreter import Action, Connect, HangUp, NoSuchPlace, OptOut
from campaigns.models import Call
from core import signed_addresses
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, carriers, inbox, links, number_gate, opt_outs, twiml_documents, views
from dialer.carriers.twiml import TwimlCarrier
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# What a call to another number is told as that somebody took.
TAKEN = {"completed", "answered"}
# All keys of one call, as far as the report shows them.
MOST_KEYS = 255


@csrf_exempt
@require_POST
def next_steps(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Respond with TwiML up to the next question. Keys that were pressed go to the inbox, like any other news."""
    if not signed_addresses.is_token(request.GET.get("token", ""), "twiml", attempt_id.hex):
        return _refused()
    loaded = ("call__campaign__flow", "campaign__caller_id", "campaign__account", "trunk", "carrier_account")
    attempts = CallAttempt.objects.select_related(*loaded)
    attempt = get_object_or_404(attempts, pk=attempt_id)
    if not _is_genuine(request, attempt):
        log.warning("twiml_request_not_signed", attempt=attempt_id.hex)
        return _refused()
    keys = request.GET.get("keys", "")
    if pressed := _keys(request.POST.get("Digits", "")):
        keys = (keys + pressed)[:MOST_KEYS]
        news = {"CallSid": request.POST.get("CallSid", "")[:64], "CallStatus": "in-progress", "Keys": keys}
        inbox.append(attempt.trunk.carrier, [(attempt_id, news)])
    outcome = request.POST.get("DialCallStatus", "")
    document = _document(attempt.call)
    actions = _actions(document, request.GET.get("place", ""), pressed, outcome, attempt_id)
    actions = _without_refused(document, actions, attempt)
    if any(isinstance(action, OptOut) for action in actions):
        opt_outs.store(attempt.campaign.account, attempt)
    caller_id = attempt.campaign.caller_id.number
    text = twiml_documents.write(actions, lambda place: links.twiml_url(attempt_id, place, keys), caller_id)
    return HttpResponse(text, content_type="text/xml; charset=utf-8")


def _actions(document: Mapping[str, Any], place: str, pressed: str, outcome: str, attempt_id: UUID) -> Sequence[Action]:
    """Return what follows. A flow that was changed during the call, and lost the place, ends the call.

    Args:
        outcome: of the call to another number, where the flow waited for its end.
    """
    if not place:
        return flow_interpreter.start(document)
    try:
        waits_at = flow_interpreter.parse_place(place)
        if flow_interpreter.connects_at(document, waits_at):
            return flow_interpreter.connected(document, waits_at, was_taken=outcome in TAKEN)
        return flow_interpreter.pressed(document, waits_at, pressed)
    except NoSuchPlace:
        log.warning("flow_place_lost", attempt=attempt_id.hex)
        return [HangUp()]


def _without_refused(document: Mapping[str, Any], actions: Sequence[Action], attempt: CallAttempt) -> Sequence[Action]:
    """Go on past numbers that must not be rung, as where nobody answers there."""
    while isinstance(actions[-1], Connect):
        target = actions[-1]
        why_not = number_gate.why_no_transfer(attempt.campaign.account, target.number)
        if not why_not:
            break
        log.warning("transfer_refused", attempt=attempt.pk.hex, reason=why_not)
        actions = [*actions[:-1], *flow_interpreter.connected(document, target.place, was_taken=False)]
    return actions


def _document(call: Call) -> Mapping[str, Any]:
    campaign = call.campaign
    if campaign.flow:
        document: Mapping[str, Any] = campaign.flow.document
        return document
    return spoken_text.document(campaign, call.variables if campaign.type == campaign.Type.DYNAMIC else None)


def _is_genuine(request: HttpRequest, attempt: CallAttempt) -> bool:
    """Check the carrier's signature, of the address as the carrier knows it. An attempt of another carrier has none."""
    account = attempt.carrier_account
    driver = carriers.driver(account.carrier) if account else None
    if account is None or driver is None or not issubclass(driver, TwimlCarrier):
        return False
    try:
        access = carrier_accounts.access_to(account, attempt.trunk)
    except UnreadableSecret:
        return False
    return driver.is_genuine(access, views.received(request, settings.PUBLIC_URL)) is not False


def _keys(given: str) -> str:
    return "".join(key for key in given if key in "0123456789*#")[:MOST_KEYS]


def _refused() -> HttpResponse:
    return HttpResponse("no such address\n", status=403, content_type="text/plain")
