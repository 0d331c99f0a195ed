"""Reports on the tally by hour."""

import csv
import io
from datetime import UTC, date, datetime
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console import hourly
from console.hourly import Days, Scope
from dialer.models import HourTally
from tests.factories import AccountFactory, CallerIdFactory, CampaignFactory

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:reports")
# A Monday, 11:00 in India, where the hours of the clock begin half an hour after those of UTC.
MONDAY = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
DAYS = Days(date(2026, 3, 1), date(2026, 3, 7))
RANGE = {"first": "2026-03-01", "last": "2026-03-07"}


@pytest.fixture
def campaign():
    return CampaignFactory(running=True, account=AccountFactory(time_zone="Asia/Kolkata"))


def tally(campaign, outcome="completed", attempts=1, hour=MONDAY, **columns):
    talk = {"talk_from": 15, "seconds": 20 * attempts} if outcome == "completed" else {"talk_from": None, "seconds": 0}
    HourTally.objects.create(
        **{
            "account_id": campaign.account_id,
            "campaign_id": campaign.pk,
            "caller_id_id": campaign.caller_id_id,
            "hour": hour,
            "outcome": outcome,
            "number": 1,
            "digits": "",
            "attempts": attempts,
            **talk,
            **columns,
        }
    )


def scope(campaign, days=DAYS, **options) -> Scope:
    return Scope(campaign.account, days, **options)


def text(response) -> str:
    return " ".join(response.content.decode().split())


def test_the_map_is_by_the_account_s_clock(campaign):
    tally(campaign, attempts=9)
    tally(campaign, attempts=-1)  # rows are differences
    tally(campaign, "busy", attempts=12)
    tally(campaign, "no-answer", hour=datetime(2026, 3, 3, 7, 30, tzinfo=UTC))

    found = hourly.answer_map(scope(campaign))

    assert list(found.hours) == [11, 12, 13]
    monday = dict(dict(found.rows)["Monday"])
    assert (monday[11].calls, monday[11].answered, monday[11].level) == (20, 8, 2)
    tuesday = dict(dict(found.rows)["Tuesday"])
    assert (tuesday[13].calls, tuesday[13].level) == (1, None), "too few calls say nothing"
    assert found.best is not None
    assert found.best[:2] == ("Monday", 11)


def test_days_are_those_of_the_account(campaign):
    tally(campaign, hour=datetime(2026, 3, 1, 18, 30, tzinfo=UTC))  # Monday, 0:00
    tally(campaign, "busy", hour=datetime(2026, 2, 28, 18, 30, tzinfo=UTC))  # Sunday, 0:00
    tally(campaign, hour=datetime(2026, 2, 28, 17, 30, tzinfo=UTC))  # Saturday, 23:00
    tally(campaign, hour=datetime(2026, 3, 7, 18, 30, tzinfo=UTC))  # the day after

    days = hourly.by_day(scope(campaign))

    assert [day for day, _ in days] == DAYS.dates
    counted = {day.day: (row.calls, row.answered) for day, row in days if row.calls}
    assert counted == {1: (1, 0), 2: (1, 1)}


def test_short_calls_are_a_share_of_those_whose_duration_is_known(campaign):
    other = CallerIdFactory(account=campaign.account)
    tally(campaign, attempts=2, talk_from=0, seconds=4)
    tally(campaign, attempts=2)
    tally(campaign, attempts=4, talk_from=None, seconds=0)
    tally(campaign, attempts=1, caller_id_id=other.pk)

    first, second = hourly.by_caller_id(scope(campaign))

    assert (first.name, first.counted.answered, first.short, first.short_share) == (
        campaign.caller_id.number,
        8,
        2,
        0.5,
    )
    assert first.mean_seconds == 11
    assert (second.name, second.short_share) == (other.number, 0)
    [alone] = hourly.by_caller_id(scope(campaign, caller_id=other))
    assert alone.name == other.number


def test_campaigns_are_compared_by_attempt_over_all_their_days(campaign):
    other = CampaignFactory(running=True, account=campaign.account)
    tally(campaign, "busy", attempts=3)
    tally(campaign, attempts=1, number=2, hour=datetime(2025, 3, 2, 5, 30, tzinfo=UTC))

    first, second = hourly.of_campaigns(campaign.account, [campaign, other])

    assert (first.name, first.counted.calls, first.counted.rate) == (campaign.name, 4, 0.25)
    assert {number: row.calls for number, row in first.by_number.items()} == {1: 3, 2: 1}
    assert (second.counted.calls, second.counted.rate) == (0, None)


def test_other_accounts_count_for_nothing(campaign):
    tally(CampaignFactory(running=True))
    assert not hourly.answer_map(scope(campaign)).hours
    assert hourly.by_caller_id(scope(campaign)) == []


def test_the_page_shows_what_is_asked_for(person, campaign):
    tally(campaign, attempts=20)
    tally(campaign, "busy", attempts=20)
    other = CampaignFactory(running=True, account=campaign.account)
    client = person("viewer", campaign.account)
    asked = RANGE | {"campaign": [campaign.pk, other.pk], "caller_id": campaign.caller_id_id}

    page = text(client.get(PAGE, asked))

    assert "40 calls ended, 50% answered" in page
    assert "Most answered: Monday at 11:00, 50% of 40 calls." in page
    assert 'title="Monday 11:00, 20 of 40 answered"' in page
    assert "Campaigns compared" in page
    assert "2026-03-02: 20 answered of 40" in page


