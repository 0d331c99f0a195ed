"""Phone numbers: read in the account's region, stored as E.164; what has another reading, or none, is refused."""

import random
import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contacts import e164_patterns
from contacts.numbers import InvalidNumber, masked, parse_all, read, to_e164

E164 = "+919810012345"


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        ("+919810012345", "IN", E164),
        ("098100 12345", "IN", E164),
        ("9810012345", "IN", E164),
        ("+91 (98100) 12-345", "US", E164),
        (" 02226598000 ", "IN", "+912226598000"),
        ("2024561111", "US", "+12024561111"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("01.42.68.53.00", "FR", "+33142685300"),
        ("+1 650.253.0000", "IN", "+16502530000"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("0049 171 1234567", "DE", "+491711234567"),
        ("030 1234567-12", "DE", "+4930123456712"),
        ("+44 (0)20 7946 0958", "IN", "+442079460958"),
        # Argentina's numbering plan writes mobiles in two ways: at home with 15, from abroad with 9.
        ("011 15-2345-6789", "AR", "+5491123456789"),
    ],
)
def test_a_number_as_people_write_it(number, region, e164):
    assert to_e164(number, region) == e164


@pytest.mark.parametrize(
    "number",
    [
        "\u202a+91 98100 12345\u202c",  # as Windows' contacts copy it
        "\u200e+919810012345",
        "+9198100\u200b12345",
        "\ufeff9810012345",
        "+91\u00a098100\u00a012345",
        "+91\u202f98100\u200912345",
        "+91\u201198100\u201112345",
        "+91\u201398100\u201312345",
        "+91\u221298100\u221212345",
        "\uff0b\uff19\uff11\uff08\uff19\uff18\uff11\uff10\uff10\uff09\uff11\uff12\uff13\uff14\uff15",
        "\u096f\u096e\u0967\u0966\u0966\u0967\u0968\u0969\u096a\u096b",  # Devanagari
        "\u0669\u0668\u0661\u0660\u0660\u0661\u0662\u0663\u0664\u0665",  # Arabic
    ],
)
def test_marks_spaces_dashes_and_digits_of_other_scripts_are_read(number):
    assert read(number, "IN") == E164


@pytest.mark.parametrize(
    "number",
    [
        "'9810012345",
        "\u20199810012345",
        "\u2019+919810012345",
        '="9810012345"',
        '="+919810012345"',
        "p:+919810012345",
        "tel:+91-98100-12345",
        "`9810012345",
        "\u202atel:+919810012345\u202c",
        "tel:\u202d+91 98100 12345\u202c",
        "\u200b'9810012345",
        '\u200e="9810012345"',
        "\u00a0'\uff19810012345\u3000",
    ],
)
def test_what_spreadsheets_and_exports_put_around_a_number_is_dropped(number):
    assert read(number, "IN") == E164


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        ("+491711234567.0", "IN", "+491711234567"),
        ("+491711234567.00", "IN", "+491711234567"),
        ("+49 171 1234567.0", "IN", "+491711234567"),
        ("9810012345.0", "IN", E164),
        ("98100 12345.", "IN", E164),
    ],
)
def test_the_decimal_that_a_spreadsheet_has_made_is_dropped(number, region, e164):
    assert read(number, region) == e164


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("9810012345.5", "it ends like a decimal"),
        # Without this, it would be the number of a stranger in Berlin.
        ("+4930123456.000", "it ends like a decimal"),
        ("+43664123456.0000", "it ends like a decimal"),
        ("\u0669\u0668\u0661\u0660\u0660\u0661\u0662\u0663\u0664\u0665.\u0660\u0660\u0660", "it ends like a decimal"),
        ("9" * 100_000, "it is too long for one number"),
        ("9,810,012,345", "the character “,” (U+002C COMMA)"),
        ("9.1981E+11", "a spreadsheet has rounded this number"),
        ("9,1981E+11", "a spreadsheet has rounded this number"),
        ("9.81E10", "a spreadsheet has rounded this number"),
        ("9810012345, 9810012346", "two numbers are in one place"),
        ("9810012345/9810012346", "two numbers are in one place"),
        ("9810012345 or 9810012346", "two numbers are in one place"),
        ("9810012345 9810012346", "two numbers are in one place"),
        ("9810012345\n9810012346", "two numbers are in one place"),
        ("+919810012345+919810012346", "two numbers are in one place"),
        ("9999999999", "it looks like a placeholder"),
        ("09999999999", "it looks like a placeholder"),
        ("1234567890", "it looks like a placeholder"),
        ("9876543210", "it looks like a placeholder"),
        ("919999999999", "it looks like a placeholder"),
        ("91 99999-99999", "it looks like a placeholder"),
        ("0091 9876543210", "it looks like a placeholder"),
        ("2024-01-15", "it is a date"),
        ("2024\u201301\u201315", "it is a date"),
        ("\uff12\uff10\uff12\uff14-01-15", "it is a date"),
        ("\u0661\u0665/\u0661/\u0662\u0660\u0662\u0664", "it is a date"),
        ("\u0669.\u0661\u0669E+\u0661\u0661", "a spreadsheet has rounded this number"),
        ("15.01.2024", "it is a date"),
        ("1/15/2024", "it is a date"),
        ("98100CALLME", "the character “C” (U+0043 LATIN CAPITAL LETTER C)"),
        ("98100\u041e12345", "the character “\u041e” (U+041E CYRILLIC CAPITAL LETTER O)"),
        ("+91981001234\x00", "the character (U+0000 a control character)"),
        ("+919810012345 x5", "the character “x”"),
        ("+919810012345;ext=5", "the character “;”"),
        ("+44 020 7946 0958", "it would be dialed as +442079460958"),
    ],
)
def test_a_refusal_says_what_the_text_looks_like(number, reason):
    with pytest.raises(InvalidNumber) as refusal:
        read(number, "IN")
    assert refusal.value.reason.startswith(reason)
    assert str(refusal.value) == f"{number} is not a valid number: {refusal.value.reason}"


