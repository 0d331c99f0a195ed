"""/metrics: a number for each promise that could be broken, for those who may read it."""

import time
from datetime import time as clock_time
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import ConnectionError as RedisAway
from uuid_utils.compat import uuid7

from campaigns import schedule
from campaigns_project import metrics
from core import liveness
from dialer import channels, holds, reconciliation, recovery, repair_counts, trunk_health
from dialer.channels import Scope
from dialer.models import UsageChange
from tests.conftest import NUMBERS, Rig, redis_time
from tests.factories import (
    ACTOR,
    AccountFactory,
    CallAttemptFactory,
    CallerIdHealthFactory,
    CallFactory,
    CampaignFactory,
    CarrierEventFactory,
    TrunkFactory,
    TrunkHealthFactory,
    WebhookDeliveryFactory,
)
from webhooks import claims


@pytest.fixture
def read(client, redis, transactional_db):
    """Read the metrics by name, or by name and label: `read()["attempts", "unknown"]`, without the prefix."""

    def scrape():
        answer = client.get("/metrics")
        assert answer.status_code == 200
        samples = {}
        for family in text_string_to_metric_families(answer.content.decode()):
            for sample in family.samples:
                name = sample.name.removeprefix("trunkline_")
                samples[(name, *sample.labels.values()) if sample.labels else name] = sample.value
        return samples

    return scrape


def old_id(seconds: float) -> UUID:
    """Return an attempt id that was made so many seconds ago."""
    made_ms = int(time.time() * 1000) - int(seconds * 1000)
    return UUID(f"{made_ms:012x}{uuid7().hex[12:]}")


# Who may read --------------------------------------------------------------------------------------------------------


def test_this_machine_may_read_without_a_token(read):
    assert read()["readable", "attempts"] == 1


@pytest.mark.parametrize(
    "request_from",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "headers": {"X-Forwarded-For": "127.0.0.1"}},
        {"REMOTE_ADDR": "127.0.0.1", "headers": {"Forwarded": "for=127.0.0.1"}},
        # A page in a browser on this machine, whose name leads to 127.0.0.1 by now.
        {"REMOTE_ADDR": "127.0.0.1", "headers": {"Host": "evil.example:8000"}},
    ],
)
def test_other_machines_may_not(client, request_from):
    answer = client.get("/metrics", **request_from)
    assert answer.status_code == 403
    assert "METRICS_TOKEN" in answer.content.decode()


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "10.42.0.7", "localhost", ""])
def test_this_machine_may_ask_by_any_ip_address_and_its_own_names(client, db, redis, host):
    assert client.get("/metrics", headers={"Host": host} if host else {}).status_code == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [("Bearer s3cret", 200), ("bearer s3cret", 200), ("Bearer wrong", 401), ("s3cret", 401), ("", 401)],
)
def test_with_a_token_it_is_the_token_that_counts(client, db, redis, settings, header, status):
    settings.METRICS_TOKEN = "s3cret"
    for address in ("192.0.2.7", "127.0.0.1"):
        assert client.get("/metrics", REMOTE_ADDR=address, headers={"Authorization": header}).status_code == status


def test_it_is_only_read(client, db):
    assert client.post("/metrics").status_code == 405


# Leases and attempts -------------------------------------------------------------------------------------------------


def test_a_lease_without_an_attempt_is_counted_once_it_is_older_than_a_claim_takes(read, redis):
    key = Scope("account", 1, 0).key
    redis.zadd(key, {old_id(5).hex: 4_000_000_000_000})
    assert read()["leases_without_attempt"] == 0
    redis.zadd(key, {old_id(15).hex: 4_000_000_000_000})
    redis.zadd(Scope("trunk", 1, 0).key, {old_id(15).hex: 4_000_000_000_000})
    assert read()["leases_without_attempt"] == 2


def test_an_attempt_without_a_lease_is_counted_and_one_with_its_lease_is_not(read):
    CallAttemptFactory(id=old_id(15), in_progress=True)
    CallAttemptFactory(id=old_id(15), completed=True)
    assert read()["attempts_without_lease"] == 1
    reconciliation.rebuild()
    assert (read()["attempts_without_lease"], read()["leases_without_attempt"]) == (0, 0)


