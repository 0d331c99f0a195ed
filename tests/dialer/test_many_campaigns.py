"""Many campaigns of one account: a look reads a few, everybody's turn comes, and nobody stands in another's way."""

import threading
from collections import Counter
from contextlib import contextmanager

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, CallerId, Trunk
from campaigns import schedule
from campaigns.models import Campaign
from core import task_queue
from dialer import calls_up, channels, dispatch, due_campaigns, gate, messages
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, leases
from tests.factories import CallerIdFactory


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(due_campaigns, "SMALLEST_WINDOW", 4)


@pytest.fixture
def enqueued(monkeypatch):
    sent = []
    for module in (messages, task_queue):
        monkeypatch.setattr(
            module, "enqueue", lambda task, *args, countdown=0, **_: sent.append((task, args, countdown))
        )
    return sent


@contextmanager
def watched(monkeypatch, owner, name):
    """What the calls of a function return, within the block."""
    real, returned = getattr(owner, name), []

    def watch(*arguments):
        returned.append(real(*arguments))
        return returned[-1]

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, watch)
        yield returned


def limit(**columns):
    Account.objects.update(**columns)


def campaigns(rig, count, each=1, first=0, **columns):
    made = [rig.campaign(NUMBERS[first + n * each : first + (n + 1) * each], **columns) for n in range(count)]
    schedule.start_due(timezone.now())
    return made


def start_is_taken(rig, enqueued):
    """A worker has taken the messages of the start, so that the next ones are seen."""
    task_queue.taken(f"dispatch:{rig.account.pk}")
    enqueued.clear()


def claims():
    return Counter(CallAttempt.objects.values_list("campaign_id", flat=True))


def test_with_one_channel_every_campaign_gets_its_turn_before_any_gets_a_second(rig):
    limit(channels=1)
    made = campaigns(rig, 11, each=3)
    for turns in (1, 2, 3):
        for _ in made:
            assert rig.dispatch() == 1
            rig.dial()
            rig.settle()
        assert set(claims().values()) == {turns}


def test_those_with_the_fewest_calls_up_come_first(rig):
    limit(channels=4)
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    old = campaigns(rig, 1, each=10)
    assert rig.dispatch() == 4
    new = campaigns(rig, 2, each=2, first=100)
    limit(channels=7)
    assert rig.dispatch() == 3
    assert [claims()[campaign.pk] for campaign in (*old, *new)] == [4, 2, 1] or [
        claims()[campaign.pk] for campaign in (*old, *new)
    ] == [4, 1, 2]


def test_a_look_reads_a_window_of_campaigns_and_no_more(rig, monkeypatch):
    limit(channels=2)
    campaigns(rig, 20)
    with watched(monkeypatch, due_campaigns._Look, "_read") as windows:
        assert rig.dispatch() == 2
    assert [len(window) for window in windows] == [4]


def test_campaigns_of_one_kind_are_judged_once(rig, monkeypatch):
    limit(channels=30)
    campaigns(rig, 10)
    [shut] = campaigns(rig, 1, first=100)
    Campaign.objects.filter(pk=shut.pk).update(rules=["gone"])
    with watched(monkeypatch, gate, "check") as verdicts:
        assert dispatch.dispatch(rig.account.pk, timezone.now()) == 10
    assert len(verdicts) == 2
    assert claims()[shut.pk] == 0


def test_a_full_account_is_not_looked_at(rig):
    limit(channels=1)
    campaigns(rig, 3)
    assert rig.dispatch() == 1
    with CaptureQueriesContext(connection) as statements:
        assert dispatch.dispatch(rig.account.pk, timezone.now()) == 0
    assert not [statement["sql"] for statement in statements if "campaigns_" in statement["sql"]]


def test_an_account_that_waits_for_its_pace_is_not_looked_at_and_comes_again_in_time(rig, enqueued):
    limit(starts_per_minute=120)
    campaigns(rig, 3)
    assert rig.dispatch() == 1
    with CaptureQueriesContext(connection) as statements:
        assert dispatch.dispatch(rig.account.pk, timezone.now()) == 0
    assert not [statement["sql"] for statement in statements if "campaigns_" in statement["sql"]]
    assert [0 < countdown <= 0.6 for task, _, countdown in enqueued if task == "dialer.dispatch"][-1:] in ([True], [])


@pytest.mark.parametrize("what", ["account", "trunk", "caller ID", "pace"])
def test_a_limit_that_campaigns_share_is_asked_for_once_however_many_they_are(rig, monkeypatch, what):
    """No round of Redis for each campaign that it holds back."""
    if what in {"trunk", "caller ID"}:
        (Trunk if what == "trunk" else CallerId).objects.update(channels=1)
    else:
        limit(**({"channels": 1} if what == "account" else {"starts_per_minute": 1}))
    campaigns(rig, 30)
    with watched(monkeypatch, channels, "lease") as granted:
        assert rig.dispatch() == 1
    assert len(granted) == 1
    with watched(monkeypatch, channels, "lease") as granted, watched(monkeypatch, due_campaigns._Look, "_read") as read:
        assert dispatch.dispatch(rig.account.pk, timezone.now()) == 0
    assert not granted
    assert len(read) <= 1


