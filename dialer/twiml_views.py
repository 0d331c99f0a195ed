"""The address at which carriers that speak TwiML ask what a call does next. The place in the flow is in the address."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from campaigns import flow_interpreter, spoken_text
from campaigns.flow_interpreter import Action, Connect, HangUp, NoSuchPlace
from campaigns.models import Call, Campaign, Outcome
from core import clocks, signed_addresses
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, carriers, inbox, links, recordings, transfers, twiml_documents, views, wishes
from dialer.carriers.http_carrier import whole_seconds
from dialer.carriers.twiml import TwimlCarrier, answered_by
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# All keys of one call, as far as the report shows them.
MOST_KEYS = 255
_WEB_ADDRESS = re.compile(r"https?://[^\s]{1,2000}")


@csrf_exempt
@require_POST
def next_steps(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Respond with TwiML up to the next question. Keys that were pressed go to the inbox, like any other news."""
    attempt = _attempt(request, attempt_id)
    if attempt is None:
        return _refused()
    keys = request.GET.get("keys", "")
    if pressed := "" if _rings_next(request) else _keys(request.POST.get("Digits", "")):
        keys = (keys + pressed)[:MOST_KEYS]
        _tell(attempt, request, Keys=keys)
    if heard := answered_by(request.POST.get("AnsweredBy")):
        _tell(attempt, request, AnsweredBy=heard)
    actions = _actions(attempt, request, pressed)
    if wish := wishes.in_actions(actions):
        wishes.store(attempt.account, attempt, wish)
    caller_id = attempt.campaign.caller_id.number
    addresses = twiml_documents.Addresses(
        after=lambda place: links.twiml_url(attempt_id, place, keys),
        rings=lambda place: links.twiml_url(attempt_id, place, keys, rings=True),
        made=lambda place: links.recording_made_url(attempt_id, place),
    )
    text = twiml_documents.write(actions, addresses, caller_id)
    return HttpResponse(text, content_type="text/xml; charset=utf-8")


