"""Which accounts are dispatched: those with a call to dial inside their hours, from the second that changes on."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account, CallerId
from campaigns import schedule
from campaigns.models import Campaign
from dialer import channels, due_accounts, gate, messages, tasks
from dialer.channels import LeaseRequest
from dialer.models import CallerIdHealth, TrunkHealth
from tests.conftest import NUMBERS, START
from tests.factories import AccountFactory, CallerIdFactory, CallFactory, CampaignFactory, TrunkFactory


@pytest.fixture
def running(rig):
    """A campaign with a call that is due."""
    campaign = rig.campaign(1)
    schedule.start_due(timezone.now())
    return campaign


def is_due(rig):
    return due_accounts.due(timezone.now()) == [rig.account.pk]


def hours(rig, opens, closes, zone="Asia/Kolkata"):
    Account.objects.filter(pk=rig.account.pk).update(opens_at=opens, closes_at=closes, time_zone=zone)


def test_an_account_with_a_due_call_is_dispatched(rig, running):
    assert is_due(rig)


def test_an_account_outside_its_hours_is_not_and_is_from_the_moment_that_they_open(rig, running):
    hours(rig, time(12), time(21))  # the clock stands at 11:30
    assert not is_due(rig)
    rig.clock.shift(timedelta(minutes=30) - timedelta(seconds=1))
    assert not is_due(rig)
    rig.clock.shift(timedelta(seconds=1))
    assert is_due(rig)


def test_a_change_of_hours_or_of_the_zone_counts_from_the_next_second_on(rig, running):
    hours(rig, time(12), time(21))
    assert not is_due(rig)
    hours(rig, time(11, 30), time(21))
    assert is_due(rig)
    hours(rig, time(11, 30), time(21), "Europe/London")
    assert not is_due(rig)


@pytest.mark.parametrize(
    ("columns", "is_open"),
    [
        ({"opens_at": time(18, 30), "closes_at": time(11, 31)}, True),  # since yesterday evening
        ({"opens_at": time(18, 30), "closes_at": time(11, 30)}, False),
        ({"weekly_hours": "Mon 11:30-12:00"}, True),
        ({"weekly_hours": "Tue-Sun 11:00-12:00; Mon 12:00-13:00"}, False),
        ({"closed_on": [date(2026, 3, 2)]}, False),
        ({"closed_on": [date(2026, 3, 3)]}, True),
        ({"holidays_of": ["IN"]}, True),
        ({"holidays_of": ["AD"]}, True),
        ({"holidays_of": ["ET"]}, False),  # the victory of Adwa
    ],
)
def test_weeks_nights_and_holidays_count(rig, running, columns, is_open):
    Account.objects.filter(pk=rig.account.pk).update(**columns)
    assert is_due(rig) is is_open
    assert (rig.dispatch() > 0) is is_open


def test_hours_follow_a_change_of_dst(rig, running):
    hours(rig, time(2, 30), time(21), "Europe/Berlin")
    Campaign.objects.update(expires_at=datetime(2026, 12, 1, tzinfo=UTC))
    jump = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 02:00 becomes 03:00
    rig.clock.move_to(jump - timedelta(seconds=1))
    assert not is_due(rig)
    rig.clock.move_to(jump)
    assert is_due(rig)


def test_deactivation_counts_at_once_and_so_does_its_end(rig, running):
    for model in (Account, CallerId):
        model.objects.update(is_active=False)
        assert not is_due(rig)
        model.objects.update(is_active=True)
        assert is_due(rig)


@pytest.mark.parametrize("model", [TrunkHealth, CallerIdHealth])
def test_a_rest_of_the_trunk_or_the_caller_id_holds_it_back_until_its_end(rig, running, model):
    owner = {"trunk": rig.trunk} if model is TrunkHealth else {"caller_id": rig.caller_id}
    model.objects.create(failures=1, resting_until=timezone.now() + timedelta(seconds=5), **owner)
    assert not is_due(rig)
    rig.clock.shift(5)
    assert is_due(rig)


def test_an_account_whose_calls_are_all_up_is_left_alone(rig, running):
    rig.carrier.script = {NUMBERS[0]: ["silent"]}
    rig.tick()
    rig.dispatch()
    assert not is_due(rig)


def test_an_unknown_time_zone_of_one_account_stops_no_other(rig, running):
    AccountFactory(time_zone="Asia/Kolkatta")
    assert is_due(rig)


@pytest.fixture
def sent(monkeypatch):
    told: list[tuple[Any, int]] = []
    monkeypatch.setattr(messages, "enqueue_dispatch", lambda ids: told.extend(("now", pk) for pk in ids))
    monkeypatch.setattr(messages, "enqueue_dispatch_later", lambda pk, seconds: told.append((seconds, pk)))
    return told


def test_a_full_account_gets_no_message(rig, running, sent, redis):
    Account.objects.update(channels=1)
    account = Account.objects.get()
    scope = channels.account_scope(account)
    channels.lease([LeaseRequest(running.pk, (scope,))])
    tasks.dispatch_due()
    assert sent == []
    channels.release([(running.pk, [scope.key])])
    tasks.dispatch_due()
    assert sent == [("now", account.pk)]


def test_an_account_that_waits_for_its_pace_gets_its_message_for_that_moment(rig, running, sent):
    Account.objects.update(starts_per_minute=120)
    account = Account.objects.get()
    channels.lease([LeaseRequest(running.pk, (channels.account_scope(account),), (channels.account_bucket(account),))])
    tasks.dispatch_due()
    [(seconds, pk)] = sent
    assert pk == account.pk
    assert 0 < seconds <= 0.6


def test_accounts_outside_their_hours_cost_one_query_however_many_they_are(rig, running, sent):
    """Their hours are asked for; their campaigns are not even looked at."""
    hours(rig, time(12), time(21))
    for closes in (time(13), time(14), time(15)):
        CampaignFactory(running=True, account=AccountFactory(opens_at=time(12), closes_at=closes))
    with CaptureQueriesContext(connection) as statements:
        tasks.dispatch_due()
    assert [statement["sql"].count("campaigns_campaign") for statement in statements] == [0]
    assert sent == []


moments = st.none() | st.integers(-2, 2).map(lambda seconds: START + timedelta(seconds=seconds))
healths = st.none() | st.fixed_dictionaries(
    {"failures": st.integers(0, 2), "resting_until": moments, "next_try_at": moments}
)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    account_active=st.booleans(),
    caller_id_active=st.booleans(),
    opens=st.sampled_from([time(0), time(12)]),
    end=st.integers(-1, 1),
    status=st.sampled_from(["in-progress", "paused", "completed"]),
    own=healths,
    shared=healths,
)
def test_sql_lets_pass_whatever_the_gate_opens_for(account_active, caller_id_active, opens, end, status, own, shared):
    """Never stricter than the gate. Where it is as strict, that is cheaper, and nothing more."""
    with time_machine.travel(START, tick=False):
        account = AccountFactory(is_active=account_active, opens_at=opens, closes_at=time(0))
        caller_id = CallerIdFactory(account=account, is_active=caller_id_active, trunk=TrunkFactory())
        traits = {"in-progress": {"running": True}, "paused": {"paused": True}, "completed": {"completed": True}}
        ends = {"end_at": START + timedelta(seconds=end)}
        made = CampaignFactory(account=account, caller_id=caller_id, **traits.get(status, {}), **ends)
        CallFactory(campaign=made)
        if own:
            CallerIdHealth.objects.create(caller_id=caller_id, **own)
        if shared:
            TrunkHealth.objects.create(trunk=caller_id.trunk, **shared)
        campaign = Campaign.objects.select_related("account", "caller_id__trunk").get(pk=made.pk)
        verdict = gate.check(campaign, START)
        rests_alone = all(not health or not (health["failures"] and (health["next_try_at"] or START) > START)
                          for health in (own, shared))  # fmt: skip
        if isinstance(verdict, gate.Open) and rests_alone:
            assert account.pk in due_accounts.due(START)
        elif not isinstance(verdict, gate.Open):
            assert account.pk not in due_accounts.due(START), "these rules are columns, so SQL knows them too"
