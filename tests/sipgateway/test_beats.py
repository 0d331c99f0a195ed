"""What the silence of a gateway proves: that it is dead, once others were at work for long enough meanwhile."""

from uuid import uuid4

import pytest
from django.utils import timezone

from sipgateway import beats, records
from sipgateway.models import Gateway
from tests.sipgateway.test_records import Status, call

pytestmark = pytest.mark.django_db


class Run:
    """A gateway, from its start to its death, which beats when the test says so."""

    def __init__(self):
        now = timezone.now()
        self.row = Gateway(pk=uuid4(), address="a:5060", started_at=now, beat_at=now)
        self.since = None

    def beat(self):
        self.since = beats.beat(self.row, self.since, timezone.now())


@pytest.fixture
def work(clock, uptime):
    """Lets gateways be at work for some seconds, each of them beating once a second."""

    def go_on(seconds, *gateways):
        for second in range(seconds + 1):
            clock.shift(1 if second else 0)
            uptime.seconds += 1 if second else 0
            for gateway in gateways:
                gateway.beat()

    return go_on


@pytest.fixture
def left(clock):
    """A call of a gateway that has died with it."""
    dead = Run()
    dead.beat()
    return call(timezone.now(), status=Status.RINGING, gateway_id=dead.row.pk)


def is_lost(row, watch=None):
    return [lost.pk for lost in records.lost(timezone.now(), watch=watch)] == [row.pk]


def test_a_gateway_is_dead_when_it_is_silent_while_another_one_is_at_work(left, work):
    other = Run()
    work(14, other)
    assert not is_lost(left)
    work(1, other)
    assert is_lost(left)


def test_silence_proves_nothing_while_nobody_could_speak(clock, left, work):
    """The database was away for an hour: the first gateway that is back does not take the others for dead."""
    clock.shift(3600)
    first_back = Run()
    work(14, first_back)
    assert not is_lost(left)
    work(1, first_back)
    assert is_lost(left)


def test_gateways_that_die_one_after_another_end_the_calls_of_those_before_them(clock, left, work):
    """A gateway that crashes in a loop lives for less than the fifteen seconds that one needs alone."""
    for _ in range(5):
        clock.shift(4)
        assert not is_lost(left)
        work(3, Run())
    assert is_lost(left)


def test_two_gateways_at_work_side_by_side_count_once(clock, left, work):
    clock.shift(10)
    work(8, Run(), Run())
    assert not is_lost(left)


def test_what_was_said_before_a_gateway_fell_silent_does_not_count(clock, left, work):
    """The older of two: it was at work for an hour when the other one began, and dies then, too."""
    old = Run()
    work(60, old)
    young = Run()
    young.beat()
    row = call(timezone.now(), status=Status.RINGING, gateway_id=young.row.pk)
    clock.shift(100)
    assert row.pk not in [lost.pk for lost in records.lost(timezone.now())]


def test_a_gateway_that_was_away_itself_waits_again_for_the_others(clock, left, work):
    """The machine of both was suspended, say, or the clock was set."""
    suspended = Run()
    work(60, suspended)
    row = call(timezone.now(), status=Status.RINGING, gateway_id=left.gateway_id)
    Gateway.objects.filter(pk=left.gateway_id).update(beat_at=timezone.now())
    clock.shift(3600)
    work(14, suspended)
    assert not records.lost(timezone.now())
    work(1, suspended)
    assert {lost.pk for lost in records.lost(timezone.now())} == {left.pk, row.pk}


def test_a_gateway_that_stopped_has_left_its_calls_at_once(left):
    beats.stop(Gateway.objects.get(), timezone.now())
    assert is_lost(left)


def test_a_clock_that_was_ahead_has_left_nothing_that_proves_silence(clock, work):
    """PostgreSQL's was, by an hour, when a gateway was at work for a minute."""
    clock.shift(3600)
    work(60, Run())
    clock.shift(-3660)
    silent, first_back = Run(), Run()
    work(20, silent, first_back)
    row = call(timezone.now(), status=Status.RINGING, gateway_id=silent.row.pk)
    clock.shift(20)
    work(14, first_back)
    assert not is_lost(row)
    work(1, first_back)
    assert is_lost(row)


def test_a_gateway_that_beats_by_a_clock_far_behind_is_not_dead(clock, uptime, work):
    """After a failover to a database whose clock is behind: one has measured it, and the other has not."""
    behind, other = Run(), Run()
    work(60, behind, other)
    row = call(timezone.now(), status=Status.RINGING, gateway_id=behind.row.pk)
    watch = beats.Watch()
    for _ in range(10):
        clock.shift(-20)
        behind.beat()
        clock.shift(20)
        work(1, other)
        assert not is_lost(row, watch)
    assert is_lost(row), "by the times alone it is"
    work(2, other)
    assert not is_lost(row, watch)
    work(1, other)
    assert is_lost(row, watch)


def test_a_watch_of_one_who_was_there_all_the_time_costs_no_time(left, work):
    other = Run()
    watch = beats.Watch()
    for _ in range(14):
        work(1, other)
        assert not is_lost(left, watch)
    work(1, other)
    assert is_lost(left, watch)
