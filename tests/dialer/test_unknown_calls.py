"""A restore that leaves no trace here is noticed by what carriers know: their lists of calls, and their events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.installation import Installation, load
from campaigns.models import Call, Campaign
from core.redis_client import redis_client
from dialer import holds, inbox, restores, unknown_calls
from dialer.carriers.base import CantList, Listed, NoReply
from dialer.holds import Because
from dialer.inbox import Incoming
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig, states
from tests.dialer.restored import installation, turn_back
from tests.factories import ACTOR, CallAttemptFactory, CallerIdFactory

Lists = Callable[[datetime], Iterator[Sequence[Listed]]]


@pytest.fixture
def rig(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The dialer, which has forgotten what it looked at in the last test, and waits for no carrier."""
    monkeypatch.setattr(restores._looked, "last", None, raising=False)
    monkeypatch.setattr(unknown_calls, "PAUSES", (0.0, 0.0, 0.0))
    return rig


@pytest.fixture
def asked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Since when the carrier was asked for its calls, each time. It looks ten minutes back, as drivers do."""
    times: list[datetime] = []
    lists: Lists = rig.carrier.list_calls

    def noted(since: datetime) -> Iterator[Sequence[Listed]]:
        times.append(since)
        return lists(since - timedelta(minutes=10))

    monkeypatch.setattr(rig.carrier, "list_calls", noted)
    return times


def new_processes() -> None:
    restores._looked.last = None


def put_back(rig: Rig, numbers: int = 3):
    """Dial a campaign, and put the disk of PostgreSQL back to the moment before. Returns campaign and installation."""
    campaign = rig.campaign(numbers)
    rig.recover()
    backup = installation()
    rig.later(seconds=1)
    assert len(rig.rings()) == numbers
    turn_back(campaign, installation=backup)
    new_processes()
    return campaign, backup


# Lists ---------------------------------------------------------------------------------------------------------------


def test_a_disk_that_was_put_back_is_noticed_where_redis_was_emptied(rig: Rig):
    campaign, backup = put_back(rig)
    redis_client().flushdb()
    rig.later(seconds=5)
    held = holds.current()
    assert held is not None
    assert held.held_because == Because.RESTORED
    assert held.held_why.startswith("simulated has made 3 calls or more since")
    assert held.missing_since == backup["looked_at"] - holds.BEFORE
    assert len(rig.rings()) == 3
    assert set(states(campaign).values()) == {"created"}


def test_a_machine_that_was_put_back_with_its_redis_is_noticed_by_its_standstill(rig: Rig):
    put_back(rig)
    redis_client().delete("intents")  # as it was then
    rig.later(minutes=10)
    held = holds.current()
    assert held is not None
    assert "3 calls or more" in held.held_why
    assert len(rig.rings()) == 3


def test_it_is_noticed_where_nothing_is_due(rig: Rig):
    put_back(rig)
    redis_client().flushdb()
    rig.recover()
    assert holds.current() is not None


def test_an_attempt_that_the_backup_has_as_claimed_is_noticed_too(rig: Rig):
    campaign, _ = put_back(rig, 1)
    redis_client().flushdb()
    CallAttemptFactory(call=campaign.calls.get(), account=rig.account, trunk=rig.trunk)
    campaign.calls.update(status="in-progress")
    rig.dial()
    assert holds.current() is not None
    assert len(rig.rings()) == 1


def test_carriers_are_asked_once_after_a_standstill_and_not_while_all_goes_on(rig: Rig, asked):
    rig.campaign(1)
    rig.recover()
    started = load().looked_at
    assert started is not None
    rig.later(seconds=20)
    assert asked == []
    seen = load().looked_at
    rig.clock.shift(timedelta(minutes=5))
    rig.recover()
    rig.tick()
    assert asked == [seen]
    assert not load().must_ask
    redis_client().flushdb()
    rig.recover()
    rig.recover()
    assert len(asked) == 2
    assert holds.current() is None


def test_nothing_is_dialed_before_another_process_has_asked(rig: Rig, asked):
    campaign = rig.campaign(1)
    rig.recover()
    rig.clock.shift(timedelta(minutes=5))
    assert restores.look(timezone.now(), at_once=True)
    Installation.objects.update(asking_until=timezone.now() + timedelta(seconds=10))
    rig.tick()
    assert (rig.rings(), asked) == ([], [])
    rig.later(seconds=15)  # it died
    rig.tick()
    assert len(asked) == 1
    assert set(states(campaign).values()) == {"completed"}


def listed(rig: Rig, **changes) -> None:
    """Let the carrier list one call more, like the last one that was rung, half a minute ago."""
    [(request, entry, _)] = rig.carrier.listed[-1:]
    rig.carrier.listed.append((replace(request, attempt_id=uuid4(), **changes), entry, timezone.now()))


def other_caller_id(rig: Rig) -> None:
    listed(rig, number=NUMBERS[4], caller_id="+918011111111")


def not_the_campaigns_caller_id(rig: Rig) -> None:
    other = CallerIdFactory(account=rig.account, trunk=rig.trunk)
    listed(rig, number=NUMBERS[4], caller_id=other.number)


def number_that_waits_nowhere(rig: Rig) -> None:
    listed(rig, number="+919833333333")


def number_that_was_called(rig: Rig) -> None:
    listed(rig)


def call_from_before(rig: Rig) -> None:
    listed(rig, number=NUMBERS[4])
    request, entry, _ = rig.carrier.listed.pop()
    rig.carrier.listed.append((request, entry, timezone.now() - timedelta(minutes=9)))


def lost_reply(rig: Rig) -> None:
    """An attempt whose reply was lost: the carrier's id of its call is not known here."""
    CallAttempt.objects.update(carrier_ref="")
    later = timezone.now() + timedelta(hours=1)
    waits = {"status": "retrying", "ended_at": None, "end_reason": "", "next_attempt_at": later}
    Call.objects.filter(attempts__isnull=False).update(**waits)
    Campaign.objects.filter(calls__attempts__isnull=False).update(status="in-progress", ended_at=None)


