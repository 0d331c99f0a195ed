"""The ticks: a start is at most a second late, and a tick that runs twice, or two at once, does nothing twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection, connections, transaction
from django.dispatch import Signal
from django.utils import timezone

from campaigns import call_states, campaign_states, lifecycle, schedule, signals, tasks
from campaigns.models import Call, Campaign, CampaignHistory
from core.state_machine import Move
from tests.conftest import NUMBERS, START, states
from tests.factories import ACTOR


def test_a_start_between_two_ticks_has_a_message_of_its_own(rig, monkeypatch):
    enqueued: list[object] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, countdown: enqueued.append((task, countdown)))
    rig.campaign(send_at=START + timedelta(seconds=0.4))
    tasks.start_due()
    assert enqueued == [("campaigns.start_due", 0.4)]


def test_a_start_beyond_the_next_tick_is_left_to_it(rig, monkeypatch):
    enqueued: list[str] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, countdown: enqueued.append(task))
    rig.campaign(send_at=START + timedelta(seconds=5))
    tasks.start_due()
    assert enqueued == []


def test_a_campaign_without_a_schedule_enqueues_the_start_when_it_is_stored(rig, monkeypatch):
    enqueued: list[object] = []
    monkeypatch.setattr(lifecycle, "enqueue", enqueued.append)
    rig.campaign()
    assert enqueued == ["campaigns.start_due"]


def test_ten_ticks_at_once_start_a_campaign_once(rig):
    campaign = rig.campaign(50)

    def tick():
        try:
            schedule.start_due(timezone.now())
            schedule.end_due(timezone.now())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=tick) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CampaignHistory.objects.filter(subject=campaign, to_status="in-progress").count() == 1


def test_a_campaign_paused_at_the_very_moment_of_its_start_stays_paused(rig, monkeypatch):
    """The tick has read it as due, and the pause is stored before the tick moves it."""
    campaign = rig.campaign()
    move = campaign_states.move

    def pause_first(*args, **columns):
        monkeypatch.setattr(campaign_states, "move", move)
        lifecycle.pause(campaign, actor=ACTOR)
        return move(*args, **columns)

    monkeypatch.setattr(campaign_states, "move", pause_first)
    schedule.start_due(timezone.now())
    campaign.refresh_from_db()
    assert campaign.status == "paused"


def test_a_campaign_that_is_being_postponed_at_the_very_moment_of_its_start_is_left_alone(rig):
    campaign = rig.campaign()
    ready, go_on = threading.Event(), threading.Event()

    def postpone():
        try:
            with transaction.atomic():
                lifecycle.change(campaign, now=timezone.now(), send_at=START + timedelta(days=1), actor=ACTOR)
                ready.set()
                go_on.wait(60)
        finally:
            connections.close_all()

    thread = threading.Thread(target=postpone)
    thread.start()
    assert ready.wait(60)
    schedule.start_due(timezone.now())
    go_on.set()
    thread.join()
    schedule.start_due(timezone.now())
    campaign.refresh_from_db()
    assert campaign.status == "created"


def test_a_campaign_whose_end_is_being_put_off_is_not_ended(rig):
    campaign = rig.campaign(send_at=START + timedelta(minutes=30), end_at=START + timedelta(hours=1))
    rig.clock.shift(timedelta(minutes=59))
    ready, go_on = threading.Event(), threading.Event()

    def put_off():
        try:
            with transaction.atomic():
                lifecycle.change(campaign, now=timezone.now(), end_at=START + timedelta(days=1), actor=ACTOR)
                ready.set()
                go_on.wait(0.5)
        finally:
            connections.close_all()

    thread = threading.Thread(target=put_off)
    thread.start()
    assert ready.wait(60)
    schedule.end_due(START + timedelta(hours=1))
    go_on.set()
    thread.join()
    campaign.refresh_from_db()
    assert (campaign.status, set(states(campaign).values())) == ("created", {"created"})


def test_the_end_leaves_a_call_alone_that_was_claimed_a_moment_before(rig):
    """The end has read the call as waiting, and it is claimed before the end moves it."""
    campaign = rig.campaign(1, end_at=START + timedelta(hours=1))
    schedule.start_due(timezone.now())
    rig.dispatch()
    moved = call_states.move_all(
        campaign.calls.all(), "canceled", before=["created"], at=timezone.now(), ended_at=timezone.now()
    )
    assert moved == set()
    assert set(states(campaign).values()) == {"in-progress"}


def test_ends_that_come_while_the_server_was_down_are_caught_up(rig):
    never_started = rig.campaign(2, end_at=START + timedelta(hours=1))
    rig.clock.shift(timedelta(days=2))
    rig.tick()
    never_started.refresh_from_db()
    assert never_started.status == "failed"
    assert set(states(never_started).values()) == {"canceled"}
    assert rig.rings() == []


@contextmanager
def poisoned(campaign: Campaign) -> Iterator[None]:
    """Let the database raise when the campaign is changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'poison' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER poison BEFORE UPDATE ON campaigns_campaign FOR EACH ROW WHEN (OLD.id = '{campaign.pk}')"
            " EXECUTE FUNCTION poison()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION poison CASCADE")


@contextmanager
def receiving(signal: Signal, receive: Callable[..., Any]) -> Iterator[None]:
    signal.connect(receive)
    try:
        yield
    finally:
        signal.disconnect(receive)


def test_a_campaign_that_cannot_be_started_holds_up_no_other(rig):
    faulty, sound = rig.campaign(), rig.campaign(NUMBERS[5:6])
    started: list[list[int]] = []
    with poisoned(faulty), receiving(signals.work_due, lambda account_ids, **_: started.append(account_ids)):
        schedule.start_due(timezone.now())
    statuses = dict(Campaign.objects.values_list("pk", "status"))
    assert statuses == {faulty.pk: "created", sound.pk: "in-progress"}
    assert started == [[rig.account.pk]]


def test_a_campaign_that_cannot_be_closed_holds_up_no_other(rig):
    faulty, sound = rig.campaign(), rig.campaign(NUMBERS[5:6])
    schedule.start_due(timezone.now())
    for call in Call.objects.all():
        call_states.move([Move(call.pk, "failed", "", call_states.end_columns(at=START, reason="so"))], at=START)
    with poisoned(faulty):
        schedule.end_due(timezone.now())
    statuses = dict(Campaign.objects.values_list("pk", "status"))
    assert statuses == {faulty.pk: "in-progress", sound.pk: "failed"}
