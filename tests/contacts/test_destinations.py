"""Where an account calls: by default people's numbers in its own countries."""

import random
import re

import phonenumbers
import pytest

from accounts.models import NumberKind
from contacts import destinations, numbers
from contacts.destinations import Destinations, NotCalled
from tests.factories import AccountFactory, CallerIdFactory

USUAL = frozenset({"mobile", "landline", "voip"})
AT_HOME = Destinations(frozenset({"IN"}), USUAL)


@pytest.mark.parametrize("number", ["+919810012345", "+918047113311", "+911123456789"])
def test_peoples_numbers_at_home_are_called(number):
    assert AT_HOME.why_not(number) == ""


@pytest.mark.parametrize(
    ("countries", "number", "says"),
    [
        ("IN", "+4915112345678", "it is a number of DE, and this account calls IN only"),
        ("IN AE", "+4915112345678", "this account calls AE and IN only"),
        ("US", "+16135550123", "it is a number of CA"),
        ("GB", "+447797712345", "it is a number of JE"),
        ("US", "+18095551234", "it is a number of DO"),
        # Satellite phones and international services.
        ("IN", "+870773111632", "a satellite phone or an international service (+870)"),
        ("IN", "+881612345678", "a satellite phone or an international service (+881)"),
        ("IN", "+97912345678", "a satellite phone or an international service (+979)"),
        # Kinds.
        ("GB", "+449098790123", "it is a premium-rate number, and this account calls mobile, landline and VoIP"),
        ("GB", "+448443123456", "it is a premium-rate number"),
        ("GB", "+447012345678", "it is a personal (follow-me) number"),
        ("GB", "+447640123456", "it is a pager number"),
        ("GB", "+445512345678", "it is a company-wide (UAN) number"),
        ("GB", "+448001234567", "it is a toll-free number"),
        ("IN", "+911861123456789", "it is a premium-rate number"),
        ("IN", "+9118001234", "it is a toll-free number"),
        ("US", "+19002345678", "it is a premium-rate number"),
        ("DE", "+4918012345", "it is a shared-cost number"),
    ],
)
def test_others_are_refused_with_the_reason(countries, number, says):
    assert says in Destinations(frozenset(countries.split()), USUAL).why_not(number)


@pytest.mark.parametrize("kind", NumberKind)
def test_each_kind_can_be_allowed_by_itself(kind):
    names = {"landline": "FIXED_LINE", "personal": "PERSONAL_NUMBER"}
    wanted = getattr(phonenumbers.PhoneNumberType, names.get(kind, kind.upper().replace("-", "_")))
    for country in ("GB", "DE", "CH", "IN", "US", "PK", "BR"):
        example = phonenumbers.example_number_for_type(country, wanted)
        if example is None or phonenumbers.number_type(example) != wanted:
            continue
        number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        assert Destinations(frozenset({country}), frozenset({kind})).why_not(number) == ""
        others = frozenset(NumberKind) - {kind}
        assert "number, and this account calls" in Destinations(frozenset({country}), others).why_not(number)


def test_the_short_way_says_what_parsing_says(monkeypatch):
    """For numbers of every country: their examples, and each with a few digits changed."""
    chance = random.Random(7)
    given = []
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10):
            example = phonenumbers.example_number_for_type(country, kind)
            if example is None:
                continue
            digits = list(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
            digits[chance.randrange(len(digits) - 6, len(digits))] = chance.choice("0123456789")
            given.append((country, "".join(digits)))
    kinds = [frozenset(chance.sample(list(NumberKind), 5)) | {"mobile"} for _ in range(3)]
    asked = [(Destinations(frozenset({country, "IN"}), chance.choice(kinds)), number) for country, number in given]
    whole = {number for _, number in asked if numbers.to_e164(number, "IN") == number}
    assert whole.issuperset(number for called, number in asked if called.surely_calls(number))
    asked = [(called, number) for called, number in asked if number in whole]
    short = [called.why_not(number) for called, number in asked]
    monkeypatch.setattr(destinations, "_surely_called", lambda *_: re.compile("(?!)"))
    assert short == [called.why_not(number) for called, number in asked]
    assert 200 < short.count("") < len(short) - 200


@pytest.mark.django_db
def test_an_account_calls_its_region_and_the_countries_of_its_caller_ids_unless_told_otherwise():
    account = AccountFactory()
    assert destinations.of_account(account).countries == {"IN"}
    for number in ("+14155550123", "1408888", "+870773111632"):
        CallerIdFactory(account=account, number=number)
    assert destinations.of_account(account).countries == {"IN", "US"}
    CallerIdFactory(number="+4930123456")
    assert destinations.of_account(account).countries == {"IN", "US"}
    account.allowed_countries = ["AE"]
    assert destinations.of_account(account) == Destinations(frozenset({"AE"}), USUAL)


def test_a_number_is_named_where_it_is_required():
    with pytest.raises(NotCalled, match=r"^\+870773111632 can't be called: it belongs to a satellite phone"):
        AT_HOME.require("+870773111632")
