"""Where a number is taken to be: its zones, country and state, and who says so."""

import phonenumbers
import pytest
from django.core.exceptions import ValidationError
from phonenumbers import PhoneNumberFormat, timezone

from contacts import zones
from core import time_zones
from tests.factories import AccountFactory, ContactFactory

HOME = "Asia/Kolkata"


@pytest.mark.parametrize(
    ("number", "country", "region", "found"),
    [
        ("+919810012345", "IN", "", {"Asia/Kolkata"}),
        ("+12055550123", "US", "AL", {"America/Chicago"}),
        ("+19045550123", "US", "FL", {"America/New_York"}),
        ("+17015550123", "US", "ND", {"America/Denver", "America/North_Dakota/Center"}),
        ("+12085552000", "US", "ID", {"America/Boise", "America/Los_Angeles"}),
        ("+14165550123", "CA", "ON", {"America/Toronto"}),
        ("+18762101234", "JM", "", {"America/Jamaica"}),
        ("+442079460000", "GB", "", {"Europe/London"}),
        ("+61891234567", "AU", "", {"Australia/Perth"}),
    ],
)
def test_a_number_tells_its_country_state_and_zones(number, country, region, found):
    place = zones.place(number, HOME)
    assert (place.country, place.region) == (country, region)
    assert found <= set(place.zones)
    assert place.sources == (zones.NUMBER,)


@pytest.mark.parametrize(("number", "most"), [("+61412345678", 8), ("+18005550123", 28)])
def test_a_number_of_no_place_may_be_in_every_zone_of_its_country(number, most):
    assert len(zones.place(number, HOME).zones) == most


@pytest.mark.parametrize(
    "region",
    ["IN", "US", "CA", "JM", "AU", "BR", "ID", "MX", "RU", "KZ", "GB", "JE", "NZ", "ES", "FR", "RE", "DE", "AE", "LT"],
)
def test_a_country_has_the_zones_that_phonenumbers_gives_it(region):
    example = phonenumbers.example_number(region)
    assert example is not None
    place = zones.place(phonenumbers.format_number(example, PhoneNumberFormat.E164), HOME)
    given = {time_zones.canonical(name) for name in timezone.time_zones_for_number(example)}
    assert place.country == region
    assert set(place.zones) == given


def test_sources_that_agree_are_one_zone_under_its_preferred_name():
    place = zones.place("+919810012345", "Europe/London", "Asia/Calcutta", ("asia/kolkata",))
    assert place.zones == ("Asia/Kolkata",)
    assert place.sources == (zones.CONTACT, zones.LIST, zones.NUMBER)


def test_sources_that_disagree_all_count():
    place = zones.place("+919810012345", "Europe/London", "America/New_York", ("Asia/Dubai",))
    assert place.zones == ("America/New_York", "Asia/Dubai", "Asia/Kolkata")


def test_the_accounts_zone_counts_where_nothing_else_is_known():
    place = zones.place("+870773111632", "Asia/Calcutta")  # a satellite phone
    assert (place.zones, place.sources, place.country) == (("Asia/Kolkata",), (zones.ACCOUNT,), "")


def test_a_word_in_a_list_that_is_no_zone_counts_for_nothing():
    assert zones.place("+919810012345", HOME, "", ("tomorrow",)).sources == (zones.NUMBER,)


@pytest.mark.django_db
def test_places_of_many_numbers_take_one_query(django_assert_num_queries):
    account = AccountFactory()
    numbers = [f"+9198100{n:05}" for n in range(500)]
    ContactFactory(account=account, number=numbers[7], time_zone="America/New_York")
    ContactFactory(number=numbers[8], time_zone="America/New_York")  # of another account
    with django_assert_num_queries(1):
        places = zones.places_of(account, numbers, {numbers[9]: ["Europe/London"]})
    assert len(places) == 500
    assert places[numbers[7]].zones == ("America/New_York", "Asia/Kolkata")
    assert places[numbers[8]].zones == ("Asia/Kolkata",)
    assert places[numbers[9]].zones == ("Europe/London", "Asia/Kolkata")


@pytest.mark.parametrize("name", ["IST", "EST", "Asia/Kolkatta", "+05:30", "", "India"])
def test_what_is_no_zone_is_refused_with_examples(name):
    with pytest.raises(ValidationError, match="Asia/Kolkata or Europe/London"):
        zones.validate_zone(name)


def test_zones_are_stored_under_their_preferred_name():
    assert [zones.validate_zone(name) for name in ("Asia/Calcutta", "us/eastern", "UTC")] == [
        "Asia/Kolkata",
        "America/New_York",
        "Etc/UTC",
    ]


@pytest.mark.parametrize(
    ("number", "own_zone", "of_rows", "said"),
    [
        ("+919810012345", "", (), "by the zone of the number"),
        ("+870773111632", "", (), "by the zone of the account"),
        ("+919810012345", "Asia/Dubai", (), "by the zones of the contact and number"),
        ("+919810012345", "Asia/Dubai", ("Asia/Kolkata",), "by the zones of the contact, list and number"),
    ],
)
def test_it_is_said_whose_zones_they_are(number, own_zone, of_rows, said):
    assert zones.place(number, HOME, own_zone, of_rows).provenance == said
