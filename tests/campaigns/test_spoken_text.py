"""The text that a campaign reads: its variables, and its conversion to a flow."""

import pytest

from campaigns import spoken_text
from campaigns.flow_schema import validate_flow
from campaigns.models import Campaign

VALUES = {"Name": "Asha", "Fee": "100", "Fee due": "1 May", "नाम": "आशा"}


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("No variable", "No variable"),
        ("Dear @@Name, pay @@Fee.", "Dear Asha, pay 100."),
        ("@@Name@@Fee", "Asha100"),
        ("Until @@Fee due!", "Until 1 May!"),
        ("@@नाम, hello", "आशा, hello"),
        ("write to a@b.example", "write to a@b.example"),
    ],
)
def test_a_variable_is_replaced_by_its_value(text, spoken):
    assert spoken_text.fill(text, VALUES) == spoken


def test_a_value_is_never_read_as_a_variable():
    assert spoken_text.fill("@@Name", {"Name": "@@Fee"}) == "@@Fee"


@pytest.mark.parametrize(
    ("text", "column"), [("@@name", "name"), ("@@Fees", "Fees"), ("@@", ""), ("@@ Name", " Name"), ("@@Name @@x", "x")]
)
def test_an_unknown_variable_is_named(text, column):
    with pytest.raises(spoken_text.UnknownColumn) as unknown:
        spoken_text.check(text, VALUES)
    assert str(unknown.value) == column


def test_a_greeting_is_said_once():
    campaign = Campaign(flow_type="greeting", text="Hello")
    assert spoken_text.document(campaign) == {"steps": [{"say": "Hello"}]}


@pytest.mark.parametrize(("repeats", "attempts"), [(None, 1), (0, 1), (2, 3), (9, 10)])
def test_a_menu_is_read_once_and_as_often_again_as_it_says(repeats, attempts):
    campaign = Campaign(flow_type="ivr", text="Dear @@Name, press 1", repeat_menu_attempts=repeats)
    flow = spoken_text.document(campaign, VALUES)
    validate_flow(flow)
    (step,) = flow["steps"]
    assert step["gather"]["attempts"] == attempts
    assert step["gather"]["prompt"] == [{"say": "Dear Asha, press 1"}]
    assert set(step["gather"]["branches"]) == set("0123456789*#")
