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
    Record,
    RecordCall,
    Say,
    connected,
    connecting,
    message,
    parse_place,
    pressed,
    recorded,
    start,
    step_at,
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
    assert start({"steps": [{"say": "Hello"}, {"say": "Bye"}]}) == [Say("Hello"), Say("Bye"), HangUp()]
    assert start({"steps": [{"hangup": True}, {"say": "never"}]}) == [HangUp()]


@pytest.mark.parametrize(
    ("place", "keys", "actions"),
    [
        (MAIN, "1", [Say("One"), Ask((), 1, 5, Place(("1", "1", "1")))]),
        (Place(("1", "1", "1")), "*", [Say("Star"), Say("After one"), Say("Bye"), HangUp()]),
        (Place(("1", "1", "1")), "", [Say("After one"), Say("Bye"), HangUp()]),
        (MAIN, "22", [Connect("+912222222222", 30, Place(("1", "22", "0")))]),
        (MAIN, "#", [HangUp()]),
        (Place(("1",), 2), "9", [Say("Nothing"), Say("Bye"), HangUp()]),
        (Place(("1",), 2), "22", [Connect("+912222222222", 30, Place(("1", "22", "0")))]),
    ],
)
def test_keys_choose_what_follows_and_the_flow_goes_on_behind_the_gather(place, keys, actions):
    assert pressed(MENU, place, keys) == actions


@pytest.mark.parametrize("keys", ["", "9", "2", "11"])
def test_a_question_is_asked_as_often_as_the_flow_says(keys):
    assert pressed(MENU, MAIN, keys) == [Ask((Say("Press 1 or 2"), BEEP), 2, 7, Place(("1",), 2))]


def test_a_text_may_have_a_language_and_a_voice():
    spoken = {"text": "Namaste", "language": "hi-IN", "voice": "Polly.Aditi"}
    prompt = [{"say": {"text": "Ek", "language": "hi-IN"}}]
    document = {"steps": [{"say": spoken}, {"gather": {"prompt": prompt, "branches": {"1": [{"hangup": True}]}}}]}
    validate_flow(document)
    assert start(document) == [
        Say("Namaste", "hi-IN", "Polly.Aditi"),
        Ask((Say("Ek", "hi-IN"),), 1, 5, Place(("1",))),
    ]


def test_a_machine_hears_what_the_flow_has_for_machines():
    document = MENU | {"machine": [{"say": "Call us back"}, {"play": "https://client.example/beep.wav"}]}
    validate_flow(document)
    assert message(document) == [Say("Call us back"), BEEP, HangUp()]
    assert message(MENU) == [HangUp()]


def test_a_key_may_end_the_input():
    document = {"steps": [{"gather": {"digits": 6, "finish_key": "#", "branches": {"12": [{"hangup": True}]}}}]}
    validate_flow(document)
    assert start(document) == [Ask((), 6, 5, Place(("0",)), finish_key="#")]


A, B = "+912222222221", "+912222222222"
SERVICE = {
    "steps": [
        {
            "gather": {
                "branches": {
                    "1": [{"connect": {"numbers": [A, B], "ring": 20, "otherwise": [{"say": "All busy"}]}}],
                    "2": [{"connect": A}, {"say": "You were connected"}],
                }
            }
        },
        {"say": "Bye"},
    ]
}
TO_A, TO_B = Place(("0", "1", "0")), Place(("0", "1", "0"), 2)
ALONE = Place(("0", "2", "0"))


@pytest.mark.parametrize(
    ("place", "result", "actions"),
    [
        (TO_A, {"was_taken": True}, [Say("Bye"), HangUp()]),
        (TO_A, {"was_taken": False}, [Connect(B, 20, TO_B)]),
        (TO_B, {"was_taken": True}, [Say("Bye"), HangUp()]),
        (TO_B, {"was_taken": False}, [Say("All busy"), Say("Bye"), HangUp()]),
        (TO_A, {"was_taken": False, "may_try_others": False}, [Say("All busy"), Say("Bye"), HangUp()]),
        (ALONE, {"was_taken": True}, [Say("You were connected"), Say("Bye"), HangUp()]),
        (ALONE, {"was_taken": False}, [Say("You were connected"), Say("Bye"), HangUp()]),
    ],
)
def test_numbers_are_rung_one_after_another_until_somebody_takes_the_call(place, result, actions):
    validate_flow(SERVICE)
    assert pressed(SERVICE, Place(("0",)), "1") == [Connect(A, 20, TO_A)]
    assert step_at(SERVICE, parse_place(str(place))) == "connect"
    assert connected(SERVICE, parse_place(str(place)), **result) == actions