def test_attempts_by_status_and_those_claimed_too_long(read):
    CallAttemptFactory(unknown=True)
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=5))
    CallAttemptFactory(claimed_at=timezone.now() - timedelta(seconds=15))
    CallAttemptFactory(completed=True)
    told = read()
    counted = {status: told["attempts", status] for status in ("claimed", "placing", "in-progress", "unknown")}
    assert counted == {"claimed": 2, "placing": 0, "in-progress": 0, "unknown": 1}
    assert told["attempts_claimed_too_long"] == 1


def test_channels_of_each_account(read):
    account = AccountFactory(sid="acme", channels=7)
    AccountFactory(sid="gone", is_active=False)
    CallAttemptFactory(call__campaign__account=account, in_progress=True)
    reconciliation.rebuild()
    told = read()
    assert (told["channels_in_use", "acme"], told["channels", "acme"]) == (1, 7)
    assert ("channels", "gone") not in told


# Due, and idle -------------------------------------------------------------------------------------------------------


@pytest.fixture
def idle(rig: Rig, read):
    """Read the idle seconds; no test of this fixture dispatches by itself."""
    rig.carrier.script = {number: ["silent"] for number in NUMBERS}
    return lambda: read()["due_but_idle_seconds"]


def test_due_calls_that_nobody_claims_are_idle(rig: Rig, idle):
    rig.campaign(3)
    rig.account.channels = 1
    rig.account.save()
    schedule.start_due(timezone.now())
    rig.later(seconds=10)
    rig.clock.shift(timedelta(seconds=40))
    assert idle() == 0, "all channels are busy"
    rig.account.channels = 2
    rig.account.save()
    assert idle() == 40, "since the last claim"


def test_a_campaign_whose_gate_is_shut_is_not_idle_until_it_opens(rig: Rig, idle):
    rig.account.opens_at, rig.account.closes_at = clock_time(12), clock_time(21)
    rig.account.save()
    rig.campaign()
    rig.tick()
    rig.clock.shift(timedelta(minutes=29))
    assert idle() == 0
    rig.clock.shift(timedelta(minutes=2))
    assert idle() == 60


def test_a_campaign_that_waits_for_a_retry_is_not_idle_until_that_is_due(rig: Rig, idle):
    campaign = CampaignFactory(account=rig.account, running=True, with_retries=True)
    CallFactory(campaign=campaign, retrying=True, next_attempt_at=timezone.now() + timedelta(minutes=5))
    assert idle() == 0
    rig.clock.shift(timedelta(minutes=6))
    assert idle() == 60


def test_a_campaign_held_back_by_its_pace_or_its_trunk_is_not_idle(rig: Rig, idle):
    rig.account.starts_per_minute = 1
    rig.account.save()
    rig.campaign(2)
    rig.tick()
    rig.clock.shift(timedelta(seconds=40))
    assert idle() == 0
    rig.account.starts_per_minute = 10_000_000
    rig.account.save()
    for key in channels.client().scan_iter("channels:starts:*"):
        channels.client().delete(key)
    assert idle() == 40
    trunk_health.took_no_call(rig.trunk.pk, "503", timezone.now())
    assert idle() == 0


def test_a_campaign_that_was_just_resumed_is_not_idle(rig: Rig, idle):
    campaign = CampaignFactory(account=rig.account, running=True)
    CallFactory(campaign=campaign)
    assert idle() == 3600
    campaign.history.create(from_status="paused", to_status="in-progress", at=timezone.now())
    assert idle() == 0


# What piles up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usual", "lately", "times"),
    [({}, 0, 0), ({2: 100, 50: 300}, 2200, 11), ({2: 100, 100: 90_000}, 1000, 10), ({2: 3}, 90, 1.5), ({}, 900, 15)],
)
def test_starts_of_the_last_hour_against_the_hours_in_which_the_account_called(read, usual, lately, times):
    account, now = AccountFactory(), timezone.now()
    CampaignFactory(account=account)
    for hours, calls in usual.items():
        at = now - timedelta(hours=hours)
        UsageChange.objects.create(account_id=account.pk, at=at, calls=calls - 1, seconds=9)
        UsageChange.objects.create(account_id=account.pk, at=at, calls=1, seconds=9, is_sum=True)
    if lately:
        UsageChange.objects.create(account_id=account.pk, at=now - timedelta(minutes=59), calls=lately, seconds=0)
    UsageChange.objects.create(account_id=AccountFactory().pk, at=now, calls=5000, seconds=0)
    assert read()["starts_times_usual", account.sid] == times


