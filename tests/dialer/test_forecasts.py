"""Forecasts of campaigns that are stored or only drafted: the same, from as many queries however many people."""

from datetime import date, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Call, Campaign
from core.errors import InvalidRequest, WrongState
from dialer import rehearsal
from dialer.rehearsal import forecasts
from tests.conftest import START
from tests.factories import (
    AccountFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    DoNotCallFactory,
    ListEntryFactory,
)

pytestmark = pytest.mark.django_db

END = START + timedelta(hours=6, minutes=30)


def numbers(count: int) -> list[str]:
    return [f"+9198100{n:05}" for n in range(count)]


@pytest.fixture
def account():
    return AccountFactory(channels=3, opens_at=time(10, 30), closes_at=time(21), rules=["in-service"])


@pytest.fixture
def caller_id(account):
    return CallerIdFactory(account=account)


def stored(account, caller_id, count, **columns):
    made = CampaignFactory(account=account, caller_id=caller_id, running=True, **columns)
    Call.objects.bulk_create(Call(campaign=made, number=number) for number in numbers(count))
    return made


def queries(forecast) -> int:
    with CaptureQueriesContext(connection) as made:
        forecast()
    return len(made)


def test_a_draft_is_told_what_a_stored_campaign_is_told(clock, account, caller_id):
    of_draft = rehearsal.forecast_draft(
        account, now=START, numbers=numbers(500), caller_id=caller_id, send_at=START, end_at=START + timedelta(hours=1)
    )
    campaign = stored(account, caller_id, 500, end_at=START + timedelta(hours=1))
    of_stored = rehearsal.forecast_campaign(campaign, START)
    assert of_draft == of_stored
    assert 0 < of_draft.fits < of_draft.numbers == 500
    assert of_draft.summary == f"{of_draft.fits} of 500 fit before 2026-03-02 12:30 IST; the rest will be canceled"


def test_a_part_of_the_people_stands_for_exactly_all_of_them(clock, account, caller_id, monkeypatch):
    monkeypatch.setattr(forecasts, "FOR_A_FORECAST", 100)
    account.channels = 50
    campaign = stored(account, caller_id, 251, end_at=END)
    for number in numbers(251)[::10]:
        DoNotCallFactory(account=account, number=number)
    drafted = rehearsal.forecast_draft(account, now=START, numbers=numbers(251), caller_id=caller_id, end_at=END)
    for found in (rehearsal.forecast_campaign(campaign, START), drafted):
        [listed] = found.kept
        assert (found.numbers, listed.code) == (251, "do-not-call")
        assert found.fits + listed.count == 251
        assert found.summary.startswith(f"about {found.fits} of 251 fit before")


def test_a_slow_pace_and_a_late_start_make_fewer_fit(clock, account, caller_id):
    def fits(**columns) -> int:
        given = {"caller_id": caller_id, "end_at": END, **columns}
        return rehearsal.forecast_draft(account, now=START, numbers=numbers(300), **given).fits

    assert fits() == 300
    assert fits(send_at=END - timedelta(minutes=10)) < 100
    assert fits(mode="custom", throttle=1, send_at=END - timedelta(minutes=100)) == pytest.approx(100, abs=2)


def test_many_people_take_as_many_queries_as_few(clock, account, caller_id):
    DoNotCallFactory(account=account)
    account.number_caps = ["1 attempt in 1 day"]
    account.save()
    few, many = (stored(account, caller_id, count, end_at=END) for count in (3, 2_500))

    def drafted(count: int) -> int:
        given = {"caller_id": caller_id, "end_at": END}
        return queries(lambda: rehearsal.forecast_draft(account, now=START, numbers=numbers(count), **given))

    assert queries(lambda: rehearsal.forecast_campaign(few, START)) == queries(
        lambda: rehearsal.forecast_campaign(many, START)
    )
    assert drafted(3) == drafted(2_500)


def test_a_draft_from_lists_calls_each_number_once_and_none_of_other_accounts(clock, account, caller_id):
    first, second = ContactListFactory(account=account), ContactListFactory(account=account)
    theirs = ListEntryFactory().contact_list
    for n, number in enumerate(numbers(6)):
        contact = ContactFactory(account=account, number=number)
        for contact_list in (first, second)[: 1 + n % 2]:
            ListEntryFactory(contact_list=contact_list, contact=contact)
    given = {"caller_id": caller_id, "list_ids": [first.pk, second.pk, theirs.pk]}
    assert rehearsal.forecast_draft(account, now=START, **given).numbers == 6
    assert rehearsal.forecast_draft(account, now=START, call_duplicate_numbers=True, **given).numbers == 9


def test_nothing_is_stored_and_a_wrong_schedule_is_refused(clock, account, caller_id):
    given = {"numbers": numbers(3), "caller_id": caller_id, "custom_field": "round-7"}
    rehearsal.forecast_draft(account, now=START, **given)
    assert not Campaign.objects.exists()
    with pytest.raises(InvalidRequest, match="end_at must be after"):
        rehearsal.forecast_draft(account, now=START, end_at=START - timedelta(hours=1), **given)


def test_one_that_has_ended_or_is_loading_has_none(clock):
    with pytest.raises(WrongState, match="completed"):
        rehearsal.forecast_campaign(CampaignFactory(completed=True), START)
    with pytest.raises(WrongState, match="still being made"):
        rehearsal.forecast_campaign(CampaignFactory(is_loading=True, calls_expected=5), START)


def test_a_zone_in_the_row_of_a_list_counts(clock, caller_id):
    """It ends at half past eight in New York, half past seven in Chicago: the hours begin at eight in both."""
    account = AccountFactory(opens_at=time(0), closes_at=time(0), rules=["us-live"], allowed_countries=["US"])
    made = CampaignFactory(
        running=True,
        account=account,
        type="dynamic",
        list_ids=[ContactListFactory(account=account, dynamic=True).pk],
        end_at=datetime.combine(date(2026, 3, 2), time(13, 30), START.tzinfo),
    )
    CallFactory(campaign=made, number="+12125550123", variables={"time_zone": "America/Chicago"})
    assert rehearsal.forecast_campaign(made, START).fits == 0
    Call.objects.update(variables={"time_zone": "America/New_York"})
    assert rehearsal.forecast_campaign(made, START).fits == 1
