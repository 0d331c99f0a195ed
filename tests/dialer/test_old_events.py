"""Settled events lose their payloads after some days and their rows after a month. What they changed stays."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dialer import inbox, old_events
from dialer.models import CallAttempt, CarrierEvent
from tests.conftest import NUMBERS, START
from tests.factories import CarrierEventFactory

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(old_events, "SLICE", 3)


def events(*ages: float | None, **columns) -> list[CarrierEvent]:
    """Events that were handled so many days ago; None: not yet."""
    now = timezone.now()
    handled = [None if age is None else now - age * DAY for age in ages]
    rows = [
        CarrierEvent(attempt_id=f"{n:032x}", carrier="exotel", payload={"n": n}, handled_at=at, **columns)
        for n, at in enumerate(handled)
    ]
    return CarrierEvent.objects.bulk_create(rows)


def with_payload() -> list[int]:
    rows = CarrierEvent.objects.filter(payload__isnull=False).order_by("id")
    return [row.payload["n"] for row in rows if row.payload]


@pytest.mark.django_db
class TestPayloads:
    def test_they_are_removed_three_days_after_the_event_was_handled(self, clock):
        events(40, 9, 5, 3.01, 3, 2.9, 0)
        assert list(old_events.remove_payloads(timezone.now())) == [3, 1]
        assert with_payload() == [4, 5, 6]

    def test_the_row_and_its_outcome_stay(self, clock):
        events(5, error="no field 'Status'")
        list(old_events.remove_payloads(timezone.now()))
        [row] = CarrierEvent.objects.all()
        assert (row.handled_at, row.error, row.payload) == (START - 5 * DAY, "no field 'Status'", None)

    def test_one_that_is_not_handled_keeps_its_payload_however_old(self, clock):
        CarrierEvent.objects.filter(pk__in=[row.pk for row in events(5, None, 5)]).update(received_at=START - 9 * DAY)
        list(old_events.remove_payloads(timezone.now()))
        assert with_payload() == [1, 2]
        CarrierEvent.objects.filter(handled_at=None).update(handled_at=START - 4 * DAY)
        list(old_events.remove_payloads(timezone.now()))
        assert with_payload() == []

    def test_the_setting_says_for_how_long(self, clock, settings):
        settings.EVENT_PAYLOADS_KEPT_DAYS = 0.5
        events(0.6, 0.4)
        list(old_events.remove_payloads(timezone.now()))
        assert with_payload() == [1]

    def test_a_later_turn_begins_where_the_earlier_one_stopped(self, clock):
        events(*[5] * 10)
        next(old_events.remove_payloads(timezone.now()))
        assert with_payload() == list(range(3, 10))
        assert sum(old_events.remove_payloads(timezone.now())) == 7

    @pytest.mark.parametrize("gap", [0, 1, 2, 7, 12])
    def test_the_place_is_found_among_ids_with_gaps(self, clock, gap):
        rows = events(*[5] * 13)
        CarrierEvent.objects.filter(pk=rows[gap].pk).delete()
        assert sum(old_events.remove_payloads(timezone.now())) == 12
        events(0)
        assert list(old_events.remove_payloads(timezone.now())) == []

    def test_an_empty_inbox_has_nothing_to_remove(self, clock):
        assert list(old_events.slices(timezone.now())) == []

    def test_a_slice_is_as_many_statements_as_it_is_small(self, clock, monkeypatch):
        statements = []
        for size in (2, 50):
            events(*[5] * 60)
            monkeypatch.setattr(old_events, "SLICE", size)
            work = old_events.remove_payloads(timezone.now())
            next(work)
            with CaptureQueriesContext(connection) as made:
                next(work)
            statements.append(len(made))
            CarrierEvent.objects.all().delete()
        assert statements[0] == statements[1]

    def test_the_estimate_counts_those_that_would_go(self, clock):
        events(*[9] * 4, *[4] * 6, *[1] * 5)
        assert old_events.estimate_payloads(timezone.now() - 3 * DAY) == 10
        list(old_events.remove_payloads(timezone.now()))
        assert old_events.estimate_payloads(timezone.now() - 3 * DAY) == 0


@pytest.mark.django_db
def test_rows_are_deleted_a_month_after_they_were_handled(clock):
    rows = events(*[31] * 4, 30, 29, None)
    assert list(old_events.delete_rows(timezone.now())) == [3, 1]
    assert CarrierEvent.objects.count() == len(rows) - 4


def test_a_slice_that_another_process_has_not_committed_is_left_to_it(transactional_db, clock):
    events(*[5] * 9)
    seen = []

    def second():
        try:
            seen.append(list(old_events.slices(timezone.now())))
        finally:
            connections.close_all()

    with transaction.atomic():
        next(old_events.remove_payloads(timezone.now()))
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert seen == [[]]
    assert with_payload() == [3, 4, 5, 6, 7, 8]


def test_a_crash_in_a_slice_costs_that_slice_alone(transactional_db, clock, monkeypatch):
    events(*[5] * 9)
    work = old_events.remove_payloads(timezone.now())
    next(work)

    def die(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("core.failpoints.reached", die)
    with pytest.raises(KeyboardInterrupt):
        next(work)
    monkeypatch.undo()
    assert with_payload() == [3, 4, 5, 6, 7, 8]
    list(old_events.remove_payloads(timezone.now()))
    assert with_payload() == []


def test_an_event_that_comes_again_after_its_payload_was_removed_changes_nothing(rig):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    rig.campaign(1, retries=1)
    rig.tick()
    attempt = CallAttempt.objects.get()
    inbox.append("simulated", [(attempt.pk, {"status": "completed"})])
    rig.settle()
    rig.clock.shift(4 * DAY)
    assert sum(old_events.remove_payloads(timezone.now())) > 0
    before = CallAttempt.objects.values().get()
    inbox.append("simulated", [(attempt.pk, {"status": "busy"}), (attempt.pk, {"status": "completed"})])
    rig.tick()
    assert CallAttempt.objects.values().get() == before
    assert rig.rings() == [NUMBERS[0]]
    assert not CarrierEvent.objects.filter(handled_at=None).exists()


@pytest.mark.django_db
def test_the_admin_shows_an_event_whose_payload_was_removed(clock, admin_client):
    row = CarrierEventFactory(handled=True, payload=None)
    page = admin_client.get(f"/admin/dialer/carrierevent/{row.pk}/change/").content.decode()
    assert "removed some days after the event was handled" in page
