"""Contacts: one and many, a result for each, and the sid of the contact that has a number already."""

import pytest

from contacts.models import Contact
from tests.factories import ContactFactory, ContactListFactory, ListEntryFactory

pytestmark = pytest.mark.usefixtures("shared_account")

NUMBER = "+919810012345"
EVERYTHING = {
    "number": NUMBER,
    "first_name": "Asha",
    "last_name": "Rao",
    "company_name": "Acme",
    "email": "asha@example.com",
    "tag": "parents",
    "custom_field": {"child": {"name": "Ravi"}},
}


@pytest.fixture
def contact(account):
    return ContactFactory(account=account, number=NUMBER, first_name="Asha", last_name="Rao")


class TestCreate:
    def test_everything_that_is_said_comes_back_with_a_sid(self, api):
        response = api.post("/contacts", {"contacts": [EVERYTHING]})
        assert (response.status, response.codes) == (207, [200])
        assert response.metadata == {"total": 1, "success": 1, "failed": 0}
        assert {name: response.data[name] for name in EVERYTHING} == EVERYTHING
        assert response.data["sid"] == Contact.objects.get().pk.hex
        assert {"date_created", "date_updated"} <= set(response.data)

    def test_a_custom_field_has_a_limit(self, api):
        """One contact may stand in a response five thousand times."""
        fits, too_long = ({"number": "+919810012345", "custom_field": {"a": "x" * size}} for size in (3_990, 4_000))
        assert api.post("/contacts", fits).codes == [200]
        refused = api.post("/contacts", too_long)
        assert (refused.codes, Contact.objects.count()) == ([400], 1)
        assert "4,009 bytes of JSON" in refused.items[0]["error_data"]["description"]

    def test_custom_is_another_name_of_custom_field(self, api):
        assert api.post("/contacts", {"contacts": [{"number": NUMBER, "custom": {"a": 1}}]}).data["custom_field"] == {
            "a": 1
        }

    def test_a_bare_object_is_one_contact(self, api):
        assert api.post("/contacts", {"number": NUMBER}).codes == [200]

    def test_a_number_is_stored_in_e164(self, api):
        assert api.post("/contacts", {"number": "098100 12345"}).data["number"] == NUMBER

    def test_a_number_that_the_account_does_not_call_is_refused(self, api):
        given = [{"number": NUMBER}, {"number": "+14155550123"}, {"number": "+911861123456789"}]
        response = api.post("/contacts", {"contacts": given})
        assert response.codes == [200, 400, 400]
        assert "+14155550123 can't be called: it is a number of US" in str(response.envelope)
        assert Contact.objects.count() == 1

    def test_each_item_has_a_code_of_its_own(self, api, contact):
        given = [{"number": "+919810012346"}, {"number": "+9112"}, {"number": NUMBER}, {"first_name": "Asha"}, 5]
        response = api.post("/contacts", {"contacts": given})
        assert response.status == 207
        assert response.codes == [200, 400, 409, 400, 400]
        assert response.metadata == {"total": 5, "success": 1, "failed": 4}
        assert Contact.objects.count() == 2

    def test_a_duplicate_is_answered_with_the_old_sid_and_stays_as_it_was(self, api, contact):
        response = api.post("/contacts", {"contacts": [{"number": "09810012345", "first_name": "Another"}]})
        assert response.item["data"]["sid"] == contact.pk.hex
        contact.refresh_from_db()
        assert contact.first_name == "Asha"

    def test_a_number_that_stands_twice_in_a_request_is_one_contact(self, api):
        response = api.post("/contacts", {"contacts": [{"number": NUMBER}, {"number": NUMBER}]})
        assert response.codes == [200, 409]
        assert response.items[0]["data"]["sid"] == response.items[1]["data"]["sid"]

    def test_another_accounts_contact_of_that_number_is_no_duplicate(self, api, other):
        other.post("/contacts", {"number": NUMBER})
        assert api.post("/contacts", {"number": NUMBER}).codes == [200]

    def test_five_thousand_are_taken_and_one_more_is_refused(self, api):
        given = [{"number": f"+9198{n:08d}"} for n in range(10_000_000, 10_005_001)]
        assert api.post("/contacts", {"contacts": given}).is_refused(400, "5,001 contacts", "5,000")
        assert api.post("/contacts", {"contacts": given[1:]}).metadata["success"] == 5000

    @pytest.mark.parametrize("body", [{}, {"contacts": []}, {"contacts": {}}, []])
    def test_no_contacts_are_refused(self, api, body):
        assert api.post("/contacts", body).is_refused(400, "contacts is mandatory")

    @pytest.mark.parametrize(
        "fields",
        [{"first_name": "a" * 256}, {"email": 5}, {"custom_field": "text"}, {"tag": ["a"]}, {"number": 981001}],
    )
    def test_a_field_that_can_not_be_is_refused_at_its_place(self, api, fields):
        response = api.post("/contacts", {"contacts": [{"number": NUMBER} | fields]})
        assert response.codes == [400]
        assert f"'{next(iter(fields))}'" in response.description


