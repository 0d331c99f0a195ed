"""Where a contact is and what it agreed to: our own fields, and Exotel's shape without them."""

from datetime import date

import pytest

from contacts.models import Contact
from tests.factories import ContactFactory, ListEntryFactory

NUMBER = "+919810012345"
CONSENT = {"date": "2026-01-31", "source": "web form 12", "scope": "recorded-voice"}


def test_a_contact_may_say_where_it_is_and_what_was_agreed_to(api):
    given = {"number": NUMBER, "time_zone": "Asia/Calcutta", "consent": CONSENT}
    shown = api.post("/contacts", {"contacts": [given]}).data
    assert (shown["time_zone"], shown["consent"]) == ("Asia/Kolkata", CONSENT)
    contact = Contact.objects.get()
    assert (contact.consent_date, contact.consent_scope) == (date(2026, 1, 31), "recorded-voice")


def test_a_contact_without_them_has_exotels_shape(api):
    assert not {"time_zone", "consent"} & api.post("/contacts", {"number": NUMBER}).data.keys()


def test_they_are_shown_in_a_list_too(api, account):
    entry = ListEntryFactory(contact__account=account, contact_list__account=account)
    Contact.objects.update(time_zone="Asia/Dubai", consent_date=date(2026, 1, 31), consent_scope="all")
    [shown] = api.get(f"/lists/{entry.contact_list.pk.hex}/contacts").records
    assert (shown["time_zone"], shown["consent"]["scope"]) == ("Asia/Dubai", "all")


def test_they_can_be_changed(api, account):
    contact = ContactFactory(account=account)
    api.put(f"/contacts/{contact.pk.hex}", {"time_zone": "Europe/London", "consent": CONSENT})
    contact.refresh_from_db()
    assert (contact.time_zone, contact.consent_source) == ("Europe/London", "web form 12")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"time_zone": "IST"}, "IST is not a time zone"),
        ({"consent": CONSENT | {"date": "31.1.2026"}}, "write the day as 2026-01-31"),
        ({"consent": CONSENT | {"scope": "everything"}}, "must be one of recorded-voice, promotional, all"),
        ({"consent": {"date": "2026-01-31"}}, "scope"),
        ({"consent": "yes"}, "must be an object"),
        ({"consent": CONSENT | {"withdrawn": True}}, "'consent.withdrawn': is not known here"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(api, given, says):
    response = api.post("/contacts", {"number": NUMBER} | given)
    assert response.codes == [400]
    assert says in response.items[0]["error_data"]["description"]
    assert not Contact.objects.exists()