def test_the_usual_days_are_the_last_ones(person, campaign, clock):
    clock.move_to(datetime(2026, 3, 2, 20, 0, tzinfo=UTC))  # already Tuesday in India
    page = text(person("viewer", campaign.account).get(PAGE))
    assert "2026-02-04 to 2026-03-03 in Asia/Kolkata" in page
    assert "No call ended on these days." in page


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"first": "yesterday"}, "A day is written as 2030-01-31."),
        ({"first": "2026-03-07", "last": "2026-03-01"}, "must not be after the last"),
        ({"first": "2020-01-01", "last": "2026-03-01"}, "too many for one page"),
        ({"first": "0001-01-01", "last": "0001-01-02"}, ""),
        ({"last": "9999-12-31"}, "must not be after the last"),
    ],
)
def test_days_that_can_t_be_shown_are_said(person, campaign, asked, said):
    response = person("viewer", campaign.account).get(PAGE, asked)
    assert response.status_code == 200
    assert said in text(response)


@pytest.mark.parametrize("asked", [{"account": "x"}, {"caller_id": "9" * 30}, {"caller_id": "x"}, {"campaign": "x"}])
def test_what_is_not_the_person_s_is_not_found(person, campaign, asked):
    assert person("viewer", campaign.account).get(PAGE, asked).status_code == 404


def test_nothing_of_others_is_asked_for(person, campaign):
    client = person("viewer", AccountFactory())
    asked = {"account": campaign.account.sid}, {"campaign": campaign.pk}, {"caller_id": campaign.caller_id_id}
    for one in asked:
        assert client.get(PAGE, one).status_code == 404
        assert client.get(reverse("admin:reports_csv", args=["caller-ids"]), one).status_code == 404


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("answers-by-hour", ["Monday", "11", "2", "1", "0.500"]),
        ("outcomes-by-day", ["2026-03-02", "2", "1", "1", "0", "0", "0.500"]),
        ("caller-ids", ["{number}", "2", "1", "1", "0", "0", "0.500", "0", "0.000", "20.000"]),
        ("campaigns", ["'=Fees", "2", "1", "1", "0", "0", "0.500", "0", "0.000", "20.000"]),
    ],
)
def test_what_is_shown_can_be_downloaded(person, campaign, table, line):
    campaign.name = "=Fees"
    campaign.save()
    tally(campaign)
    tally(campaign, "busy")
    address = reverse("admin:reports_csv", args=[table])
    response = person("viewer", campaign.account).get(address, RANGE | {"campaign": campaign.pk})
    assert response.headers["Content-Disposition"].startswith(f'attachment; filename="{table}-')
    rows = list(csv.reader(io.StringIO(response.content.decode())))
    assert [cell.format(number=campaign.caller_id.number) for cell in line] in rows
    assert {len(row) for row in rows} == {len(line)}


def test_there_is_no_other_table(person, campaign):
    assert person("viewer", campaign.account).get(reverse("admin:reports_csv", args=["x"])).status_code == 404


def test_a_person_without_an_account_is_told(person):
    assert "There is no account yet." in text(person("administrator").get(PAGE))


def test_the_queries_do_not_grow_with_the_calls(person, campaign):
    client = person("viewer", campaign.account)

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert client.get(PAGE, RANGE | {"campaign": campaign.pk}).status_code == 200
        return len(counted)

    tally(campaign)
    one = queries()
    for number in range(1, 6):
        tally(campaign, "busy", number=number, hour=datetime(2026, 3, number, 6, 30, tzinfo=UTC))
        tally(campaign, caller_id_id=CallerIdFactory(account=campaign.account).pk)
    assert queries() == one


CHARTS = {
    "answers-by-hour": "Monday 11:00: 8 of 20 answered",
    "outcomes-by-day": "2026-03-02: 8 answered of 20, 12 busy, 0 not answered, 0 failed",
    "caller-ids": "{number}: 2 of 8 short",
    "campaigns": "Fees: 8 answered of 20, 12 busy, 0 not answered, 0 failed",
}


@pytest.mark.parametrize("table", CHARTS)
def test_every_table_has_a_chart_that_is_a_file_too(person, campaign, table):
    campaign.name = "Fees"
    campaign.save()
    tally(campaign, attempts=6)
    tally(campaign, attempts=2, talk_from=0, seconds=4)
    tally(campaign, "busy", attempts=12)
    client, asked = person("viewer", campaign.account), RANGE | {"campaign": campaign.pk}
    address = reverse("admin:reports_chart", args=[table])
    assert f'href="{address}?first=2026-03-01' in text(client.get(PAGE, asked)), "the script makes a PNG of it"

    response = client.get(address, asked)

    name = f"{table}-{campaign.account.sid}-2026-03-01-2026-03-07.svg"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    drawn = ElementTree.fromstring(response.content)
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert CHARTS[table].format(number=campaign.caller_id.number) in titles
    assert "var(" not in text(response), "a file has no style sheet"


def test_a_chart_of_nothing_is_not_there(person, campaign):
    client = person("viewer", campaign.account)
    assert "reports/outcomes-by-day.svg" not in text(client.get(PAGE))
    for table in (*CHARTS, "x"):
        assert client.get(reverse("admin:reports_chart", args=[table])).status_code == 404
    assert (
        person("viewer", AccountFactory(), "asha")
        .get(reverse("admin:reports_chart", args=["caller-ids"]), {"account": campaign.account.sid})
        .status_code
        == 404
    )


def test_days_without_a_call_have_no_rate(person, campaign):
    assert "0 calls ended." in text(person("viewer", campaign.account).get(PAGE))


def test_the_account_of_many_is_typed(person, campaign, monkeypatch):
    monkeypatch.setattr("console.views.reports.MOST_OFFERED", 1)
    AccountFactory(sid="a-first")
    page = text(person("viewer").get(PAGE, {"account": campaign.account.sid}))
    assert f'<input id="account" name="account" value="{campaign.account.sid}"' in page
