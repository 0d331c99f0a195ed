"""A database that is older than what was dialed from it is noticed before anybody is rung again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.installation import Installation, load
from core.redis_client import redis_client
from dialer import holds, redis_owner, restores
from dialer.holds import Because
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, Rig, states
from tests.dialer.restored import installation, turn_back
from tests.factories import ACTOR


@pytest.fixture
def rig(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The dialer, which has forgotten what it looked at in the last test."""
    monkeypatch.setattr(restores._looked, "last", None, raising=False)
    return rig


def new_processes() -> None:
    """Forget what this thread has looked at, as a process does that is started."""
    restores._looked.last = None


def test_a_backup_that_lacks_calls_starts_held_and_rings_nobody(rig: Rig):
    campaign = rig.campaign(3)
    rig.recover()
    backup = installation()
    rig.later(seconds=1)
    assert len(rig.rings()) == 3
    turn_back(campaign, installation=backup)
    new_processes()
    rig.later(seconds=30)
    held = holds.current()
    assert held is not None
    assert held.held_because == Because.RESTORED
    assert "lacks 3 calls" in held.held_why
    assert held.missing_since == backup["alive_at"] - holds.BEFORE
    assert len(rig.rings()) == 3
    assert set(states(campaign).values()) == {"created"}


def test_an_attempt_that_the_backup_has_as_claimed_is_missed_too(rig: Rig):
    """Its row is there, and what became of it is not: the last call of a campaign leaves no younger one behind."""
    rig.campaign(1)
    rig.tick()
    CallAttempt.objects.update(status="claimed", placing_at=None, ended_at=None, carrier_account=None)
    assert restores.check(timezone.now()).held_since is None
    assert holds.current() is not None


def test_a_live_restore_is_noticed_within_seconds_without_a_new_connection(rig: Rig):
    campaign = rig.campaign(3)
    rig.recover()
    backup = installation()
    rig.later(seconds=1)
    turn_back(campaign, installation=backup)
    rig.later(seconds=restores.LOOKS_EVERY)
    assert holds.current() is not None
    assert len(rig.rings()) == 3


def test_what_was_found_whole_may_be_deleted(rig: Rig):
    campaign = rig.campaign(2)
    rig.tick()
    rig.recover()
    turn_back(campaign, installation=installation())  # as retention does, days later
    new_processes()
    rig.recover()
    assert holds.current() is None


def test_calls_go_on_when_nothing_is_missing(rig: Rig):
    rig.campaign(3)
    rig.tick()
    rig.clock.shift(timedelta(minutes=1))
    new_processes()
    rig.campaign(NUMBERS[3:5])
    rig.later(seconds=1)
    assert len(rig.rings()) == 5
    assert holds.current() is None


def test_a_copy_of_the_database_is_held_where_redis_has_no_notes(rig: Rig):
    rig.campaign(1)
    rig.tick()
    rig.recover()
    redis_client().flushdb()
    Installation.objects.update(identity="of/another/database/1")
    rig.recover()
    held = holds.current()
    assert held is not None
    assert held.held_because == Because.DOUBTFUL


def test_a_copy_of_the_database_goes_on_where_redis_says_that_it_is_whole(rig: Rig):
    """A dump that was restored on purpose, to move the database, or a replica that was promoted."""
    rig.campaign(1)
    rig.tick()
    rig.recover()
    Installation.objects.update(identity="of/another/database/1")
    redis_client().delete("installation")  # the old one was not seen for a while
    rig.recover()
    assert holds.current() is None
    assert load().identity == restores._identity()


def test_an_emptied_redis_alone_holds_nothing(rig: Rig):
    campaign = rig.campaign(2)
    rig.tick()
    rig.recover()
    redis_client().flushdb()
    new_processes()
    later = rig.campaign(NUMBERS[2:3])
    rig.later(seconds=10)
    assert holds.current() is None
    assert set(states(campaign).values()) | set(states(later).values()) == {"completed"}


def test_a_released_server_is_not_held_again_for_the_same_calls(rig: Rig):
    campaign = rig.campaign(2)
    rig.recover()
    backup = installation()
    rig.later(seconds=1)
    turn_back(campaign, installation=backup)
    rig.recover()
    assert holds.release(actor=ACTOR, now=timezone.now(), force="a test")
    new_processes()
    rig.recover()
    assert holds.current() is None


def test_as_many_intents_are_kept_as_a_backup_may_lack_last(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(restores, "NOTED", 2)
    rig.campaign(3)
    rig.tick()
    assert redis_client().zcard("intents") == 2


# Two systems at one Redis ---------------------------------------------------------------------------------------------


@pytest.fixture
def _guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_owner, "GONE_AFTER", 30)


def other_system() -> None:
    """Let another installation use this Redis."""
    redis_client().delete("installation")
    redis_owner.take("another/1/2")


@pytest.mark.usefixtures("_guarded")
def test_a_system_dials_nothing_while_another_one_has_its_redis(rig: Rig):
    campaign = rig.campaign(2)
    rig.recover()
    other_system()
    new_processes()
    rig.tick()
    assert rig.recover().leaked == 0
    assert rig.rings() == []
    assert set(states(campaign).values()) == {"created"}
    with pytest.raises(redis_owner.OwnedByAnother, match=r"installation another, seen \d+ s ago"):
        restores.check(timezone.now())


def test_the_place_of_a_system_that_has_gone_is_taken(rig: Rig):
    rig.campaign(2)
    other_system()
    new_processes()
    rig.tick()
    assert len(rig.rings()) == 2


@pytest.mark.usefixtures("_guarded")
def test_the_first_one_keeps_its_redis(rig: Rig):
    rig.recover()
    with pytest.raises(redis_owner.OwnedByAnother):
        redis_owner.take("another/1/2")
    rig.campaign(1)
    rig.tick()
    assert len(rig.rings()) == 1
