"""The number of queries behind a response about campaigns: the same for one as for twenty."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Call, Campaign
from tests.api.client import NUMBERS, campaign
from tests.factories import CallFactory, CampaignFactory, CustomFieldFactory

MANY = [f"+9198100{number:05}" for number in range(200)]


@pytest.fixture(autouse=True)
def key_was_used(api):
    """The first request with a key stores when it was used."""
    assert api.get("/campaigns").status == 200


def statements(ask, status: int = 200) -> list[str]:
    with CaptureQueriesContext(connection) as context:
        assert ask().status == status
    return [query["sql"] for query in context.captured_queries]


def after_the_last_write(executed: list[str]) -> list[str]:
    """The statements that build the response of a request which writes."""
    writes = [position for position, sql in enumerate(executed) if sql.startswith(("INSERT", "UPDATE", "RELEASE"))]
    return executed[writes[-1] + 1 :]


def test_a_list_of_twenty_campaigns_takes_as_many_as_a_list_of_one(api, account):
    def list_of(size: int) -> int:
        rows = CampaignFactory.create_batch(size - Campaign.objects.count(), account=account)
        CustomFieldFactory(campaign=rows[0])
        return len(statements(lambda: api.get("/campaigns?limit=500")))

    assert list_of(1) == list_of(20)


def test_a_campaign_is_shown_with_three_statements(api):
    """Its key, its row, and all else: while the machine dials, each of them waits for a core twice."""
    [made] = api.post("/campaigns", {"campaigns": [campaign(custom_field="round-7")]}).items
    executed = statements(lambda: api.get(f"/campaigns/{made['data']['id']}"))
    assert len(executed) == 3


@pytest.mark.parametrize("custom_field", ["", "round-7"])
def test_the_response_to_a_create_of_twenty_takes_as_many_as_that_of_one(api, custom_field):
    def create(times: int) -> list[str]:
        body = {"campaigns": [campaign(name=f"campaign {n}", custom_field=custom_field) for n in range(times)]}
        executed = statements(lambda: api.post("/campaigns", body))
        assert not [sql for sql in executed if sql.startswith("DELETE")], "a new campaign has nothing to take away"
        return after_the_last_write(executed)

    of_one, of_twenty = create(1), create(20)
    assert not of_one, "all that the response shows is known"
    assert not of_twenty


def test_a_create_of_one_campaign_is_one_transaction(api):
    executed = statements(lambda: api.post("/campaigns", {"campaigns": [campaign()]}))
    assert sum(sql.startswith("SAVEPOINT") for sql in executed) == 1, "the one of the test's own is around it"


def test_a_create_responds_with_the_numbers_that_are_called(api):
    twice = [*NUMBERS, NUMBERS[0]]
    response = api.post(
        "/campaigns", {"campaigns": [campaign(numbers=twice), campaign(numbers=twice, call_duplicate_numbers=True)]}
    )
    assert [item["data"]["from"] for item in response.items] == [NUMBERS, twice]
    for item in response.items:
        calls = Call.objects.filter(campaign=item["data"]["id"]).order_by("id")
        assert list(calls.values_list("number", flat=True)) == item["data"]["from"]


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"action": "pause"}, {"from": MANY}])
def test_a_change_of_a_campaign_with_many_numbers_takes_as_many_as_of_one_with_one(api, account, change):
    def times(size: int) -> int:
        row = CampaignFactory(account=account)
        CallFactory.create_batch(size, campaign=row)
        return len(statements(lambda: api.put(f"/campaigns/{row.pk.hex}", change)))

    assert times(1) == times(20)
