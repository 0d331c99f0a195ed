"""The text that a campaign reads: its variables, and its conversion to a flow."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaigns import spoken_text
from campaigns.flow_schema import validate_flow
from campaigns.models import Campaign
from core import names

VALUES = {"Name": "Asha", "Fee": "100", "Fee due": "1 May", "नाम": "आशा"}

ZWSP, ZWNJ, ZWJ, RLM, BOM, SHY, NBSP = "\u200b", "\u200c", "\u200d", "\u200f", "\ufeff", "\u00ad", "\u00a0"
ENGLAND = "🏴" + "".join(chr(0xE0000 + ord(sign)) for sign in "gbeng")
FAMILY = ZWJ.join("👨👩👧")


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("No variable", "No variable"),
        ("Dear @@Name, pay @@Fee.", "Dear Asha, pay 100."),
        ("@@Name@@Fee", "Asha100"),
        ("Until @@Fee due!", "Until 1 May!"),
        ("@@नाम, hello", "आशा, hello"),
        ("write to a@b.example", "write to a@b.example"),
        ("Rs@@Fee/-", "Rs100/-"),
        ("@@name, @@NAME", "Asha, Asha"),
        (f"@@Fee \t\n{NBSP} due", "1 May"),
        ("@@Fee\n\nWe wait", "100\n\nWe wait"),
        ("@@Name's and “@@Name”", "Asha's and “Asha”"),
        ("@@Fee-due, @@Fee+1, @@Fee)", "100-due, 100+1, 100)"),
        ("asha@@Name.example", "ashaAsha.example"),
    ],
)
def test_a_variable_is_replaced_by_its_value(text, spoken):
    assert spoken_text.fill(text, VALUES) == spoken


@pytest.mark.parametrize(
    ("header", "text", "spoken"),
    [
        ("कर", "@@कर।", "X।"),
        ("कर", f"@@क{ZWSP}र, @@{BOM}कर", "X, X"),
        ("नमस्ते", "@@नमस्ते जी", "X जी"),
        ("பெயர்", "வணக்கம் @@பெயர், நன்றி", "வணக்கம் X, நன்றி"),
        ("கொ", "@@க\u0bc6\u0bbe.", "X."),  # a vowel sign that is written as one character or as two
        ("ชื่อ", "คุณ@@ชื่อ ครับ", "คุณX ครับ"),
        ("الاسم", f"السيد @@الاسم{RLM}، تحية", "السيد X، تحية"),
        ("الاسم", f"@@{RLM}الاسم", "X"),
        (f"می{ZWNJ}شود", f"@@می{ZWNJ}شود است", "X است"),
        ("അവന്" + ZWJ, f"@@അവന്{ZWJ}, @@അവന്.", "X, X."),
        ("Café", unicodedata.normalize("NFD", "@@Café au lait"), "X au lait"),
        (unicodedata.normalize("NFD", "Café"), "@@CAFÉ.", "X."),
        ("한국", unicodedata.normalize("NFD", "@@한국!"), "X!"),
        ("Å", "@@\u212b", "X"),
        (FAMILY, f"@@{FAMILY} @@{FAMILY}", "X X"),
        ("❤", "@@❤\ufe0f@@❤", "XX"),
        ("👍", "@@👍👍", "X👍"),
        ("First Name", f"@@First{NBSP}Name @@First  Name @@first name", "X X X"),
        (f" First {ZWSP} Name ", "@@First Name.", "X."),
        ("First Name", f"@@Fi{SHY}rst{ZWSP} {ZWSP} Name", "X"),
        ("first_name", "@@first_name @@First Name @@FIRST-NAME", "X X X"),
        ("Straße", "@@STRASSE 5", "X 5"),
        ("Fee (Rs.)*", "@@Fee (Rs.)*?", "X?"),
        ("a.c", "@@a.c", "X"),
        ("[x]\\d+|^$", "@@[x]\\d+|^$ ", "X "),
        ("C++", "@@C++ @@C++!", "X X!"),
        ("@home", "@@@home", "X"),
        ("a@@b", "@@a@@b", "X"),
        ("e-mail", "@@E-Mail@@e-mail", "XX"),
        ("1", "@@1. @@1", "X. X"),
    ],
)
def test_a_header_is_found_as_a_person_sees_it(header, text, spoken):
    assert spoken_text.fill(text, {header: "X"}) == spoken


@pytest.mark.parametrize(
    ("header", "text", "shown"),
    [
        ("कर", "@@करीम", "करीम"),
        ("कर", f"@@कर{ZWSP}ीम", f"कर{ZWSP}ीम"),
        ("क", "@@क्ष", "क्ष"),
        ("क्", f"@@क्{ZWJ}ष", f"क्{ZWJ}ष"),
        ("பெய", "@@பெயர்", "பெயர்"),
        ("ชื่อ", "@@ชื่อครับ", "ชื่อครับ"),
        ("الاسم", "@@الاسمي", "الاسمي"),
        ("می", f"@@می{ZWNJ}شود", f"می{ZWNJ}شود"),
        ("Cafe", unicodedata.normalize("NFD", "@@Café"), unicodedata.normalize("NFD", "Café")),
        ("名前", "@@名前様", "名前様"),
        ("👨", f"@@{FAMILY}!", FAMILY),
        ("👍", "@@👍🏽", "👍🏽"),
        ("🏴", f"@@{ENGLAND}", ENGLAND),
        ("Fee", "@@Fee2", "Fee2"),
        ("Fee", "@@Fee_due", "Fee_due"),
        ("Fee", "@@Fee²", "Fee²"),
        ("Fee", f"@@Fee{ZWSP}s", f"Fee{ZWSP}s"),
        ("1", "@@1\ufe0f\u20e3", "1\ufe0f\u20e3"),
    ],
)
def test_a_header_inside_a_longer_word_is_not_meant(header, text, shown):
    with pytest.raises(spoken_text.UnknownColumn) as unknown:
        spoken_text.check(text, [header])
    assert (unknown.value.name, unknown.value.longer_than) == (shown, header)


def test_the_longest_header_counts():
    values = {"Fee": "1", "Fee due": "2", "Fee due date": "3", "Fee.due": "4", "कर": "5", "करीम": "6"}
    text = "@@Fee @@Fee due @@Fee  due  date @@Fee.due @@fee.dues @@Fee due dates @@कर @@करीम"
    assert spoken_text.fill(text, values) == "1 2 3 4 1.dues 2 dates 5 6"


def test_capitals_count_where_headers_differ_in_nothing_else():
    values = {"Fee": "1", "FEE": "2", "Name": "3"}
    assert spoken_text.fill("@@Fee @@FEE @@NAME", values) == "1 2 3"
    with pytest.raises(spoken_text.UnknownColumn, match="fee"):
        spoken_text.check("@@fee", values)


def test_a_column_of_contacts_gives_way_to_one_of_the_clients_own():
    assert spoken_text.fill("@@First Name @@first_name", {"first_name": "1", "First Name": "2"}) == "2 1"


def test_a_value_is_never_read_as_a_variable():
    assert spoken_text.fill("@@Name", {"Name": "@@Fee"}) == "@@Fee"
    assert spoken_text.fill("@@a@Fee @@a@@b", {"a": "@", "b": "Fee", "Fee": "no"}) == "@@Fee @Fee"


def test_what_is_around_a_variable_is_spoken_as_it_was_given():
    text = unicodedata.normalize("NFD", f"é {ZWSP} می{ZWNJ}شود {FAMILY}  क्{ZWJ}ष{RLM}")
    assert spoken_text.fill(f"{text}@@Name, {text}", {"Name": "X"}) == f"{text}X, {text}"
    assert spoken_text.fill(text, {}) == text


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("@@Fees", "Fees"),
        ("@@", ""),
        ("pay at @@", ""),
        ("@@ Name", " Name"),
        ("@@\nName", "\nName"),
        ("@@Name @@x", "x"),
        ("asha@@school.example", "school"),
        ("@@@Name", "@Name"),
        ("@@नामक", "नामक"),
        ("@@Namé", "Namé"),
        ("@@" + "x" * 500, "x" * 100),
        ("@@... " + "x" * 500, "... xxxxxxxxxxxxxxxx"),
    ],
)
def test_an_unknown_variable_is_named(text, column):
    with pytest.raises(spoken_text.UnknownColumn) as unknown:
        spoken_text.check(text, VALUES)
    assert str(unknown.value) == column


# A property against a second implementation, which tries every end of every name, the longest first.


def filled_slowly(text: str, values: dict[str, str]) -> str | None:
    before, mark, rest = text.partition("@@")
    if not mark:
        return before
    for end in range(len(rest), 0, -1):
        name = rest[:end]
        visible = name.strip("".join(filter(names.is_invisible, set(name))))
        if visible != visible.strip() or not visible or names.goes_on(rest, end):
            continue
        alike = [column for column in values if names.caseless(column) == names.caseless(name)]
        same = [column for column in alike if len(alike) == 1 or names.exact(column) == names.exact(name)]
        if alike and not same:
            return None
        if same:
            after = filled_slowly(rest[end:], values)
            return None if after is None else before + values[same[0]] + after
    return None


PIECES = ["a", "A", "b", "é", "e", "\u0301", "\u0323", "क", "ी", "्", "ß", "s", " ", NBSP, "\n", ZWSP, ZWJ, ZWNJ, RLM]
PIECES += ["👨", "👩", "🏽", "\ufe0f", ".", "-", "_", "@", "2", "@@", "\u0345", "\u03b1", "İ", "\u1100", "\u1161"]
HEADERS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(headers=st.lists(HEADERS, min_size=1, max_size=4), data=st.data())
@example(headers=["a b", "a", "A"], data=None)
def test_a_text_is_filled_as_by_the_slow_and_obvious_way(headers, data):
    values = {header: f"<{number}>" for number, header in enumerate(headers)}
    text = "@@a b@@a" if data is None else data.draw(texts(headers), label="text")
    try:
        filled = spoken_text.fill(text, values)
    except spoken_text.UnknownColumn:
        filled = None
    assert filled == filled_slowly(text, values)


def texts(headers):
    """Texts that often name a header, spelled in one way or another."""
    spelled = st.sampled_from(headers).flatmap(
        lambda header: st.sampled_from(
            [header, header.upper(), unicodedata.normalize("NFD", header), unicodedata.normalize("NFC", header)]
        )
    )
    named = spelled.map("@@{}".format)
    return st.lists(named | st.sampled_from(PIECES), max_size=6).map("".join)


def test_a_greeting_is_said_once():
    campaign = Campaign(flow_type="greeting", text="Hello")
    assert spoken_text.document(campaign) == {"steps": [{"say": "Hello"}], "machine": [{"say": "Hello"}]}


@pytest.mark.parametrize(("repeats", "attempts"), [(None, 1), (0, 1), (2, 3), (9, 10)])
def test_a_menu_is_read_once_and_as_often_again_as_it_says(repeats, attempts):
    campaign = Campaign(flow_type="ivr", text="Dear @@Name, press 1", repeat_menu_attempts=repeats)
    flow = spoken_text.document(campaign, VALUES)
    validate_flow(flow)
    (step,) = flow["steps"]
    assert step["gather"]["attempts"] == attempts
    assert step["gather"]["prompt"] == [{"say": "Dear Asha, press 1"}]
    assert set(step["gather"]["branches"]) == set("0123456789*#")
