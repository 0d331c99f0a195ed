"""One sweep of recovery at a time, and none for ever: the turn ends by itself, whatever becomes of its process."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.installation import Installation, load
from core import liveness
from dialer import recovery, sweep_lease
from tests.conftest import Rig

pytestmark = pytest.mark.usefixtures("redis")


def test_no_sweep_begins_while_another_one_is_at_work(rig: Rig):
    rig.campaign(1)
    with sweep_lease.turn(timezone.now()) as turn, sweep_lease.turn(timezone.now()) as second:
        assert turn is not None
        assert second is None
        rig.tick()
        assert rig.recover() == recovery.Repairs()
    assert load().sweep_until is None


def test_the_turn_of_a_sweep_that_died_ends_by_itself(rig: Rig):
    turn = sweep_lease.turn(timezone.now())
    turn.__enter__()
    rig.clock.shift(sweep_lease.lifetime())
    with sweep_lease.turn(timezone.now()) as next_one:
        assert next_one is not None


def test_a_sweep_that_was_away_for_too_long_does_not_go_on(rig: Rig):
    with sweep_lease.turn(timezone.now()) as slow:
        rig.clock.shift(sweep_lease.lifetime())
        with sweep_lease.turn(timezone.now()) as next_one:
            assert slow is not None
            assert next_one is not None
            assert not slow.renew()
            assert next_one.renew()
        assert load().sweep_until is None


def test_a_sweep_that_renews_its_turn_keeps_it(rig: Rig):
    with sweep_lease.turn(timezone.now()) as turn:
        assert turn is not None
        rig.clock.shift(sweep_lease.lifetime() / 2)
        assert turn.renew()
        rig.clock.shift(sweep_lease.lifetime() / 2)
        with sweep_lease.turn(timezone.now()) as second:
            assert second is None


def test_a_sweep_that_has_looked_at_the_clock_before_the_turn_was_renewed_takes_nothing(rig: Rig):
    looked_at = timezone.now()
    with sweep_lease.turn(timezone.now()) as turn:
        assert turn is not None
        rig.clock.shift(timedelta(seconds=2))
        assert turn.renew()
        with sweep_lease.turn(looked_at) as second:
            assert second is None


def test_a_clock_that_was_set_back_stops_no_sweep(rig: Rig):
    Installation.objects.update_or_create(pk=1, defaults={"sweep_until": timezone.now() + timedelta(hours=1)})
    with sweep_lease.turn(timezone.now()) as turn:
        assert turn is not None


def test_a_sweep_is_progress_of_its_own(rig: Rig, redis):
    liveness._noted_at.clear()
    rig.recover()
    assert liveness.seconds_since(liveness.RECOVERY) is not None
    assert load().alive_at == timezone.now()


def test_a_sweep_that_fails_gives_its_turn_back(rig: Rig, monkeypatch):
    def fails(_):
        raise RuntimeError

    monkeypatch.setattr(recovery, "_reconcile_leases", fails)
    with pytest.raises(RuntimeError):
        rig.recover()
    assert load().sweep_until is None
