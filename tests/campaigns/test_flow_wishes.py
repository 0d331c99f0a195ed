"""What keys alone tell that somebody asked for: as the interpreter would have it, and no further."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.flow_interpreter import Ask, OptOut, Refuse, pressed, start
from campaigns.flow_schema import validate_flow
from campaigns.flow_wishes import asked_for, stronger

MENU = {
    "steps": [
        {
            "gather": {
                "attempts": 2,
                "branches": {
                    "1": [{"say": "Thank you"}],
                    "8": [{"refuse": True}, {"say": "Goodbye"}],
                    "9": [{"opt_out": True}, {"say": "You will not be called again"}],
                    "0": [{"gather": {"branches": {"1": [{"opt_out": True}], "2": [{"hangup": True}]}}}],
                },
                "otherwise": [{"opt_out": True}],
            }
        },
    ]
}


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ("9", "opt-out"),
        ("8", "refusal"),
        ("1", ""),
        ("59", "opt-out"),  # at the second attempt
        ("55", "opt-out"),  # otherwise
        ("5", ""),  # hung up at the second question, perhaps
        ("", ""),
        ("01", "opt-out"),
        ("02", ""),
        ("0", ""),
        ("19", ""),  # the 9 was pressed after the menu
    ],
)
def test_keys_are_followed_as_far_as_they_go(keys, asked):
    validate_flow(MENU)
    assert asked_for(MENU, keys) == asked


def test_a_finish_key_ends_a_question_before_all_its_keys():
    inner = [{"gather": {"branches": {"9": [{"opt_out": True}]}}}]
    flow = {"steps": [{"gather": {"digits": 4, "finish_key": "#", "branches": {"12": inner}}}]}
    validate_flow(flow)
    assert asked_for(flow, "129")
    assert not asked_for(flow, "1239")


def test_what_comes_behind_a_hangup_is_not_reached():
    assert not asked_for({"steps": [{"hangup": True}, {"opt_out": True}]}, "1")
    assert asked_for({"steps": [{"opt_out": True}, {"hangup": True}]}, "") == "opt-out"


@pytest.mark.parametrize("steps", [["opt_out", "refuse"], ["refuse", "opt_out"]])
def test_an_opt_out_is_stronger_than_a_refusal(steps):
    assert asked_for({"steps": [{step: True} for step in steps]}, "") == "opt-out"


STEPS = st.sampled_from([{"say": "text"}, {"opt_out": True}, {"refuse": True}, {"hangup": True}])


def flows(depth: int) -> st.SearchStrategy[list[object]]:
    """Lists of steps with questions in questions, so deep at most. Without a bound most drawn flows grow too large."""
    if not depth:
        return st.lists(STEPS, min_size=1, max_size=3)
    inner = flows(depth - 1)
    gather = st.fixed_dictionaries(
        {"branches": st.dictionaries(st.sampled_from("019"), inner, min_size=1, max_size=2)},
        optional={"otherwise": inner, "attempts": st.integers(1, 2)},
    )
    return st.lists(STEPS | st.fixed_dictionaries({"gather": gather}), min_size=1, max_size=3)


@given(flows(3), st.text("019*", max_size=6))
def test_it_is_what_the_interpreter_does_with_these_keys(listed, keys):
    document = {"steps": listed}
    left, actions = keys, start(document)
    done = list(actions)
    while isinstance(ask := actions[-1], Ask) and left:
        actions, left = pressed(document, ask.place, left[0]), left[1:]
        done += actions
    told = {OptOut: "opt-out", Refuse: "refusal"}
    assert asked_for(document, keys) == stronger(*(told.get(type(action), "") for action in done))
