"""The way of a call through a flow: what is done, asked and done next, for whatever keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import spoken_text
from campaigns.flow_interpreter import (
    Ask,
    Connect,
    HangUp,
    NoSuchPlace,
    Place,
    Play,
    Say,
    parse_place,
    pressed,
    start,
)
from campaigns.flow_schema import validate_flow
from campaigns.models import Campaign

MENU = {
    "steps": [
        {"say": "Hello"},
        {
            "gather": {
                "prompt": [{"say": "Press 1 or 2"}, {"play": "https://client.example/beep.wav"}],
                "digits": 2,
                "timeout": 7,
                "attempts": 2,
                "branches": {
                    "1": [{"say": "One"}, {"gather": {"branches": {"*": [{"say": "Star"}]}}}, {"say": "After one"}],
                    "22": [{"connect": "+912222222222"}],
                    "#": [{"hangup": True}, {"say": "never"}],
                },
                "otherwise": [{"say": "Nothing"}],
            }
        },
        {"say": "Bye"},
    ]
}
MAIN = Place(("1",))
BEEP = Play("https://client.example/beep.wav")


def test_a_flow_goes_on_up_to_the_first_question():
    ask = Ask((Say("Press 1 or 2"), BEEP), 2, 7, MAIN)
    assert start(MENU) == [Say("Hello"), ask]


def test_a_flow_without_a_question_ends_with_its_last_step():
    assert start({"steps": [{"say": "Hello"}, {"connect": "+911"}]}) == [Say("Hello"), Connect("+911"), HangUp()]
    assert start({"steps": [{"hangup": True}, {"say": "never"}]}) == [HangUp()]


@pytest.mark.parametrize(
    ("place", "keys", "actions"),
    [
        (MAIN, "1", [Say("One"), Ask((), 1, 5, Place(("1", "1", "1")))]),
        (Place(("1", "1", "1")), "*", [Say("Star"), Say("After one"), Say("Bye"), HangUp()]),
        (Place(("1", "1", "1")), "", [Say("After one"), Say("Bye"), HangUp()]),
        (MAIN, "22", [Connect("+912222222222"), Say("Bye"), HangUp()]),
        (MAIN, "#", [HangUp()]),
        (Place(("1",), 2), "9", [Say("Nothing"), Say("Bye"), HangUp()]),
        (Place(("1",), 2), "22", [Connect("+912222222222"), Say("Bye"), HangUp()]),
    ],
)
def test_keys_choose_what_follows_and_the_flow_goes_on_behind_the_gather(place, keys, actions):
    assert pressed(MENU, place, keys) == actions


@pytest.mark.parametrize("keys", ["", "9", "2", "11"])
def test_a_question_is_asked_as_often_as_the_flow_says(keys):
    assert pressed(MENU, MAIN, keys) == [Ask((Say("Press 1 or 2"), BEEP), 2, 7, Place(("1",), 2))]


def test_a_text_that_is_read_is_a_flow_like_any_other():
    document = spoken_text.document(Campaign(text="Come at five", flow_type="ivr", repeat_menu_attempts=1))
    [first] = start(document)
    assert isinstance(first, Ask)
    [again] = pressed(document, first.place, "")
    assert isinstance(again, Ask)
    assert (first.prompt, again.prompt) == ((Say("Come at five"),),) * 2
    assert pressed(document, again.place, "") == pressed(document, first.place, "7") == [HangUp()]


@pytest.mark.parametrize("place", [Place(("0",)), Place(("9",)), Place(("1", "7", "0")), Place(("0", "1", "0"))])
def test_a_place_that_the_flow_does_not_have_is_refused(place):
    with pytest.raises(NoSuchPlace):
        pressed(MENU, place, "1")


@pytest.mark.parametrize(
    "text", ["", "1", "x", "1.", "1.x", "-1.1", "1.1.1", "1.a.1.1", "01.1", "9" * 5000, "1." * 200]
)
def test_what_is_no_place_is_refused(text):
    with pytest.raises(NoSuchPlace):
        parse_place(text)


steps: st.SearchStrategy[list[object]] = st.deferred(lambda: st.lists(step, min_size=1, max_size=3))
step: st.SearchStrategy[object] = st.one_of(
    st.sampled_from([{"say": "text"}, {"connect": "+912222222222"}, {"hangup": True}]),
    st.fixed_dictionaries(
        {
            "gather": st.fixed_dictionaries(
                {"branches": st.dictionaries(st.text("019*#", min_size=1, max_size=2), steps, min_size=1, max_size=2)},
                optional={"otherwise": steps, "attempts": st.integers(1, 3), "digits": st.just(2)},
            )
        }
    ),
)


@given(steps, st.data())
def test_every_flow_comes_to_its_end_whatever_is_pressed(listed, data):
    document = {"steps": listed}
    validate_flow(document)
    actions = start(document)
    while isinstance(ask := actions[-1], Ask):
        assert not any(isinstance(action, Ask | HangUp) for action in actions[:-1])
        assert parse_place(str(ask.place)) == ask.place
        actions = pressed(document, ask.place, data.draw(st.text("019*#", max_size=2)))
    assert actions[-1] == HangUp()
