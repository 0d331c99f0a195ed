"""The end of a large campaign: its own move first, then its calls in slices, and what tells of the end last."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.testing import capture_logs

from campaigns import call_states, ending, lifecycle, progress, schedule
from campaigns import tasks as campaign_tasks
from campaigns.models import Call
from core.errors import WrongState
from core.state_machine import Move
from dialer import attempt_states, inbox
from dialer.models import CallAttempt
from reports.stats import stats
from tests.conftest import NUMBERS, START, states
from tests.factories import ACTOR
from webhooks.call_schedules import END_OF_A_CALL
from webhooks.models import WebhookDelivery

CALLS = 10
CALLBACKS = {
    "call_status_callback": "https://client.example/same",
    "call_schedule_callback": "https://client.example/same",
    "status_callback": "https://client.example/same",
}


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(ending, "SLICE", 3)
    monkeypatch.setattr(ending, "TURN_SECONDS", 0)  # a turn is one slice


@pytest.fixture
def enqueued(monkeypatch):
    tasks: list[str] = []
    monkeypatch.setattr(ending, "enqueue_once", lambda key, task: tasks.append(task))
    return tasks


def paused(rig, calls=CALLS, **columns):
    campaign = rig.campaign(calls, **columns)
    schedule.start_due(timezone.now())
    return lifecycle.pause(campaign, actor=ACTOR)


def count(campaign, status):
    return Call.objects.filter(campaign=campaign, status=status).count()


def told(kind="campaign-status"):
    return [row.payload["status"] for row in WebhookDelivery.objects.filter(kind=kind).order_by("id")]


def shown(campaign):
    campaign.refresh_from_db()
    return stats(campaign, progress.of([campaign.pk])[campaign.pk])


def test_a_campaign_that_is_completed_has_moved_before_its_calls(rig, enqueued):
    campaign = lifecycle.complete(paused(rig, **CALLBACKS), actor=ACTOR)
    assert (campaign.status, campaign.is_ending, campaign.ended_at) == ("completed", True, timezone.now())
    assert (count(campaign, "failed"), count(campaign, "created")) == (3, 7)
    assert enqueued == ["campaigns.end_due"]
    assert rig.dispatch() == 0


def test_a_turn_ends_a_slice_and_the_task_enqueues_the_next_one_until_none_is_left(rig, enqueued):
    campaign = lifecycle.complete(paused(rig), actor=ACTOR)
    left = []
    while True:
        enqueued.clear()
        campaign_tasks.end_due()
        left.append(count(campaign, "created"))
        if not enqueued:
            break
    assert left == [4, 1, 0]
    campaign.refresh_from_db()
    assert (campaign.status, campaign.is_ending) == ("completed", False)
    assert set(Call.objects.values_list("end_reason", flat=True)) == {"the campaign was completed on request"}


def test_the_stats_add_up_after_each_slice(rig):
    campaign = lifecycle.complete(paused(rig), actor=ACTOR)
    seen = [shown(campaign)]
    while campaign.is_ending:
        schedule.end_due(timezone.now())
        seen.append(shown(campaign))
    assert [(row["created"], row["pending"], row["failed-no-attempt"]) for row in seen] == [
        (7, 7, 3),
        (4, 4, 6),
        (1, 1, 9),
        (0, 0, 10),
    ]
    assert all(sum(row.values()) - row["pending"] == CALLS for row in seen)


def test_the_end_is_told_once_and_after_the_last_number(rig):
    campaign = lifecycle.complete(paused(rig, **CALLBACKS), actor=ACTOR)
    while campaign.is_ending:
        assert told() == ["in-progress"]
        schedule.end_due(timezone.now())
        campaign.refresh_from_db()
    schedule.end_due(timezone.now())
    assert told() == ["in-progress", "completed"]
    rows = list(WebhookDelivery.objects.order_by("id").values_list("kind", "payload__to"))
    assert rows[1:] == [*[("call-schedule", number) for number in NUMBERS[:CALLS]], ("campaign-status", None)]


def test_the_webhooks_of_a_slice_are_due_when_those_that_are_left_will_have_ended(rig):
    """To send one takes longer than to end a call: what is sent meanwhile would slow down the end."""
    campaign = lifecycle.complete(paused(rig, **CALLBACKS), actor=ACTOR)
    end_all(campaign)
    rows = WebhookDelivery.objects.filter(kind="call-schedule").order_by("id")
    due = [row.next_try_at - row.created_at for row in rows if row.next_try_at]
    assert [wait / END_OF_A_CALL for wait in due] == [7, 7, 7, 4, 4, 4, 1, 1, 1, 0]


def test_a_small_campaign_ends_with_the_request(rig):
    campaign = lifecycle.complete(paused(rig, 2, **CALLBACKS), actor=ACTOR)
    assert (campaign.is_ending, count(campaign, "failed")) == (False, 2)
    assert told() == ["in-progress", "completed"]


def test_first_tries_and_retries_both_end_in_slices(rig):
    rig.account.channels = 5
    rig.account.save()
    rig.carrier.script = {number: ["busy"] for number in NUMBERS}
    campaign = rig.campaign(CALLS, retries=1)
    rig.tick()
    assert (count(campaign, "retrying"), count(campaign, "created")) == (5, 5)
    lifecycle.complete(lifecycle.pause(campaign, actor=ACTOR), actor=ACTOR)
    for _ in range(3):
        schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    assert (campaign.is_ending, set(states(campaign).values())) == (False, {"failed"})
    assert shown(campaign)["failed"] == 5


def test_a_campaign_that_is_deleted_tells_nothing_in_any_slice(rig):
    campaign = lifecycle.delete(rig.campaign(CALLS, send_at=START + timedelta(hours=1), **CALLBACKS), actor=ACTOR)
    assert (campaign.status, campaign.is_ending, count(campaign, "created")) == ("deleted", True, 7)
    for _ in range(3):
        schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    assert (campaign.is_ending, set(states(campaign).values())) == (False, {"failed"})
    assert WebhookDelivery.objects.count() == 0


@pytest.mark.parametrize(
    ("is_paused", "call_status", "campaign_status"), [(False, "canceled", "failed"), (True, "failed", "canceled")]
)
def test_a_campaign_whose_time_is_over_ends_in_slices(rig, is_paused, call_status, campaign_status):
    campaign = rig.campaign(CALLS, end_at=START + timedelta(hours=1), **CALLBACKS)
    if is_paused:
        lifecycle.pause(campaign, actor=ACTOR)
    rig.clock.shift(timedelta(hours=1))
    for done in (3, 6, 9):
        assert schedule.end_due(timezone.now())
        campaign.refresh_from_db()
        assert (campaign.is_open, campaign.is_ending, count(campaign, call_status)) == (True, True, done)
        assert told() == []
    schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    assert (campaign.status, campaign.is_ending, count(campaign, call_status)) == (campaign_status, False, CALLS)
    assert told() == [campaign_status]


def test_calls_up_when_the_time_is_over_finish_before_the_campaign(rig):
    rig.account.channels = 1
    rig.account.save()
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    campaign = rig.campaign(CALLS, end_at=START + timedelta(hours=1))
    rig.tick()
    rig.clock.shift(timedelta(hours=1))
    for _ in range(5):
        schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    assert (campaign.status, campaign.is_ending, count(campaign, "canceled")) == ("in-progress", True, CALLS - 1)
    inbox.append("simulated", [(CallAttempt.objects.get().pk, {"status": "busy"})])
    rig.settle()
    campaign.refresh_from_db()
    assert (campaign.status, campaign.is_ending) == ("completed", False)


def test_a_retry_that_a_late_batch_has_decided_on_is_ended_too(rig):
    """Its batch began before the end, and stores its decision when no call is left to be ended."""
    rig.account.channels = 1
    rig.account.save()
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    campaign = rig.campaign(3, retries=1, end_at=START + timedelta(hours=1))
    rig.tick()
    rig.clock.shift(timedelta(hours=1))
    for _ in range(2):
        schedule.end_due(timezone.now())
    call = Call.objects.get(number=NUMBERS[0])
    attempt_states.move(
        [Move(CallAttempt.objects.get().pk, "busy", "", {"ended_at": timezone.now()})], at=timezone.now()
    )
    call_states.move([Move(call.pk, "retrying", "", {"next_attempt_at": timezone.now()})], at=timezone.now())
    schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    assert (campaign.is_open, states(campaign)[NUMBERS[0]]) == (False, "failed")


@pytest.mark.parametrize("verb", ["pause", "resume", "complete", "archive", "delete"])
@pytest.mark.parametrize("how", ["completed", "expired", "expired while paused"])
def test_nobody_changes_a_campaign_that_is_ending(rig, verb, how):
    if how == "completed":
        campaign = lifecycle.complete(paused(rig), actor=ACTOR)
    else:
        campaign = rig.campaign(CALLS, end_at=START + timedelta(hours=1))
        if how == "expired while paused":
            lifecycle.pause(campaign, actor=ACTOR)
        rig.clock.shift(timedelta(hours=1))
        schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    before = campaign.status
    with pytest.raises(WrongState):
        lifecycle.VERBS[verb](campaign, actor=ACTOR)
    with pytest.raises(WrongState):
        lifecycle.change(campaign, now=timezone.now(), end_at=START + timedelta(days=1), actor=ACTOR)
    campaign.refresh_from_db()
    assert (campaign.status, campaign.is_ending) == (before, True)


def test_a_person_who_archives_too_early_is_told_to_try_again(rig):
    campaign = lifecycle.complete(paused(rig), actor=ACTOR)
    with pytest.raises(WrongState, match=r"its calls are still being ended\. Try again in a minute"):
        lifecycle.archive(campaign, actor=ACTOR)
    for _ in range(3):
        schedule.end_due(timezone.now())
    assert lifecycle.archive(campaign, actor=ACTOR).status == "archived"


@contextmanager
def locked_elsewhere(row: Model) -> Iterator[None]:
    """Let another connection hold the lock of the row."""
    is_held, let_go = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                type(row)._default_manager.select_for_update().get(pk=row.pk)
                is_held.set()
                let_go.wait(60)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_held.wait(60)
        yield
    finally:
        let_go.set()
        thread.join()


def test_slices_commit_without_waiting_for_the_disk_and_the_campaigns_own_move_waits(rig, enqueued):
    campaign = paused(rig)
    with CaptureQueriesContext(connection) as moved:
        lifecycle.complete(campaign, actor=ACTOR)
    with CaptureQueriesContext(connection) as ended:
        schedule.end_due(timezone.now())
    lazy = [[query["sql"] for query in made].count("SET LOCAL synchronous_commit = off") for made in (moved, ended)]
    assert lazy == [0, 1]


def test_calls_that_another_process_has_locked_are_passed_over_and_ended_later(rig):
    campaign = lifecycle.complete(paused(rig, 7), actor=ACTOR)
    held = Call.objects.get(number=NUMBERS[4])
    with locked_elsewhere(held):
        for _ in range(3):
            schedule.end_due(timezone.now())
        campaign.refresh_from_db()
        assert (campaign.is_ending, count(campaign, "created")) == (True, 1)
    schedule.end_due(timezone.now())
    campaign.refresh_from_db()
    assert (campaign.is_ending, count(campaign, "failed")) == (False, 7)


def test_a_turn_does_not_wait_for_a_campaign_that_is_being_changed(rig):
    busy = rig.campaign(2, end_at=START + timedelta(hours=1))
    other = rig.campaign(NUMBERS[5:7], end_at=START + timedelta(hours=1))
    rig.clock.shift(timedelta(hours=1))
    with locked_elsewhere(busy):
        schedule.end_due(timezone.now())
        assert set(states(other).values()) == {"canceled"}
        assert set(states(busy).values()) == {"created"}
    schedule.end_due(timezone.now())
    assert set(states(busy).values()) == {"canceled"}


def test_a_second_process_leaves_the_turn_to_the_first(rig):
    campaign = lifecycle.complete(paused(rig), actor=ACTOR)
    seen = []

    def second():
        try:
            seen.append(ending.take_turn(timezone.now(), 60))
        finally:
            connections.close_all()

    with transaction.atomic():
        ending.take_turn(timezone.now(), 0)
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert seen == [False]
    assert count(campaign, "failed") == 6


def test_a_crash_in_a_slice_costs_that_slice_alone(rig, monkeypatch):
    campaign = lifecycle.complete(paused(rig, **CALLBACKS), actor=ACTOR)

    def die(name):
        if name == "slice-before-commit":
            raise KeyboardInterrupt

    monkeypatch.setattr("core.failpoints.reached", die)
    with pytest.raises(KeyboardInterrupt):
        schedule.end_due(timezone.now())
    assert (count(campaign, "failed"), len(told("call-schedule"))) == (3, 3)
    monkeypatch.undo()
    monkeypatch.setattr(ending, "SLICE", 3)
    for _ in range(4):
        schedule.end_due(timezone.now())
    assert len(told("call-schedule")) == CALLS
    assert told() == ["in-progress", "completed"]


def test_large_campaigns_take_turns(rig, monkeypatch):
    monkeypatch.setattr(ending, "TURN_SECONDS", 0)
    first, second = paused(rig), paused(rig, NUMBERS[20:30])
    lifecycle.complete(first, actor=ACTOR)
    lifecycle.complete(second, actor=ACTOR)
    order = []
    end_slice = ending._Sweep.end_slice

    def noted(sweep, campaign, at, end):
        order.append(campaign.pk)
        return end_slice(sweep, campaign, at, end)

    monkeypatch.setattr(ending._Sweep, "end_slice", noted)
    ending.take_turn(timezone.now(), 60)
    assert order == sorted([first.pk, second.pk]) * 3
    assert Call.objects.filter(status="created").count() == 0


# Faults of a call: where it is met, and whether the call can at least be marked as failed.
POISONS = {
    "the call": ("BEFORE UPDATE ON campaigns_call", "NEW.number"),
    "the call, at the commit": ("CONSTRAINT AFTER UPDATE ON campaigns_call", "NEW.number"),
    "the webhook": ("BEFORE INSERT ON webhooks_webhookdelivery", "NEW.payload->>'to'"),
    "the webhook, at the commit": ("CONSTRAINT AFTER INSERT ON webhooks_webhookdelivery", "NEW.payload->>'to'"),
}
UNTOLD = [how for how in POISONS if how.startswith("the webhook")]


@contextmanager
def poisoned(how: str, *numbers: str) -> Iterator[None]:
    """Let the database raise for these numbers."""
    when, number = POISONS[how]
    _, _, when = when.rpartition("CONSTRAINT ")
    is_late = when != POISONS[how][0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {number} IN ({', '.join(repr(each) for each in ['', *numbers])}) THEN"
            " RAISE EXCEPTION 'poison' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"
        )
        cursor.execute(
            f"CREATE {'CONSTRAINT' * is_late} TRIGGER poison {when} {'DEFERRABLE INITIALLY DEFERRED' * is_late}"
            " FOR EACH ROW EXECUTE FUNCTION poison()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION poison CASCADE")


def end_all(campaign):
    """Take turns until the campaign has ended, at the most as many as would find each call alone."""
    for _ in range(CALLS + 2):
        schedule.end_due(timezone.now())
    campaign.refresh_from_db()


@pytest.mark.parametrize("how", POISONS)
@pytest.mark.parametrize("bad", [NUMBERS[4:5], NUMBERS[3:9], NUMBERS[0:1], NUMBERS[:CALLS]], ids=len)
def test_a_call_that_cannot_be_ended_is_given_up_and_its_campaign_ends(rig, how, bad):
    campaign = paused(rig, **CALLBACKS)
    with poisoned(how, *bad):
        lifecycle.complete(campaign, actor=ACTOR)
        end_all(campaign)
    assert (campaign.status, campaign.is_ending) == ("completed", False)
    reasons = dict(Call.objects.filter(number__in=bad).values_list("number", "end_reason"))
    assert set(reasons.values()) == {"a fault of this server: IntegrityError" if how in UNTOLD else ""}
    assert count(campaign, "created") == (0 if how in UNTOLD else len(bad))
    assert count(campaign, "failed") == (CALLS if how in UNTOLD else CALLS - len(bad))
    told_of = WebhookDelivery.objects.filter(kind="call-schedule").values_list("payload__to", flat=True)
    assert sorted(told_of) == sorted(set(NUMBERS[:CALLS]) - set(bad))
    assert told() == ["in-progress", "completed"]


@pytest.mark.parametrize("how", POISONS)
def test_a_campaign_whose_time_is_over_ends_with_a_call_that_cannot_be_ended(rig, how):
    campaign = rig.campaign(CALLS, end_at=START + timedelta(hours=1), **CALLBACKS)
    rig.clock.shift(timedelta(hours=1))
    with poisoned(how, NUMBERS[4]):
        end_all(campaign)
    assert (campaign.status, campaign.is_ending) == ("failed", False)
    assert count(campaign, "canceled") == CALLS - 1


@pytest.mark.parametrize(("how", "unmarked"), [("the call", 1), ("the webhook", 0)])
def test_a_call_that_cannot_be_ended_is_named_and_counted_in_the_log(rig, monkeypatch, how, unmarked):
    monkeypatch.setattr(ending, "FEW", 2)
    campaign = paused(rig, **CALLBACKS)
    bad = Call.objects.get(number=NUMBERS[4])
    with poisoned(how, bad.number), capture_logs() as logs:
        lifecycle.complete(campaign, actor=ACTOR)
        end_all(campaign)
    named = [line["item"] for line in logs if line["event"] == "batch_item_failed"]
    assert named == [f"call {bad.pk}"]
    [counted] = [line for line in logs if line["event"] == "calls_given_up"]
    assert (counted["campaign"], counted["calls"], counted["unmarked"]) == (campaign.pk.hex, 1, unmarked)


def test_a_call_that_cannot_be_ended_is_looked_for_among_a_few(rig, monkeypatch):
    """One by one only where it is: a slice that fails costs twice as much, and not one transaction for each call."""
    monkeypatch.setattr(ending, "SLICE", 8)
    monkeypatch.setattr(ending, "FEW", 2)
    sizes: list[int] = []
    move = ending._move

    def noted(rows, fate, at):
        sizes.append(len(rows))
        return move(rows, fate, at)

    monkeypatch.setattr(ending, "_move", noted)
    campaign = paused(rig, 8)
    with poisoned("the call", NUMBERS[4]):
        lifecycle.complete(campaign, actor=ACTOR)
        sizes.clear()
        end_all(campaign)
    assert sizes == [8, 2, 2, 2, 1, 1, 1, 2, 0]


def test_a_campaign_whose_calls_cannot_be_ended_does_not_hold_up_the_others(rig):
    broken, sound = paused(rig), paused(rig, NUMBERS[20:30])
    with poisoned("the call", *NUMBERS[:CALLS]):
        lifecycle.complete(broken, actor=ACTOR)
        lifecycle.complete(sound, actor=ACTOR)
        ending.take_turn(timezone.now(), 60)
    assert (count(sound, "failed"), count(broken, "created")) == (CALLS, CALLS)


def test_a_slice_is_as_many_statements_as_it_is_small(rig, monkeypatch):
    statements = []
    for size in (2, 40):
        monkeypatch.setattr(ending, "SLICE", size)
        lifecycle.complete(paused(rig, 100, **CALLBACKS), actor=ACTOR)
        with CaptureQueriesContext(connection) as made:
            ending.take_turn(timezone.now(), 0)
        statements.append(len(made))
        while ending.take_turn(timezone.now(), 60):
            pass
    assert statements[0] == statements[1]


@pytest.mark.parametrize("how", ["move", "move_all"])
def test_moving_thousands_of_calls_compares_each_with_its_own_row_alone(rig, how):
    """Before a table has statistics the planner expects one row, and joins as if there were one."""
    _forget_statistics()
    campaign, now = rig.campaign(1), timezone.now()
    calls, end = Call.objects.filter(campaign=campaign), call_states.end_columns(at=now, reason="")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_call (campaign_id, number) SELECT %s, '+91' || (9810000000 + n)"
            " FROM generate_series(1, 2000) AS n",
            [campaign.pk],
        )
        moves = [Move(pk, "failed", "", end) for pk in calls.values_list("pk", flat=True)]
        with CaptureQueriesContext(connection) as made, transaction.atomic():
            if how == "move":
                call_states.move(moves, at=now)
            else:
                call_states.move_all(calls, "failed", before=["created"], at=now, **end)
            assert calls.filter(status="failed").count() == 2001
            transaction.set_rollback(True)
        [sql] = [statement["sql"] for statement in made if "UPDATE" in statement["sql"]]
        cursor.execute("SET enable_hashjoin = off")
        cursor.execute("SET enable_mergejoin = off")
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql)
        [[[plan]]] = cursor.fetchall()
    connection.close()
    assert sum(_removed(plan["Plan"])) < 2001


def _forget_statistics():
    """Leave the table as it is on a new system: autovacuum may have counted it during the tests before."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE campaigns_call CASCADE")
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'campaigns_call'")
        assert cursor.fetchall() == [(-1,)]


def _removed(plan):
    """Yield the rows that each join of the plan compared in vain."""
    yield plan.get("Rows Removed by Join Filter", 0) * plan.get("Actual Loops", 1)
    for part in plan.get("Plans", []):
        yield from _removed(part)