@csrf_exempt
@require_POST
def recording_made(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Keep where a recording is, of which the carrier tells when it is ready."""
    attempt = _attempt(request, attempt_id)
    if attempt is None:
        return _refused()
    try:
        place = flow_interpreter.parse_place(request.GET.get("place", ""))
    except NoSuchPlace:
        return HttpResponse("'place' is unknown: take the address as it is\n", status=400, content_type="text/plain")
    _keep_recording(attempt, request, str(place), clocks.now())
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
def document_not_read(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Respond to a carrier that could not read a document of ours: begin the flow again, once, or end the call.

    Only the first document is asked for again, and one that begins with a connect after what was heard. What follows
    keys, a recording or another call depends on what the carrier had told with its question, and does not tell here.
    """
    attempt = _attempt(request, attempt_id)
    if attempt is None:
        return _refused()
    asked = request.POST.get("ErrorUrl", "")
    begins_again = _is_asked_again(attempt_id, asked)
    log.warning(
        "twiml_not_read",
        attempt=attempt_id.hex,
        code=whole_seconds(request.POST.get("ErrorCode")),
        begins_again=begins_again,
    )
    # An address of another spelling: where it can't be read either, the call ends.
    text = twiml_documents.begin_again(f"{asked}&again=1") if begins_again else twiml_documents.hang_up()
    return HttpResponse(text, content_type="text/xml; charset=utf-8")


def _attempt(request: HttpRequest, attempt_id: UUID) -> CallAttempt | None:
    """Return the attempt that the request is about; None where it is not its carrier's."""
    if not signed_addresses.is_token(request.GET.get("token", ""), "twiml", attempt_id.hex):
        return None
    loaded = ("account", "call__campaign__flow", "campaign__caller_id", "trunk", "carrier_account")
    attempt = get_object_or_404(CallAttempt.objects.select_related(*loaded), pk=attempt_id)
    if not _is_genuine(request, attempt):
        log.warning("twiml_request_not_signed", attempt=attempt_id.hex)
        return None
    return attempt


def _is_asked_again(attempt_id: UUID, asked: str) -> bool:
    """Whether it is an address of the attempt's whose document depends on nothing but the address."""
    if asked == links.twiml_url(attempt_id):
        return True
    query = QueryDict(urlsplit(asked).query)
    try:
        place = flow_interpreter.parse_place(query.get("place", ""))
    except NoSuchPlace:
        return False
    return asked == links.twiml_url(attempt_id, place, query.get("keys", ""), rings=True)


def _rings_next(request: HttpRequest) -> bool:
    """Whether the carrier asks for a connect, and tells nothing: it may bring along what it had told before."""
    return "rings" in request.GET


def _tell(attempt: CallAttempt, request: HttpRequest, **news: str) -> None:
    """Put news into the inbox, as the carrier's that has the call: its trunk may have got another one since."""
    assert attempt.carrier_account is not None  # it has sent the request
    told = {"CallSid": request.POST.get("CallSid", "")[:64], "CallStatus": "in-progress", **news}
    inbox.append(attempt.carrier_account.carrier, [(attempt.pk, told)])


def _actions(attempt: CallAttempt, request: HttpRequest, pressed: str) -> Sequence[Action]:
    """Return what follows. A flow that was changed during the call, and lost the place, ends the call."""
    document, now = _document(attempt.call), clocks.now()
    try:
        return _up_to_a_leg(document, attempt, _after(document, attempt, request, pressed, now), now)
    except NoSuchPlace:
        log.warning("flow_place_lost", attempt=attempt.pk.hex)
        return [HangUp()]


def _up_to_a_leg(
    document: Mapping[str, Any], attempt: CallAttempt, actions: list[Action], now: datetime
) -> list[Action]:
    """Return the actions, with what follows instead of calls to other numbers that can't be made.

    What is heard before one comes first: the carrier asks for the call afterwards, and the gate is asked then.
    """
    while isinstance(connect := actions[-1], Connect) and not twiml_documents.is_heard_first(actions):
        leg = transfers.ask(attempt, str(connect.place), connect.number, now)
        if leg.may_ring:
            return actions
        following = flow_interpreter.connected(
            document, connect.place, was_taken=leg.was_taken, may_try_others=leg.may_try_others
        )
        actions = [*actions[:-1], *following]
    return actions


def _after(
    document: Mapping[str, Any], attempt: CallAttempt, request: HttpRequest, pressed: str, now: datetime
) -> list[Action]:
    """Return what the flow does after the place in the address. Raises NoSuchPlace."""
    if not (written := request.GET.get("place", "")):
        return _first(document, attempt.campaign, answered_by(request.POST.get("AnsweredBy")))
    place = flow_interpreter.parse_place(written)
    if _rings_next(request):
        return flow_interpreter.connecting(document, place)
    match flow_interpreter.step_at(document, place):
        case "gather":
            return flow_interpreter.pressed(document, place, pressed)
        case "record":
            _keep_recording(attempt, request, written, now)
            return flow_interpreter.recorded(document, place)
    outcome = request.POST.get("DialCallStatus", "")
    transfers.end(attempt, written, outcome, whole_seconds(request.POST.get("DialCallDuration")), now)
    was_taken = transfers.OUTCOMES.get(outcome) == Outcome.COMPLETED
    return flow_interpreter.connected(document, place, was_taken=was_taken)


def _keep_recording(attempt: CallAttempt, request: HttpRequest, place: str, now: datetime) -> None:
    """Keep where a recording is that the carrier has made. It tells so twice, and in any order."""
    url, seconds = request.POST.get("RecordingUrl", ""), whole_seconds(request.POST.get("RecordingDuration"))
    if _WEB_ADDRESS.fullmatch(url) and seconds:
        recordings.keep(attempt.pk, place, url, seconds, now)


def _first(document: Mapping[str, Any], campaign: Campaign, heard: str) -> list[Action]:
    """Return what happens when the call is answered, by a person as far as is known."""
    if heard == CallAttempt.AnsweredBy.MACHINE:
        match campaign.machine_detection:
            case Campaign.MachineDetection.HANG_UP:
                return [HangUp()]
            case Campaign.MachineDetection.LEAVE_MESSAGE:
                return flow_interpreter.message(document)
    return flow_interpreter.start(document)


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