@pytest.mark.parametrize(
    "lists",
    [
        other_caller_id,
        not_the_campaigns_caller_id,
        number_that_waits_nowhere,
        number_that_was_called,
        call_from_before,
        lost_reply,
    ],
)
def test_what_would_not_be_rung_again_holds_nothing(rig: Rig, asked, lists):
    rig.campaign(1)
    rig.tick()
    rig.recover()
    waits = rig.campaign(NUMBERS[4:5], send_at=timezone.now() + timedelta(hours=1))
    lists(rig)
    rig.clock.shift(timedelta(minutes=1))
    rig.recover()
    assert len(asked) == 1
    assert holds.current() is None
    assert set(states(waits).values()) == {"created"}


def test_a_call_that_another_system_made_holds_where_it_would_be_made_again(rig: Rig, asked):
    """It can't be told from one of ours. The operator reads so in the reason."""
    rig.campaign(1)
    rig.tick()
    rig.recover()
    rig.campaign(NUMBERS[4:5], send_at=timezone.now() + timedelta(hours=1))
    listed(rig, number=NUMBERS[4])
    rig.clock.shift(timedelta(minutes=1))
    rig.recover()
    held = holds.current()
    assert held is not None
    assert "unless another system calls them" in held.held_why


@pytest.mark.parametrize("error", [CantList("HTTP 403"), NoReply("no reply")])
def test_a_carrier_that_tells_nothing_keeps_nobody_from_dialing(rig: Rig, monkeypatch, error):
    tries = []

    def lists(since: datetime) -> Iterator[Sequence[Listed]]:
        tries.append(since)
        raise error

    monkeypatch.setattr(rig.carrier, "list_calls", lists)
    campaign = rig.campaign(1)
    rig.recover()
    rig.later(minutes=5)
    assert len(tries) == (len(unknown_calls.PAUSES) if isinstance(error, NoReply) else 1)
    assert set(states(campaign).values()) == {"completed"}


def test_a_carrier_that_was_silent_at_first_is_asked_again(rig: Rig, monkeypatch):
    put_back(rig)
    lists: Lists = rig.carrier.list_calls
    replies = iter([NoReply("no reply"), NoReply("HTTP 503"), None])

    def flaky(since: datetime) -> Iterator[Sequence[Listed]]:
        if error := next(replies):
            raise error
        return lists(since)

    monkeypatch.setattr(rig.carrier, "list_calls", flaky)
    redis_client().flushdb()
    rig.tick()
    assert holds.current() is not None
    assert len(rig.rings()) == 3