@pytest.mark.parametrize(
    ("limits", "used"),
    [
        ({"daily_calls": 10}, 0.4),
        ({"daily_minutes": 2}, 0.75),
        ({"daily_calls": 4, "daily_minutes": 2}, 1),
        ({"daily_calls": 2}, 2),
        ({}, None),
    ],
)
def test_the_share_of_a_daily_limit_that_is_used_up_most(read, limits, used):
    account = AccountFactory(**limits)
    UsageChange.objects.create(account_id=account.pk, at=timezone.now(), calls=4, seconds=90)
    assert read().get(("daily_limit_used", account.sid)) == used


def test_the_inbox(read):
    assert (read()["inbox_events"], read()["inbox_lag_seconds"]) == (0, 0)
    event = CarrierEventFactory()
    CarrierEventFactory(handled=True)
    type(event).objects.update(received_at=timezone.now() - timedelta(seconds=30))
    assert read()["inbox_events"] == 1
    assert 30 <= read()["inbox_lag_seconds"] < 90


def test_counts_of_what_piles_up_stop_somewhere(read, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_COUNTED", 2)
    CarrierEventFactory.create_batch(3)
    assert read()["inbox_events"] == 2


def test_the_webhooks(read):
    now = timezone.now()
    first = WebhookDeliveryFactory(next_try_at=now + timedelta(minutes=1))
    WebhookDeliveryFactory(campaign=first.campaign, next_try_at=now - timedelta(hours=1))
    assert claims.claim(10, now) == []
    assert claims.due_since(now) is None, "one waits for its next try, the other behind it"
    assert read()["webhooks_lag_seconds"] == 0
    WebhookDeliveryFactory(next_try_at=now - timedelta(seconds=20))
    WebhookDeliveryFactory(given_up=True)
    WebhookDeliveryFactory(delivered=True)
    told = read()
    assert (told["webhooks_pending"], told["webhooks_given_up"]) == (3, 1)
    assert 20 <= told["webhooks_lag_seconds"] < 80


# Who is at work ------------------------------------------------------------------------------------------------------


def test_campaigns_trunks_progress_and_repairs(read, redis):
    CampaignFactory(running=True)
    CampaignFactory(completed=True)
    TrunkFactory(name="main")
    TrunkHealthFactory(trunk__name="spare", down=True)
    CallerIdHealthFactory(caller_id__trunk__name="refused", down=True)
    redis.set("progress:control", redis_time(redis) - 40)
    repair_counts.add({"adopted": 2, "leaked": 1})
    repair_counts.add({"adopted": 1})
    told = read()
    assert (told["campaigns", "in-progress"], told["campaigns", "paused"]) == (1, 0)
    assert (told["trunk_up", "main"], told["trunk_up", "spare"]) == (1, 0)
    assert told["trunk_up", "refused"] == 0
    assert 40 <= told["progress_age_seconds", "control"] < 100
    assert told["progress_age_seconds", "load"] == float("inf")
    assert (told["repairs_total", "adopted"], told["repairs_total", "given_up"]) == (3, 0)
    assert told["redis_may_evict"] == 0
    assert (told["redis_refuses_writes"], told["held"]) == (0, 0)


def test_a_hold_is_a_number(read):
    holds.hold(holds.Because.OPERATOR, "a test", actor=ACTOR, now=timezone.now())
    assert read()["held"] == 1


def test_a_sweep_that_repairs_something_is_counted(read, redis):
    reconciliation.rebuild()
    redis.zadd(Scope("account", 1, 0).key, {old_id(15).hex: 4_000_000_000_000})
    recovery.recover(timezone.now())
    assert read()["repairs_total", "leaked"] == 1


def test_without_redis_the_rest_is_shown(read, monkeypatch):
    def away():
        raise RedisAway("refused")

    for module in (channels, liveness, repair_counts):
        monkeypatch.setattr(module, "redis_client", away)
    CarrierEventFactory()
    told = read()
    assert (told["readable", "leases"], told["readable", "inbox"], told["inbox_events"]) == (0, 1, 1)
    assert "leases_without_attempt" not in told


def test_more_campaigns_and_accounts_take_no_more_queries(read, client):
    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            read()
        return len(made)

    CallFactory(campaign=CampaignFactory(running=True))
    few = queries()
    for _ in range(5):
        CallFactory(campaign=CampaignFactory(running=True))
    assert queries() == few < 25
