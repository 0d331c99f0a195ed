"""Lists: one and many, a result for each, their contacts, and what prevents their deletion."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts import lists
from contacts.csv_uploads import loading
from contacts.models import Contact, ContactList
from tests.factories import (
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    CsvUploadFactory,
    ListEntryFactory,
)

pytestmark = pytest.mark.usefixtures("shared_account")


@pytest.fixture
def parents(account):
    return ContactListFactory(account=account, name="parents", tag="school")


def references(*contacts: Contact) -> dict[str, Any]:
    return {"contact_references": [{"contact_sid": contact.pk.hex} for contact in contacts]}


class TestCreate:
    def test_a_list_has_a_sid_and_no_contacts(self, api):
        response = api.post("/lists", {"lists": [{"name": "parents", "tag": "school"}]})
        assert (response.status, response.codes) == (207, [200])
        data = response.data
        assert data | {"date_created": "", "date_updated": ""} == {
            "sid": ContactList.objects.get().pk.hex,
            "name": "parents",
            "tag": "school",
            "type": "static",
            "contact_count": 0,
            "allow_blanks": False,
            "date_created": "",
            "date_updated": "",
        }

    def test_each_item_has_a_code_of_its_own_and_a_duplicate_the_old_sid(self, api, parents):
        response = api.post(
            "/lists", {"lists": [{"name": "staff"}, {"name": "parents"}, {"tag": "x"}, {"name": ""}, 5]}
        )
        assert (response.status, response.codes) == (207, [200, 409, 400, 400, 400])
        assert response.items[1]["data"]["sid"] == parents.pk.hex
        assert "parents" in response.items[1]["error_data"]["description"]

    def test_another_account_may_have_a_list_of_that_name(self, api, other):
        other.post("/lists", {"name": "parents"})
        assert api.post("/lists", {"name": "parents"}).codes == [200]


class TestChange:
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_a_list_is_renamed(self, api, parents, wrapped):
        body = {"name": "guardians"}
        response = api.put(f"/lists/{parents.pk.hex}", {"lists": [body]} if wrapped else body)
        assert (response.status, response.data["name"], response.data["tag"]) == (200, "guardians", "school")

    def test_another_lists_name_is_refused(self, api, parents, account):
        ContactListFactory(account=account, name="staff")
        assert api.put(f"/lists/{parents.pk.hex}", {"name": "staff"}).is_refused(409, "staff")

    def test_many_are_renamed_with_a_code_each(self, api, parents, account):
        staff = ContactListFactory(account=account, name="staff")
        given = [
            {"sid": parents.pk.hex, "name": "guardians"},
            {"sid": staff.pk.hex, "name": "guardians"},
            {"sid": "0" * 32, "name": "x"},
            {"sid": staff.pk.hex, "name": ""},
        ]
        response = api.put("/lists", {"lists": given})
        assert (response.status, response.codes) == (207, [200, 409, 404, 400])


class TestManyAtOnce:
    """A request of five thousand lists takes a few statements."""

    @pytest.fixture(autouse=True)
    def _key_was_used(self, api):
        api.get("/lists")

    def statements(self, ask) -> int:
        with CaptureQueriesContext(connection) as context:
            assert ask().status == 207
        return len(context)

    def test_creating_many_takes_as_many_statements_as_creating_one(self, api):
        def create(*names: str) -> int:
            return self.statements(lambda: api.post("/lists", {"lists": [{"name": name} for name in names]}))

        assert create("one") == create(*(f"list {n}" for n in range(20)))

    def test_changing_many_takes_as_many_statements_as_changing_one(self, api, account):
        def change(count: int) -> int:
            rows = ContactListFactory.create_batch(count, account=account)
            given = [{"sid": row.pk.hex, "name": f"{row.name} again", "tag": "x"} for row in rows]
            return self.statements(lambda: api.put("/lists", {"lists": given}))

        assert change(1) == change(20)
        assert ContactList.objects.filter(name__endswith=" again", tag="x").count() == 21

    def test_of_two_with_one_name_the_first_is_created(self, api):
        response = api.post("/lists", {"lists": [{"name": "a", "tag": "first"}, {"name": "a", "tag": "second"}]})
        assert response.codes == [200, 409]
        assert ContactList.objects.get().tag == "first"


class TestRead:
    def test_a_list_says_how_many_contacts_it_has(self, api, parents):
        ListEntryFactory.create_batch(3, contact_list=parents)
        assert api.get(f"/lists/{parents.pk.hex}").data["contact_count"] == 3
        assert api.get("/lists").records[0]["contact_count"] == 3

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["b", "a", "c"]),
            ("sort_by=name:asc", ["a", "b", "c"]),
            ("sort_by=date_created:desc", ["c", "a", "b"]),
            ("name=A", ["a"]),
            ("offset=1&limit=1", ["a"]),
        ],
    )
    def test_paged_sorted_and_found_by_name(self, api, account, query, names):
        for name in "bac":
            ContactListFactory(account=account, name=name)
        assert [data["name"] for data in api.get(f"/lists?{query}").records] == names

    def test_twenty_by_default(self, api, account):
        ContactListFactory.create_batch(21, account=account)
        assert api.get("/lists").metadata == {"count": 20, "offset": 0, "total": 21, "limit": 20}


class TestLimits:
    @pytest.mark.parametrize(("method", "key"), [("POST", "lists"), ("PUT", "lists"), ("PUT", "contacts")])
    def test_five_thousand_and_one_are_too_many(self, api, method, key):
        body = {key: [{"sid": "0" * 32, "name": "parents"}] * 5001}
        assert api.send(method, f"/{key}", body).is_refused(400, "5,001", "5,000")
        assert not ContactList.objects.exists()

    def test_a_list_holds_half_a_million_and_a_file_brings_as_many(self):
        assert (lists.MAX_ENTRIES, loading.MAX_ROWS) == (500_000, 500_000)


class TestMembership:
    def test_each_contact_is_answered_with_the_list_and_its_own_sid(self, api, parents, account):
        contacts = ContactFactory.create_batch(2, account=account)
        response = api.post(f"/lists/{parents.pk.hex}/contacts", references(*contacts))
        assert response.metadata == {"total": 2, "success": 2, "failed": 0}
        assert [item["data"] for item in response.items] == [
            {"list_id": parents.pk.hex, "sid": contact.pk.hex} for contact in contacts
        ]
        listed = api.get(f"/lists/{parents.pk.hex}/contacts")
        assert [data["sid"] for data in listed.records] == [contact.pk.hex for contact in contacts]
        second = api.get(f"/lists/{parents.pk.hex}/contacts?offset=1")
        assert [data["sid"] for data in second.records] == [contacts[1].pk.hex]
        assert second.metadata | {"limit": 0} == {"count": 1, "offset": 1, "total": 2, "limit": 0}

    def test_a_contact_that_is_in_the_list_or_unknown_gets_a_code_of_its_own(self, api, parents, account, other):
        there = ListEntryFactory(contact_list=parents).contact
        new, theirs = ContactFactory(account=account), ContactFactory(account=other.account)
        body = references(there, new, new, theirs)
        body["contact_references"] += [{"contact_sid": "nonsense"}, {}]
        response = api.post(f"/lists/{parents.pk.hex}/contacts", body)
        assert response.codes == [409, 200, 409, 404, 400, 400]
        assert response.items[0]["data"] == {"list_id": parents.pk.hex, "sid": there.pk.hex}
        assert parents.entries.count() == 2

    def test_five_thousand_and_one_are_too_many(self, api, parents):
        body = {"contact_references": [{"contact_sid": "0" * 32}] * 5001}
        assert api.post(f"/lists/{parents.pk.hex}/contacts", body).is_refused(400, "5,001", "5,000")

    def test_a_dynamic_list_is_filled_by_csv_only(self, api, account):
        dynamic = ContactListFactory(account=account, dynamic=True)
        response = api.post(f"/lists/{dynamic.pk.hex}/contacts", references(ContactFactory(account=account)))
        assert response.is_refused(400, "CSV")

    def test_a_full_list_accepts_no_contact(self, api, parents, account, monkeypatch):
        monkeypatch.setattr("contacts.lists.MAX_ENTRIES", 1)
        body = references(*ContactFactory.create_batch(2, account=account))
        assert api.post(f"/lists/{parents.pk.hex}/contacts", body).is_refused(400, "more than 1 entries")
        assert parents.entries.count() == 0

    def test_a_contact_is_taken_out_of_the_list_only(self, api, parents):
        contact = ListEntryFactory(contact_list=parents).contact
        path = f"/lists/{parents.pk.hex}/contacts/{contact.pk.hex}"
        assert api.delete(path).data == {"list_id": parents.pk.hex, "sid": contact.pk.hex}
        assert api.delete(path).is_refused(404, contact.pk.hex)
        assert api.get(f"/contacts/{contact.pk.hex}").status == 200

    def test_pages_of_contacts_are_clamped_to_twenty(self, api, parents):
        ListEntryFactory.create_batch(21, contact_list=parents)
        response = api.get(f"/lists/{parents.pk.hex}/contacts?limit=1000")
        assert response.metadata == {"count": 20, "offset": 0, "total": 21, "limit": 20}


class TestDelete:
    def test_the_contacts_stay(self, api, parents):
        ListEntryFactory(contact_list=parents)
        assert api.delete(f"/lists/{parents.pk.hex}").data["sid"] == parents.pk.hex
        assert Contact.objects.count() == 1
        assert api.get(f"/lists/{parents.pk.hex}").status == 404

    @pytest.mark.parametrize("state", ["created", "running", "paused"])
    def test_a_list_that_an_open_campaign_uses_is_not_deleted(self, api, parents, account, state):
        traits = {} if state == "created" else {state: True}
        campaign = CampaignFactory(account=account, list_ids=[parents.pk], **traits)
        assert api.delete(f"/lists/{parents.pk.hex}").is_refused(409, campaign.pk.hex, campaign.status)
        assert ContactList.objects.count() == 1

    def test_a_list_of_an_ended_campaign_can_go_and_the_campaign_still_names_it(self, api, parents, account):
        campaign = CampaignFactory(account=account, completed=True, list_ids=[parents.pk])
        assert api.delete(f"/lists/{parents.pk.hex}").status == 200
        assert api.get(f"/campaigns/{campaign.pk.hex}").data["lists"] == [parents.pk.hex]

    def test_a_list_that_is_being_loaded_is_not_deleted(self, api, parents, account):
        upload = CsvUploadFactory(account=account, contact_list=parents)
        assert api.delete(f"/lists/{parents.pk.hex}").is_refused(409, "loaded", upload.pk.hex)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", b""),
        ("PUT", "", {"name": "ours"}),
        ("DELETE", "", b""),
        ("GET", "/contacts", b""),
        ("POST", "/contacts", {"contact_references": [{"contact_sid": "0" * 32}]}),
        ("DELETE", "/contacts/" + "0" * 32, b""),
    ],
)
def test_another_accounts_list_is_a_404_and_untouched(api, other, method, path, body):
    theirs = ContactListFactory(account=other.account, name="theirs")
    assert api.send(method, f"/lists/{theirs.pk.hex}{path}", body).is_refused(404, theirs.pk.hex)
    theirs.refresh_from_db()
    assert theirs.name == "theirs"
    assert api.get("/lists").records == []
    assert api.put("/lists", {"lists": [{"sid": theirs.pk.hex, "name": "ours"}]}).codes == [404]
