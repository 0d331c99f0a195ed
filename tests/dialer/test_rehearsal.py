"""Rehearsals: the real gate, rules, retries and shares over a virtual clock; nothing is dialed and nothing stored."""

import json
from datetime import date, datetime, time, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account
from campaigns.models import Call
from dialer import rehearsal
from dialer.models import CallAttempt
from dialer.rehearsal import DEFAULT, Callees
from tests.conftest import START
from tests.factories import AccountFactory, CallAttemptFactory, CallFactory, CampaignFactory

pytestmark = pytest.mark.django_db

# People who always answer, and talk for ten seconds; channels are held for a minute.
SURE = Callees(answers=(1.0,) * 24, rings={**DEFAULT.rings, "completed": 49.0}, talks=10.0, spread=0.0, overhead=1.0)
# People who never answer.
AWAY = Callees(answers=(0.0,) * 24, busy=0.0, failed=0.0, rings={**DEFAULT.rings, "no-answer": 29.0}, overhead=1.0)


def campaign(numbers: int, *, account: Account | None = None, **columns):
    limits = {"channels": 10, "starts_per_minute": 6000, "opens_at": time(10, 30), "closes_at": time(21)}
    made = CampaignFactory(running=True, account=account or AccountFactory(**limits), **columns)
    Call.objects.bulk_create(Call(campaign=made, number=f"+9198100{n:05}") for n in range(numbers))
    return made


def rehearsed(made, callees: Callees = SURE, **options):
    return rehearsal.rehearse(rehearsal.of_campaign(made, START), callees, **options)


def in_minutes(at: datetime | None) -> float:
    assert at is not None
    return round((at - START) / timedelta(minutes=1), 1)


def test_channels_decide_when_it_finishes(clock):
    found = rehearsed(campaign(30))
    assert in_minutes(found.forecast.finishes_at) == 3.0
    assert found.attempts == {"completed": 30}
    assert [(hour.starts, hour.peak, hour.channels) for hour in found.hours] == [(30, 10, 0.5)]
    assert found.forecast.summary.startswith("all 30 fit before")


def test_the_pace_of_the_account_and_of_the_campaign_decide(clock):
    account = AccountFactory(channels=100, starts_per_minute=6, opens_at=time(0), closes_at=time(0))
    assert in_minutes(rehearsed(campaign(31, account=account)).forecast.finishes_at) == 6.0
    slow = campaign(11, account=AccountFactory(channels=100), mode="custom", throttle=2)
    assert in_minutes(rehearsed(slow).forecast.finishes_at) == 6.0


def test_retries_follow_the_campaigns_policy(clock):
    made = campaign(
        1,
        number_of_retries=2,
        retry_interval_mins=10,
        retry_mechanism="exponential",
        retry_on_status=["no-answer"],
    )
    found = rehearsed(made, AWAY)
    assert found.attempts == {"no-answer": 3}
    # 10 and 20 minutes from the end of an attempt, of half a minute each.
    assert in_minutes(found.forecast.finishes_at) == 31.5


def test_what_does_not_fit_before_the_hours_close_goes_on_the_next_morning(clock):
    """Half past eleven in the morning; 9.5 hours are left, with 10 calls a minute."""
    found = rehearsed(campaign(1, account=None, expires_at=START + timedelta(days=3)))
    assert found.days == {date(2026, 3, 2): 1}
    account = AccountFactory(channels=1, opens_at=time(10, 30), closes_at=time(11, 40))
    found = rehearsed(campaign(12, account=account, expires_at=START + timedelta(days=3)))
    assert found.days == {date(2026, 3, 2): 10, date(2026, 3, 3): 2}
    assert in_minutes(found.forecast.finishes_at) == 24 * 60 - 58


def test_what_does_not_fit_before_the_end_is_canceled_and_spills(clock):
    account = AccountFactory(channels=1, opens_at=time(10, 30), closes_at=time(11, 40))
    found = rehearsed(campaign(12, account=account, expires_at=START + timedelta(hours=6)))
    assert (found.forecast.fits, found.forecast.canceled) == (10, 2)
    assert found.forecast.summary == "10 of 12 fit before 2026-03-02 17:30 IST; the rest will be canceled"
    assert found.spills_to == date(2026, 3, 3)


def test_no_call_before_the_end(clock):
    account = AccountFactory(opens_at=time(18), closes_at=time(21))
    found = rehearsal.forecast(
        rehearsal.of_campaign(campaign(3, account=account, expires_at=START + timedelta(hours=1)), START)
    )
    assert (found.fits, found.canceled) == (0, 3)
    assert found.summary == "none of 3 can be called before 2026-03-02 12:30 IST; all will be canceled"


def test_rules_for_the_people_hold(clock):
    """In New York it is one in the morning: the hours of the callee begin at nine in the evening in India."""
    account = AccountFactory(opens_at=time(0), closes_at=time(0), rules=["us-live"], allowed_countries=["US", "IN"])
    made = CampaignFactory(running=True, account=account, expires_at=START + timedelta(days=2))
    CallFactory(campaign=made, number="+12125550123")
    CallFactory(campaign=made, number="+919810012345")
    found = rehearsed(made)
    assert [hour.begins_at.hour for hour in found.hours if hour.starts] == [6, 13]


