"""Pages of lists: what one costs, however deep it is."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.models import Contact
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, ContactFactory, ContactListFactory


@pytest.fixture
def ran(api, account):
    """A campaign with four attempts, and the ids of these in the order of their claims."""
    campaign = CampaignFactory(account=account, running=True)
    moments = [timezone.now() - timedelta(minutes=4 - n) for n in (2, 0, 3, 1)]
    calls = [CallFactory(campaign=campaign, completed=True) for _ in moments]
    attempts = [
        CallAttemptFactory(call=call, completed=True, claimed_at=at) for call, at in zip(calls, moments, strict=True)
    ]
    assert api.get("/campaigns").status == 200  # stores when the key was used
    return campaign, [attempt.pk.hex for attempt in sorted(attempts, key=lambda attempt: attempt.claimed_at)]


def read(api, path: str, table: str):
    """Return the records of a page, and the statements that read the table."""
    with CaptureQueriesContext(connection) as context:
        response = api.get(path)
    return response, [query["sql"] for query in context if f'FROM "{table}"' in query["sql"]]


def test_a_deep_page_passes_over_keys_and_loads_the_rows_of_the_page_alone(api, ran):
    campaign, sids = ran
    path = f"/campaigns/{campaign.pk.hex}/call-details"
    response, (keys, rows, _count) = read(api, f"{path}?offset=1&limit=2", "dialer_callattempt")
    assert [record["call_sid"] for record in response.records] == sids[1:3]
    assert "OFFSET 1" in keys
    assert "JOIN" not in keys
    assert "OFFSET" not in rows
    assert "JOIN" in rows
    newest_first = read(api, f"{path}?offset=2&limit=2&sort_by=date_created:desc", "dialer_callattempt")[0]
    assert [record["call_sid"] for record in newest_first.records] == sids[1::-1]


@pytest.mark.parametrize(
    ("query", "shown", "counts"),
    [("", 4, False), ("?limit=5", 4, False), ("?limit=4", 4, True), ("?offset=3", 1, False), ("?offset=9", 0, True)],
)
def test_a_page_that_is_not_full_is_the_last_and_nothing_is_counted(api, ran, query, shown, counts):
    response, statements = read(api, f"/campaigns/{ran[0].pk.hex}/call-details{query}", "dialer_callattempt")
    assert (len(response.records), response.metadata["total"]) == (shown, 4)
    assert any("COUNT(" in sql for sql in statements) is counts


def test_the_contacts_of_two_lists_come_once_on_deep_pages_too(api, account):
    people = [ContactFactory(account=account) for _ in range(3)]
    lists = [ContactListFactory(account=account) for _ in range(2)]
    for contact_list in lists:
        for person in people:
            contact_list.entries.create(contact=person)
    path = f"/contacts?list_sids={','.join(row.pk.hex for row in lists)}"
    sids = [pk.hex for pk in Contact.objects.order_by("created_at", "pk").values_list("pk", flat=True)]
    assert [record["sid"] for record in api.get(f"{path}&offset=1&limit=1").records] == sids[1:2]
    assert [record["sid"] for record in api.get(f"{path}&offset=1").records] == sids[1:]
    assert api.get(f"{path}&offset=1&limit=1").metadata["total"] == 3