def test_a_placeholder_that_is_meant_is_written_with_its_country():
    assert read("+919999999999", "IN") == "+919999999999"
    assert read("9199999999", "IN") == "+919199999999", "these are not the country code and eight nines"


@pytest.mark.parametrize("zeros", ["000", "0000", "000000"])
@pytest.mark.parametrize("kind", [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE])
def test_decimals_never_become_digits_in_any_country(kind, zeros):
    for region in phonenumbers.SUPPORTED_REGIONS:
        if example_number := phonenumbers.example_number_for_type(region, kind):
            e164 = phonenumbers.format_number(example_number, phonenumbers.PhoneNumberFormat.E164)
            for written in (e164, e164[1:]):
                assert to_e164(f"{written}.{zeros}", region) is None, (region, written)


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        ("4915112345678", "DE", "+4915112345678"),
        ("6281234567890", "ID", "+6281234567890"),
        ("919810012345", "IN", E164),
        ("16465551234", "US", "+16465551234"),
        ("79123456789", "RU", "+79123456789"),
        # Not the account's own country's code: New York and New Zealand alike begin so.
        ("6465551234", "US", "+16465551234"),
    ],
)
def test_a_number_of_the_own_country_that_has_lost_its_plus_is_read_with_it(number, region, e164):
    assert read(number, region) == e164


def test_a_number_that_is_another_with_a_plus_is_refused_with_both_readings():
    """Italians write mobiles without a trunk prefix, so 390… is as good a mobile as +39 06… is a number in Rome."""
    with pytest.raises(InvalidNumber, match=r"can be read as \+393906123456 or \+3906123456: write it with \+"):
        read("3906123456", "IT")


@pytest.mark.parametrize(
    "number",
    [
        "",
        " ",
        "+",
        "()",
        "+9112",
        "12345",
        "9" * 40,
        "1-800-FLOWERS",
        "+91981001234\n5",
        "++919810012345",
        "+910000000000",
        "98100 +12345",
        ".",
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


# Without Argentina, Mexico and their like, whose numbering plans rewrite digits inside a national number.
REGIONS = ["IN", "DE", "US", "GB", "FR", "ID", "SG", "AE", "AU", "IT", "ZA", "NG", "JP"]
SIGNS = [*list("0123456789+-(). ,;/'\"=xE\u200b\xa0\uff0b१\u0661"), "(0)", ".0", "00", "+49", "+91", "0049"]


@given(st.lists(st.sampled_from(SIGNS), min_size=5, max_size=18).map("".join), st.sampled_from(REGIONS))
@example("+491711234567.0", "IN")
@example("+491711234567,0", "IN")
@example("+49 171 1234567 (0)", "IN")
def test_the_digits_that_go_out_are_those_that_came_in(text, region):
    """But for a prefix: the trunk's `0`, `00`, the country code; `(0)` behind it; and a spreadsheet's `.0`."""
    e164 = to_e164(text, region)
    if e164 is None:
        return
    given_digits = "".join(
        str(int(c)) for c in re.sub(r"\.0{1,2}\W*\Z", "", text).replace("(0)", "", 1) if c.isdecimal()
    )
    whole = "".join(str(int(c)) for c in text if c.isdecimal())
    national = phonenumbers.national_significant_number(phonenumbers.parse(e164))
    assert given_digits.endswith(national) or whole.endswith(national)
    assert len(given_digits) - len(national) <= 7


@given(
    st.text("0123456789", min_size=4, max_size=13), st.sampled_from(["0", "00", "5", "25"]), st.sampled_from(REGIONS)
)
def test_a_decimal_never_makes_another_number(digits, decimals, region):
    plain, decimal = to_e164(digits, region), to_e164(f"{digits}.{decimals}", region)
    assert decimal in {None, plain}


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


def test_what_passes_for_valid_without_parsing_is_what_parsing_gives(monkeypatch):
    passed = [number for number in almost_valid() if e164_patterns.is_valid(number)]
    assert len(passed) > 1000
    monkeypatch.setattr(e164_patterns, "is_valid", lambda _number: False)
    assert [to_e164(number, "IN") for number in passed] == passed


def test_most_numbers_need_no_parsing(monkeypatch):
    monkeypatch.setattr(phonenumbers, "parse", lambda *_: pytest.fail("parsed"))
    assert to_e164("+919810012345", "IN") == "+919810012345"