def test_each_number_can_be_come_back_to_by_its_place():
    first = connecting(SERVICE, TO_A)
    assert first == [Connect(A, 20, TO_A)]
    assert connecting(SERVICE, Place(TO_A.path, 2)) == connected(SERVICE, TO_A, was_taken=False)


@pytest.mark.parametrize(
    "place",
    [Place(("0",)), Place(("1",)), Place(("0", "1", "0"), 0), Place(("0", "1", "0"), 3), Place(("0", "2", "0"), 2)],
)
def test_a_place_that_is_no_connect_is_refused(place):
    with pytest.raises(NoSuchPlace):
        connected(SERVICE, place, was_taken=True)
    with pytest.raises(NoSuchPlace):
        connecting(SERVICE, place)


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


STEPS = st.sampled_from(
    [{"say": "text"}, {"connect": "+912222222222"}, {"record": {}}, {"record_call": True}, {"hangup": True}]
)


def flows(depth: int) -> st.SearchStrategy[list[object]]:
    """Lists of steps with questions in questions, so deep at most. Without a bound most drawn flows grow too large."""
    if not depth:
        return st.lists(STEPS, min_size=1, max_size=3)
    inner = flows(depth - 1)
    connect = st.fixed_dictionaries(
        {"numbers": st.lists(st.just("+912222222222"), min_size=1, max_size=3)}, optional={"otherwise": inner}
    )
    gather = st.fixed_dictionaries(
        {"branches": st.dictionaries(st.text("019*#", min_size=1, max_size=2), inner, min_size=1, max_size=2)},
        optional={"otherwise": inner, "attempts": st.integers(1, 3), "digits": st.just(2)},
    )
    kinds = st.fixed_dictionaries({"connect": connect}) | st.fixed_dictionaries({"gather": gather})
    return st.lists(STEPS | kinds, min_size=1, max_size=3)


def test_a_call_is_recorded_from_a_step_on_and_the_flow_goes_on_at_once():
    branch = [{"record_call": True}, {"say": "Yes"}]
    document = {"steps": [{"record_call": True}, {"gather": {"branches": {"1": branch}}}]}
    validate_flow(document)
    asks = Place(("1",))
    assert start(document) == [RecordCall(Place(("0",))), Ask((), 1, 5, asks)]
    assert pressed(document, asks, "1") == [RecordCall(Place(("1", "1", "0"))), Say("Yes"), HangUp()]


def test_what_a_callee_says_is_recorded_as_the_flow_wants():
    document = {"steps": [{"record": {}}, {"record": {"seconds": 9, "silence": 2, "finish_key": "1", "beep": False}}]}
    validate_flow(document)
    first, second = Place(("0",)), Place(("1",))
    assert start(document) == [Record(60, 5, "#", True, first)]
    assert recorded(document, first) == [Record(9, 2, "1", False, second)]
    assert recorded(document, second) == [HangUp()]
    with pytest.raises(NoSuchPlace):
        recorded(SERVICE, first)


@given(flows(3), st.data())
def test_every_flow_comes_to_its_end_whatever_is_pressed(listed, data):
    document = {"steps": listed}
    validate_flow(document)
    actions = start(document)
    while isinstance(waits := actions[-1], Ask | Connect | Record):
        assert not any(isinstance(action, Ask | Connect | Record | HangUp) for action in actions[:-1])
        assert parse_place(str(waits.place)) == waits.place
        assert step_at(document, waits.place) == type(waits).__name__.lower().replace("ask", "gather")
        if isinstance(waits, Connect):
            actions = connected(document, waits.place, was_taken=data.draw(st.booleans()))
        elif isinstance(waits, Record):
            actions = recorded(document, waits.place)
        else:
            actions = pressed(document, waits.place, data.draw(st.text("019*#", max_size=2)))
    assert actions[-1] == HangUp()