def test_many_campaigns_of_a_full_caller_id_hide_no_campaign_of_another(rig, monkeypatch):
    """Once that is known they are not even read."""
    limit(channels=3)
    full = CallerIdFactory(account=rig.account, trunk=rig.trunk, channels=1)
    campaigns(rig, 30, caller_id=full)
    [other] = campaigns(rig, 1, first=100)
    with watched(monkeypatch, due_campaigns._Look, "_read") as windows:
        assert rig.dispatch() == 2
    assert claims()[other.pk] == 1
    assert len(windows) <= 3


def test_many_campaigns_with_a_pace_of_their_own_hide_no_other(rig):
    limit(channels=22)
    slow = campaigns(rig, 20, each=2, mode="custom", throttle=1)
    rig.dispatch()
    [other] = campaigns(rig, 1, first=100)
    assert rig.dispatch() == 1
    assert claims() == {campaign.pk: 1 for campaign in (*slow, other)}
    put_off = Campaign.objects.filter(idle_until__gt=timezone.now(), mode="custom")
    assert put_off.count() == 20, "they are not read again before their next start"


def test_many_campaigns_whose_number_is_being_dialed_hide_no_other_and_are_dialed_when_it_is_free(rig):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    same = [rig.campaign([NUMBERS[0]]) for _ in range(20)]
    schedule.start_due(timezone.now())
    assert rig.dispatch() == 1
    [other] = campaigns(rig, 1, first=100)
    assert rig.dispatch() == 1
    assert claims()[other.pk] == 1
    rig.dial()
    CallAttempt.objects.filter(callee=NUMBERS[0]).update(status="canceled", ended_at=timezone.now())
    rig.clock.shift(dispatch.PASSED_OVER)
    rig.dispatch()
    assert sum(claims()[campaign.pk] for campaign in same) == 2


def test_a_run_that_a_cap_has_ended_is_not_followed_by_another(rig, enqueued):
    Trunk.objects.update(channels=3)
    campaigns(rig, 2, each=100)
    start_is_taken(rig, enqueued)
    assert rig.dispatch() == 3
    assert [message for message in enqueued if message[0] == "dialer.dispatch"] == []


def test_a_run_that_has_not_come_to_all_calls_is_followed_by_another(rig, enqueued):
    """One campaign has more due calls than were counted, and the others have left it their places."""
    limit(channels=60)
    campaigns(rig, 1, each=100)
    campaigns(rig, 9, first=100)
    start_is_taken(rig, enqueued)
    claimed = rig.dispatch()
    assert claimed < 60
    assert [args for task, args, _ in enqueued if task == "dialer.dispatch"] == [(rig.account.pk,)]
    while claimed < 60:
        more = rig.dispatch()
        assert more
        claimed += more


def test_another_run_for_the_account_leaves_it_alone_and_comes_again(rig, enqueued):
    campaigns(rig, 1)
    with transaction.atomic():
        assert dispatch._take(rig.account.pk)[1]
        claimed = []

        def run():
            claimed.append(dispatch.dispatch(rig.account.pk, timezone.now()))
            connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert claimed == [0]
    assert enqueued[-1] == ("dialer.dispatch", (rig.account.pk,), dispatch.AGAIN_SECONDS)
    assert rig.dispatch() == 1


def test_the_lock_on_the_leases_is_not_held_while_it_looks(rig, monkeypatch):
    campaigns(rig, 1)
    held = []

    def look(*arguments):
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
                WHERE locktype = 'advisory' AND mode = 'ShareLock' AND datname = current_database()
                """
            )
            held.append(cursor.fetchone()[0])
        return real(*arguments)

    real = due_campaigns.look
    monkeypatch.setattr(due_campaigns, "look", look)
    assert rig.dispatch() == 1
    assert held == [0]


def test_a_look_ends_with_its_budget_and_the_next_one_goes_on_behind_it(rig, monkeypatch):
    monkeypatch.setattr(due_campaigns, "BUDGET_SECONDS", -1)
    made = campaigns(rig, 12, each=2, mode="custom", throttle=1)
    for _ in range(6):
        rig.dispatch()
    assert claims() == {campaign.pk: 1 for campaign in made}


def test_calls_up_are_counted_once_and_then_kept(rig):
    limit(channels=5)
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    one, other = campaigns(rig, 2, each=5)
    rig.dispatch()
    ids = [one.pk, other.pk]
    up = claims()
    CallAttempt.objects.update(status="canceled", ended_at=timezone.now())  # a count would find none
    assert calls_up.of(rig.account.pk, ids) == up
    calls_up.add({(rig.account.pk, one.pk): -up[one.pk]})
    assert calls_up.of(rig.account.pk, ids) == up - Counter({one.pk: 5}) | Counter({one.pk: 0})


def test_calls_up_that_redis_forgot_are_counted_anew_and_not_begun_with_a_part(rig, redis):
    limit(channels=4)
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    one, _ = campaigns(rig, 2, each=5)
    rig.dispatch()
    redis.delete(calls_up._key(rig.account.pk))
    calls_up.add({(rig.account.pk, one.pk): 1})
    assert calls_up.of(rig.account.pk, [one.pk])[one.pk] == claims()[one.pk] == 2
    assert 0 < redis.ttl(calls_up._key(rig.account.pk)) <= calls_up.KEPT_SECONDS
    assert leases(rig.account) == 4
