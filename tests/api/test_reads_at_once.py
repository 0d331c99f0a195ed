"""An account has so many large reads at once; a neighbour has its own."""

import pytest
from django.test import Client

from api.http import account_view
from core import places
from reports import links
from tests.factories import CampaignFactory, CsvUploadFactory

pytestmark = pytest.mark.usefixtures("redis")


@pytest.fixture(autouse=True)
def _one_at_once(settings, monkeypatch):
    settings.READS_AT_ONCE_PER_ACCOUNT = settings.REPORTS_AT_ONCE_PER_ACCOUNT = 1
    monkeypatch.setattr(places, "_rests_until", 0.0)
    monkeypatch.setattr(account_view, "WAIT_FOR_A_PLACE", 0.0)


@pytest.fixture
def is_reading(account):
    """Another read of the account is at work."""
    return places.take(f"reads/{account.pk}", 1)


PATHS = ["/campaigns", "/contacts", "/lists", "/webhook-deliveries", "/campaigns/{campaign}/call-details"]


@pytest.fixture
def campaign(account):
    return CampaignFactory(account=account)


@pytest.mark.parametrize("path", [*PATHS, "/campaigns/{campaign}/diagnosis"])
def test_one_more_is_told_to_come_back(api, campaign, is_reading, path):
    path = path.format(campaign=campaign.pk.hex)
    refused = api.get(path)
    assert refused.is_refused(429, "1 requests for lists")
    assert refused.headers["Retry-After"] == "1"
    is_reading.leave()
    assert [api.get(path).status for _ in range(2)] == [200, 200], "each gives its place back"


SEARCHES = [
    "/contacts?name=asha",
    "/contacts?list_sids={campaign}",
    "/contacts?sort_by=name:desc",
    "/lists?name=parents",
    "/campaigns?offset=10000",
    "/campaigns?offset=%2B20000",
    "/campaigns/{campaign}/call-details?status=busy",
]


@pytest.fixture
def is_searching(account):
    """A search of the account is at work."""
    return places.take(f"searches/{account.pk}", 1)


@pytest.mark.parametrize("path", SEARCHES)
def test_one_search_more_is_told_to_come_back(api, campaign, is_searching, path):
    path = path.format(campaign=campaign.pk.hex)
    assert api.get(path).is_refused(429, "1 searches of this account")
    is_searching.leave()
    assert [api.get(path).status for _ in range(2)] == [200, 200], "each gives its place back"


@pytest.mark.parametrize("path", ["/contacts?name=&offset=9999&filter=show_list", "/campaigns?status=paused&limit=1"])
def test_a_page_that_is_found_at_once_is_no_search(api, is_searching, path):
    assert api.get(path).status == 200


def test_of_searches_half_as_many_are_at_work_as_of_reads(api, account, settings):
    settings.READS_AT_ONCE_PER_ACCOUNT = 4
    at_work = [places.take(f"searches/{account.pk}", 1)]
    assert api.get("/contacts?name=asha").status == 200
    at_work.append(places.take(f"searches/{account.pk}", 2))
    assert all(at_work)
    assert api.get("/contacts?name=asha").is_refused(429, "2 searches")


def test_a_small_read_and_a_change_need_no_place(api, campaign, is_reading):
    assert api.get(f"/campaigns/{campaign.pk.hex}").status == 200
    assert api.post("/lists", {"name": "parents"}).status == 207


def test_a_read_waits_for_the_place_of_one_that_is_nearly_done(api, is_reading, monkeypatch):
    monkeypatch.setattr(account_view, "WAIT_FOR_A_PLACE", 60.0)
    monkeypatch.setattr(places, "sleep", lambda _: is_reading.leave())
    assert api.get("/campaigns").status == 200


def test_no_more_than_a_few_wait_and_keep_threads_from_others(api, account, is_reading, monkeypatch):
    monkeypatch.setattr(account_view, "WAIT_FOR_A_PLACE", 60.0)
    monkeypatch.setattr(places, "sleep", lambda _: pytest.fail("it waits"))
    monkeypatch.setitem(places._waiting, f"reads/{account.pk}", account_view.MOST_WAITING)
    assert api.get("/campaigns").is_refused(429, "1 requests for lists")
    is_reading.leave()
    assert api.get("/campaigns").status == 200


def test_who_has_waited_waits_no_more(api, account, is_reading, monkeypatch):
    for _ in range(account_view.MOST_WAITING + 1):
        assert api.get("/campaigns").status == 429
    assert not places._waiting[f"reads/{account.pk}"]


def test_a_neighbour_has_places_of_its_own(other, is_reading):
    assert other.get("/campaigns").status == 200


def test_a_refused_request_gives_its_place_back(api):
    assert api.get("/campaigns?limit=x").status == 400
    assert api.get("/campaigns").status == 200


def test_rejected_rows_keep_their_place_until_they_are_read(api, account):
    upload = CsvUploadFactory(account=account)
    path = f"{api.root}/csv-status/{upload.pk.hex}/rejected-rows"
    response = Client().get(path, headers=api.headers)
    assert api.get("/lists").status == 429
    assert b"line,reason" in b"".join(response)
    assert api.get("/lists").status == 200


def test_a_report_keeps_its_place_until_it_is_read(client, campaign):
    first = client.get(links.report_url(campaign.pk))
    refused = client.get(links.report_url(campaign.pk))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert b"number" in b"".join(first)
    assert client.get(links.report_url(campaign.pk)).status_code == 200