def test_carriers_are_not_asked_for_longer_than_half_a_minute(rig: Rig, asked, monkeypatch):
    monkeypatch.setattr(unknown_calls, "ASKED_FOR", -1.0)
    rig.recover()
    rig.later(minutes=5)
    rig.recover()
    assert asked == []
    assert not load().must_ask


def test_an_operators_hold_becomes_that_of_a_restore(rig: Rig):
    put_back(rig)
    redis_client().flushdb()
    holds.hold(Because.OPERATOR, "we restore", actor=ACTOR, now=timezone.now())
    rig.recover()
    assert load().held_because == Because.RESTORED


# Events --------------------------------------------------------------------------------------------------------------


def made(at: datetime) -> UUID:
    """Return an attempt's id as it is made at that moment."""
    return UUID(f"{int(at.timestamp() * 1000):012x}{uuid7().hex[12:]}")


def comes(rig: Rig, attempt_id: UUID) -> None:
    inbox.store([Incoming("simulated", attempt_id, {"status": "completed", "ref": "of-before"})])
    rig.settle()


def test_an_event_of_a_call_that_was_never_dialed_here_holds_the_server(rig: Rig):
    now = timezone.now()
    last = CallAttemptFactory(completed=True, id=made(now - timedelta(minutes=40)))
    CallAttemptFactory(completed=True, id=made(now - timedelta(seconds=1)))  # since the restore
    comes(rig, made(now - timedelta(minutes=2)))
    held = holds.current()
    assert held is not None
    assert held.held_because == Because.RESTORED
    assert "carriers tell of 1 calls" in held.held_why
    missing = now - timedelta(minutes=40) - holds.BEFORE
    assert held.missing_since is not None
    assert abs(held.missing_since - missing) < timedelta(seconds=1)
    rig.campaign(1)
    rig.tick()
    assert rig.rings() == []
    assert CallAttempt.objects.get(pk=last.pk).status == "completed"


def test_an_event_of_a_call_that_is_a_mere_claim_holds_the_server(rig: Rig):
    attempt = CallAttemptFactory(id=made(timezone.now()))
    comes(rig, attempt.pk)
    assert holds.current() is not None


@pytest.mark.parametrize(
    "age",
    [timedelta(hours=2), timedelta(days=40), -timedelta(hours=1), None],
    ids=["after the longest call", "purged", "of the future", "no time"],
)
def test_an_event_of_an_attempt_that_may_have_been_deleted_holds_nothing(rig: Rig, age):
    comes(rig, uuid4() if age is None else made(timezone.now() - age))
    assert holds.current() is None


def test_events_of_lost_calls_that_come_after_the_release_hold_nothing(rig: Rig):
    lost = made(timezone.now())
    comes(rig, lost)
    rig.clock.shift(timedelta(minutes=1))
    assert holds.release(actor=ACTOR, now=timezone.now(), force="a test")
    comes(rig, lost)
    assert holds.current() is None
    comes(rig, made(timezone.now() + timedelta(seconds=1)))
    assert holds.current() is not None


def test_so_do_those_after_a_reconciliation_of_a_hold_by_hand(rig: Rig):
    now = timezone.now()
    holds.hold(Because.OPERATOR, "we restore", actor=ACTOR, now=now)
    Installation.objects.update(reconciled_at=now)
    rig.clock.shift(timedelta(minutes=1))
    assert holds.release(actor=ACTOR, now=timezone.now())
    comes(rig, made(now))
    assert holds.current() is None


def test_events_of_our_calls_hold_nothing(rig: Rig):
    attempt = CallAttemptFactory(in_progress=True, id=made(timezone.now()))
    comes(rig, attempt.pk)
    comes(rig, attempt.pk)
    assert holds.current() is None


def test_a_backup_without_any_call_is_as_old_as_its_last_sign_of_life(rig: Rig):
    now = timezone.now()
    Installation.objects.update_or_create(defaults={"stopped_at": now - timedelta(minutes=30)})
    comes(rig, made(now - timedelta(minutes=2)))
    assert load().missing_since == now - timedelta(minutes=30) - holds.BEFORE


def test_without_one_a_day_is_asked_for(rig: Rig):
    now = timezone.now()
    comes(rig, made(now))
    missing = load().missing_since
    assert missing is not None
    assert abs(now - timedelta(days=1) - holds.BEFORE - missing) < timedelta(seconds=1)