class TestChange:
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_fields_that_are_given_change_and_the_others_stay(self, api, contact, wrapped):
        body = {"first_name": "Usha", "number": "+919810099999"}
        response = api.put(f"/contacts/{contact.pk.hex}", {"contacts": [body]} if wrapped else body)
        assert response.status == 200
        data = api.get(f"/contacts/{contact.pk.hex}").data
        assert (data["first_name"], data["last_name"], data["number"]) == ("Usha", "Rao", "+919810099999")

    def test_another_contacts_number_is_refused(self, api, contact, account):
        ContactFactory(account=account, number="+919810099999")
        response = api.put(f"/contacts/{contact.pk.hex}", {"number": "+919810099999", "first_name": "Usha"})
        assert response.is_refused(409, "'number'", "+919810099999")
        contact.refresh_from_db()
        assert contact.first_name == "Asha"

    def test_a_change_of_nothing_is_refused(self, api, contact):
        assert api.put(f"/contacts/{contact.pk.hex}", {"colour": "red"}).is_refused(400, "nothing to change")

    def test_many_are_changed_with_a_code_each(self, api, contact, account):
        second = ContactFactory(account=account, number="+919810099999")
        given = [
            {"sid": contact.pk.hex, "first_name": "Usha"},
            {"sid": second.pk.hex, "number": NUMBER},
            {"sid": "0" * 32, "first_name": "Nobody"},
            {"first_name": "Nobody"},
            {"sid": second.pk.hex, "number": "+9112"},
        ]
        response = api.put("/contacts", {"contacts": given})
        assert (response.status, response.codes) == (207, [200, 409, 404, 404, 400])
        assert api.get(f"/contacts/{contact.pk.hex}").data["first_name"] == "Usha"


class TestRead:
    def test_twenty_at_most_however_many_are_asked_for(self, api, account):
        ContactFactory.create_batch(21, account=account)
        response = api.get("/contacts?limit=1000")
        assert len(response.records) == 20
        assert response.metadata == {"count": 20, "offset": 0, "total": 21, "limit": 20}
        assert len(api.get("/contacts?limit=1000&offset=20").records) == 1

    @pytest.mark.parametrize(
        ("sort_by", "order"),
        [
            ("", ["Mina", "Asha", "Zoya"]),
            ("date_created:desc", ["Zoya", "Asha", "Mina"]),
            ("name:asc", ["Asha", "Mina", "Zoya"]),
            ("name:desc", ["Zoya", "Mina", "Asha"]),
        ],
    )
    def test_sorted_by_creation_or_name(self, api, account, sort_by, order):
        for name in ("Mina", "Asha", "Zoya"):
            ContactFactory(account=account, first_name=name)
        query = f"?sort_by={sort_by}" if sort_by else ""
        assert [data["first_name"] for data in api.get(f"/contacts{query}").records] == order

    @pytest.mark.parametrize(("name", "found"), [("asha", 1), ("SHA RA", 1), ("rao", 1), ("x", 0), ("", 2)])
    def test_found_by_a_part_of_the_name(self, api, contact, account, name, found):
        ContactFactory(account=account, first_name="Mina")
        assert api.get(f"/contacts?name={name}").metadata["total"] == found

    def test_found_by_lists_and_shown_with_them(self, api, contact, account):
        first, second = ContactListFactory(account=account, name="b"), ContactListFactory(account=account, name="a")
        for contact_list in (first, second):
            ListEntryFactory(contact_list=contact_list, contact=contact)
        ContactFactory(account=account)
        (data,) = api.get(f"/contacts?list_sids={first.pk.hex},{second.pk.hex}&filter=show_list").records
        assert data["sid"] == contact.pk.hex
        assert data["lists"] == [{"sid": second.pk.hex, "name": "a"}, {"sid": first.pk.hex, "name": "b"}]
        assert "lists" not in api.get("/contacts").records[0]

    @pytest.mark.parametrize("query", ["list_sids=nonsense", "filter=all", "sort_by=number", "limit=0", "offset=-1"])
    def test_a_query_that_can_not_be_is_refused(self, api, query):
        assert api.get(f"/contacts?{query}").is_refused(400, f"'{query.partition('=')[0]}'")


class TestDelete:
    def test_it_leaves_the_account_and_its_lists(self, api, contact, account):
        entry = ListEntryFactory(contact_list__account=account, contact=contact)
        assert api.delete(f"/contacts/{contact.pk.hex}").data["sid"] == contact.pk.hex
        assert api.get(f"/contacts/{contact.pk.hex}").status == 404
        assert api.get(f"/lists/{entry.contact_list.pk.hex}").data["contact_count"] == 0


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", {"first_name": "x"}), ("DELETE", b"")])
@pytest.mark.parametrize("sid", ["another's", "0" * 32, "1", "%00", "-" * 36])
def test_an_unknown_contact_and_another_accounts_are_a_404(api, other, method, body, sid):
    theirs = ContactFactory(account=other.account)
    sid = theirs.pk.hex if sid == "another's" else sid
    assert api.send(method, f"/contacts/{sid}", body).status == 404
    theirs.refresh_from_db()
    assert api.put("/contacts", {"contacts": [{"sid": theirs.pk.hex, "first_name": "x"}]}).codes == [404]
    assert api.get("/contacts").records == []


def test_a_request_sent_again_under_its_key_is_answered_as_the_first_time(api):
    headers = {"idempotency-key": "abc"}
    first = api.post("/contacts", {"number": NUMBER}, headers=headers)
    again = api.post("/contacts", {"number": NUMBER}, headers=headers)
    assert again.codes == [200]
    assert again.data["sid"] == first.data["sid"]