def test_a_cap_holds_retries_back(clock):
    account = AccountFactory(opens_at=time(0), closes_at=time(0), number_caps=["1 attempt in 2 hours"])
    made = campaign(1, account=account, number_of_retries=1, retry_interval_mins=10, retry_on_status=["no-answer"])
    assert in_minutes(rehearsed(made, AWAY).forecast.finishes_at) == 120.5


def test_calls_of_the_past_count_for_caps_and_quiet_times(clock):
    """One an hour ago, so that one more is made now, and its retry an hour later; and a conversation."""
    hours = {"opens_at": time(0), "closes_at": time(0)}
    account = AccountFactory(number_caps=["2 attempts in 2 hours"], **hours)
    made = campaign(1, account=account, number_of_retries=1, retry_interval_mins=10, retry_on_status=["no-answer"])
    number = made.calls.get().number
    before = {
        "placing_at": START - timedelta(hours=1),
        "ended_at": START - timedelta(minutes=59),
        "call__number": number,
    }
    CallAttemptFactory(busy=True, call__campaign__account=account, **before)
    CallAttemptFactory(busy=True, **before)  # of another account
    assert in_minutes(rehearsed(made, AWAY).forecast.finishes_at) == 60.5
    talkative = AccountFactory(number_caps=["2 conversations in 3 hours"], **hours)
    made = campaign(1, account=talkative)
    CallFactory(campaign=made, number=number)
    CallAttemptFactory(completed=True, call__campaign__account=talkative, **before)
    assert in_minutes(rehearsed(made).forecast.finishes_at) == 122.0


def test_a_number_is_called_once_at_a_time(clock):
    made = campaign(0)
    for _ in range(3):
        CallFactory(campaign=made, number="+919810012345")
    assert in_minutes(rehearsed(made).forecast.finishes_at) == 3.0


def test_who_is_never_called_is_told_with_the_rule(clock):
    account = AccountFactory(opens_at=time(10), closes_at=time(12), rules=["us-live"], allowed_countries=["US", "IN"])
    made = CampaignFactory(running=True, account=account)
    CallFactory(campaign=made, number="+12125550123")
    CallFactory(campaign=made, number="+919810012345")
    kept = rehearsed(made).forecast.kept
    assert [(one.code, one.count, one.numbers) for one in kept] == [("no-common-hours", 1, ("+12125550123",))]


def test_other_campaigns_take_their_share_of_the_channels(clock):
    account = AccountFactory(channels=2, opens_at=time(0), closes_at=time(0))
    campaign(10, account=account)
    made = CampaignFactory(running=True, account=account)
    for n in range(10):
        CallFactory(campaign=made, number=f"+9198200{n:05}")
    assert in_minutes(rehearsed(made).forecast.finishes_at) == 10.0


def test_a_daily_limit_moves_calls_to_the_next_day(clock):
    account = AccountFactory(daily_calls=4, opens_at=time(10, 30), closes_at=time(21))
    found = rehearsed(campaign(10, account=account, expires_at=START + timedelta(days=5)))
    assert list(found.days.values()) == [4, 4, 2]


def test_many_people_are_thinned_out_and_take_as_long(clock):
    setting = rehearsal.of_campaign(campaign(600), START)
    thin = setting.thinned(300)
    assert (len(thin.waiting), thin.every) == (300, 2)
    whole, part = rehearsal.forecast(setting, SURE), rehearsal.forecast(thin, SURE)
    assert part.numbers == whole.numbers == 600
    assert in_minutes(part.finishes_at) == pytest.approx(in_minutes(whole.finishes_at), rel=0.02)


def test_the_same_seed_has_the_same_course_and_the_range_has_the_end(clock):
    made = campaign(50)
    first, second, third = (rehearsed(made, DEFAULT, seed=seed) for seed in (7, 7, 8))
    assert first == second != third
    assert first.earliest is not None
    assert first.latest is not None
    assert first.earliest <= first.forecast.finishes_at <= first.latest


def test_nothing_is_stored(clock):
    made = campaign(3)
    rehearsed(made)
    assert set(Call.objects.values_list("status", flat=True)) == {"created"}
    assert not CallAttempt.objects.exists()


def test_people_are_learnt_from_the_accounts_past(clock):
    account = AccountFactory()
    assert rehearsal.learnt(account) == DEFAULT
    for _ in range(10):
        CallAttemptFactory(completed=True, call__campaign__account=account, placing_at=START, duration_seconds=100)
    learnt = rehearsal.learnt(account)
    assert learnt.learnt_from == 10
    assert learnt.answers[11] > DEFAULT.answers[11]
    assert learnt.answers[20] == DEFAULT.answers[20]
    assert learnt.talks > DEFAULT.talks


def test_the_command_tells_how_it_would_go(clock):
    made, out = campaign(30), StringIO()
    call_command("campaign", "rehearse", made.pk.hex, "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["numbers"], told["fits"]) == (30, 30)
    call_command("campaign", "rehearse", made.pk.hex, stdout=out)
    assert "all 30 fit before" in out.getvalue()
    with pytest.raises(CommandError, match="there is no campaign"):
        call_command("campaign", "rehearse", "f" * 32)
