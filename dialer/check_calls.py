"""A call of a person of ours, to see a trunk at work: dialed like any other, and followed to its end.

It is a campaign of one number, so hours, lists, limits and every process are what real calls meet.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.audit import Actor
from accounts.models import Account, CallerId, Trunk
from campaigns import flows, lifecycle, spoken_text
from campaigns.models import Campaign, Flow
from contacts import numbers
from core import clocks
from core.errors import InvalidRequest, WrongState
from dialer import carrier_accounts, hang_ups, holds
from dialer.carriers.base import CantTell, Event, Placed
from dialer.diagnosis.campaigns import of_campaign
from dialer.models import CallAttempt
from dialer.trunk_check import Step

FLOW_ID = "trunkline-test-call"
# Goes on after the key, so that the server has something to hang up.
FLOW = {
    "steps": [
        {
            "gather": {
                "prompt": [{"say": "This is a test call of your own server. Press any key."}],
                "attempts": 4,
                "branches": {key: [{"say": "Thank you."}] for key in spoken_text.KEYS},
            }
        },
        {"say": "Please stay on the line. The server hangs up within half a minute."},
        {"gather": {"timeout": 60, "branches": {"*": [{"hangup": True}]}}},
    ]
}
# How long to wait for a dialer, for news of a call after each other, for a key, and for the end after a hang-up.
DISPATCHED_WITHIN = timedelta(seconds=30)
NEWS_WITHIN = timedelta(seconds=150)
PRESSED_WITHIN = timedelta(seconds=40)
HANGS_UP_WITHIN = timedelta(seconds=15)


def call(trunk: Trunk, number: str, *, flow_url: str, actor: Actor, wait: Callable[[], None]) -> Iterator[Step]:
    """Call a number over the trunk, and yield what is seen, step by step.

    Args:
        flow_url: the address of a flow, where the carrier runs flows of its own account; else "".
        wait: lets a moment pass between two looks.
    """
    if held := holds.current():
        yield Step("call", False, f"the server is held, and dials nothing: {held.held_why}")
        return
    lines = CallerId.objects.select_related("account", "trunk").filter(trunk=trunk, is_active=True)
    line = lines.order_by("pk").first()
    if line is None:
        yield Step("call", False, "no active caller ID calls over it now")
        return
    try:
        [callee] = numbers.parse_all([number], line.account.region)
        campaign = _campaign(line, callee, flow_url, actor)
    except numbers.InvalidNumber as invalid:
        yield Step("call", False, f"{number} is not a number: {invalid.reason or 'write it as +919810012345'}")
        return
    except InvalidRequest as refused:
        yield Step("call", False, str(refused))
        return
    yield Step("call", True, f"calling from {line.number} for the account {line.account.sid}")
    try:
        yield from _follow(campaign, wait)
    finally:
        _end(campaign, actor)


def _campaign(line: CallerId, number: str, flow_url: str, actor: Actor) -> Campaign:
    if not flow_url and not line.trunk.kind.runs_our_flows:
        raise InvalidRequest("calls over this trunk run flows of the carrier's own account: name one by --flow-url")
    flow = flows.find_flow(line.account, flow_url) if flow_url else _own_flow(line.account, actor)
    return lifecycle.create(
        line.account,
        numbers=[number],
        now=clocks.now(),
        actor=actor,
        name="test call",
        caller_id=line,
        caller_id_given=line.number,
        flow=flow,
        flow_url=flow_url or f"{settings.PUBLIC_URL}/{line.account.sid}/exoml/start_voice/{FLOW_ID}",
    )


def _own_flow(account: Account, actor: Actor) -> Flow:
    """Return the flow of test calls, which the account gets with the first one."""
    flow = Flow.objects.filter(account=account, flow_id=FLOW_ID).first()
    if flow is not None and flow.document == FLOW:
        return flow
    with transaction.atomic():
        verb = audit.Verb.CHANGED if flow else audit.Verb.CREATED
        flow, _ = Flow.objects.update_or_create(account=account, flow_id=FLOW_ID, defaults={"document": FLOW})
        audit.record(actor, verb, flow)
    return flow


def _follow(campaign: Campaign, wait: Callable[[], None]) -> Iterator[Step]:
    placed = _until(campaign, wait, DISPATCHED_WITHIN, lambda attempt: attempt.placing_at is not None)
    if placed is None:
        yield Step("dialed", False, f"nobody dialed it: {of_campaign(campaign, clocks.now()).summary}")
        return
    taken = _until(campaign, wait, DISPATCHED_WITHIN, lambda attempt: attempt.status != CallAttempt.Status.PLACING)
    if taken is None or taken.status == CallAttempt.Status.CANCELED or taken.http_status:
        yield Step("taken", False, taken.reason if taken else "the carrier has not replied")
        return
    yield Step("taken", True, f"the carrier has it, under {taken.carrier_ref or 'an id that its events will bring'}")
    up = _until(campaign, wait, NEWS_WITHIN, lambda attempt: bool(attempt.answered_at or attempt.ended_at))
    if up and not up.ended_at:
        yield from _hung_up(campaign, wait)
    ended = _until(campaign, wait, NEWS_WITHIN if up else timedelta(), lambda attempt: attempt.ended_at is not None)
    if ended is None:
        yield Step("events", False, "no event has told of its end: does the carrier reach EVENTS_URL?")
        return
    yield Step("events", True, f"its end was told: {ended.status}, {ended.duration_seconds or 0} s of conversation")
    if ended.answered_at:
        yield _keys(ended)
    yield _looked_up(ended)


def _keys(ended: CallAttempt) -> Step:
    if ended.digits:
        return Step("keys", True, f"pressed: {ended.digits}")
    if ended.trunk.kind.reports_keys:
        return Step("keys", False, "no key came")
    how = f"a Passthru applet behind each menu of the flow sends them: `manage.py passthru_address {ended.trunk}`"
    return Step("keys", False, f"no key came: {how}")


def _hung_up(campaign: Campaign, wait: Callable[[], None]) -> Iterator[Step]:
    """Hang up a conversation, once a key has come or should have."""
    up = _until(campaign, wait, PRESSED_WITHIN, lambda attempt: bool(attempt.digits or attempt.ended_at))
    up = up or CallAttempt.objects.filter(campaign=campaign).order_by("pk").last()
    if up is None or up.ended_at:
        yield Step("hang-up", True, "not tried: the call had ended before. To try it, call again and stay on the line")
        return
    assert up.carrier_account is not None  # it has the call
    if not hang_ups.ask(carrier_accounts.carrier_of(up.carrier_account, up.trunk), [up.carrier_ref]):
        yield Step("hang-up", True, f"not tried: {up.trunk.kind.label} ends no calls. Hang up yourself")
        return
    ended = _until(campaign, wait, HANGS_UP_WITHIN, lambda attempt: attempt.ended_at is not None)
    seconds = int(HANGS_UP_WITHIN.total_seconds())
    yield Step(
        "hang-up",
        ended is not None,
        "the call ended when this server hung up"
        if ended
        else f"the call was up {seconds} s after it was to be hung up",
    )


def _until(
    campaign: Campaign, wait: Callable[[], None], patience: timedelta, has_come: Callable[[CallAttempt], bool]
) -> CallAttempt | None:
    """Return the newest attempt once it is so; None if it was not in time."""
    deadline: datetime = clocks.now() + patience
    while True:
        attempt = CallAttempt.objects.filter(campaign=campaign).order_by("pk").last()
        if attempt and has_come(attempt):
            return attempt
        if clocks.now() > deadline:
            return None
        wait()


def _looked_up(attempt: CallAttempt) -> Step:
    assert attempt.carrier_account is not None
    assert attempt.placing_at is not None
    placed = Placed(
        attempt.pk,
        attempt.callee,
        attempt.campaign.caller_id.number,
        attempt.placing_at,
        attempt.carrier_ref,
    )
    match carrier_accounts.carrier_of(attempt.carrier_account, attempt.trunk).look_up([placed])[attempt.pk]:
        case Event(status=status) if status == attempt.status:
            return Step("look-up", True, f"the carrier shows it as {status}")
        case Event(status=status):
            return Step("look-up", False, f"the carrier shows it as {status}, and its event said {attempt.status}")
        case CantTell(reason):
            return Step("look-up", False, f"the carrier can't say what became of it: {reason}")
    return Step("look-up", False, "the carrier knows no such call")


def _end(campaign: Campaign, actor: Actor) -> None:
    """Call the number no more, whatever was seen."""
    for verb in (lifecycle.pause, lifecycle.complete):
        try:
            verb(campaign, actor=actor)
        except WrongState:
            return
