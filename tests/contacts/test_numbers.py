"""Phone numbers: parsed with phonenumbers in the account's region, stored as E.164; the first invalid one is named."""

import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts import numbers
from contacts.numbers import InvalidNumber, masked, parse_all, to_e164


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        ("+919810012345", "IN", "+919810012345"),
        ("098100 12345", "IN", "+919810012345"),
        ("9810012345", "IN", "+919810012345"),
        ("+91 (98100) 12-345", "US", "+919810012345"),
        (" 02226598000 ", "IN", "+912226598000"),
        ("2024561111", "US", "+12024561111"),
        ("020 7946 0958", "GB", "+442079460958"),
    ],
)
def test_a_number_as_people_write_it(number, region, e164):
    assert to_e164(number, region) == e164


@pytest.mark.parametrize(
    "number",
    [
        "",
        " ",
        "+9112",
        "12345",
        "9" * 40,
        "98100CALLME",
        "1-800-FLOWERS",
        "+919810012345;ext=5",
        "+919810012345 x5",
        "+91981001234\x00",
        "+91981001234\n5",
        "٩٨١٠٠١٢٣٤٥",
        "++919810012345",
        "+910000000000",
    ],
)
def test_what_is_no_number_is_refused(number):
    assert to_e164(number, "IN") is None


def test_the_first_invalid_number_is_named_and_the_rest_not_looked_at():
    def numbers():
        yield "+919810012345"
        yield "+9112"
        pytest.fail("the rest was looked at")

    with pytest.raises(InvalidNumber, match=r"\+9112 is not a valid number") as refusal:
        parse_all(numbers(), "IN")
    assert refusal.value.position == 2


@given(st.text(max_size=60))
def test_whatever_text_comes_is_a_number_or_none(text):
    e164 = to_e164(text, "IN")
    assert e164 is None or (e164.startswith("+") and e164[1:].isdigit() and e164.isascii())


def test_a_masked_number_hides_all_but_its_country_and_last_digits():
    assert masked("+919810012345") == "+91981*****45"
    assert masked("12345") == "*****"


def almost_valid():
    """Numbers of every country and kind in E.164, and their like with a digit changed, missing or added."""
    chance = random.Random(1)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in phonenumbers.PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example:
                number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
                yield from (number, number[:-1], number + "1")
                for _ in range(6):
                    place = chance.randrange(2, len(number))
                    yield number[:place] + str(chance.randrange(10)) + number[place + 1 :]


def test_what_passes_for_valid_without_parsing_is_what_parsing_gives():
    passed = [number for number in almost_valid() if numbers._is_valid_e164(number)]
    assert len(passed) > 1000
    assert [numbers._parsed(number, "IN") for number in passed] == passed


def test_most_numbers_need_no_parsing(monkeypatch):
    monkeypatch.setattr(numbers, "_parsed", lambda *_: pytest.fail("parsed"))
    assert numbers.to_e164("+919810012345", "IN") == "+919810012345"
