"""Conversations: the flow, and the keys that the callee presses."""

import time

import pytest

from sandbox.flow_runner import Callee, NotAFlow, parse_flow, run_flow

MENU = {
    "gather": {
        "prompt": [{"say": "x" * 30}],
        "timeout": 5,
        "attempts": 2,
        "branches": {
            "1": [{"gather": {"digits": 2, "branches": {"42": [{"say": "x" * 15}]}}}],
            "2": [{"hangup": True}],
        },
        "otherwise": [{"connect": "+918000000000"}],
    }
}


def converse(digits, *steps):
    """Return the seconds and the keys of a conversation."""
    conversation = run_flow(parse_flow({"steps": list(steps)}), Callee(digits, "seed"))
    return conversation.seconds, "".join(key for _, key in conversation.keys)


@pytest.mark.parametrize(
    ("digits", "steps", "seconds", "pressed"),
    [
        ("", [{"say": "x" * 30}], 2, ""),
        ("", [{"play": "https://example.com/a.mp3"}], 5, ""),
        ("", [{"connect": "+918000000000"}], 10, ""),
        ("", [{"hangup": True}, {"say": "never"}], 0, ""),
        ("2", [MENU, {"say": "never"}], 2 + 0.5, "2"),
        ("142", [MENU], 2 + 0.5 + 1 + 1, "142"),
        ("14", [MENU], 2 + 0.5 + 0.5 + 5, "14"),  # one key of two, then the timeout
        ("92", [MENU], 2 + 0.5 + 2 + 0.5, "92"),  # no such branch: asked again
        ("", [MENU], (2 + 5) * 2 + 10, ""),  # no key twice: otherwise
        ("99", [MENU, {"say": "x" * 15}], (2 + 0.5) * 2 + 10 + 1, "99"),
        ("1429999", [MENU], 2 + 0.5 + 1 + 1, "142"),  # keys nobody asks for are not pressed
    ],
)
def test_keys_lead_through_the_flow(digits, steps, seconds, pressed):
    assert converse(digits, *steps) == (pytest.approx(seconds), pressed)


def test_without_scripted_digits_valid_ones_are_drawn_from_the_seed():
    flow = parse_flow({"steps": [MENU]})
    pressed = {run_flow(flow, Callee(None, f"seed {n}")).pressed_by(1000) for n in range(50)}
    assert pressed == {"142", "2"}
    assert run_flow(flow, Callee(None, "seed")) == run_flow(flow, Callee(None, "seed"))


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"steps": {"say": "hello"}},
        {"steps": [{"say": "hello", "play": "both"}]},
        {"steps": [{"sing": "la"}]},
        {"steps": [{"hangup": False}]},
        {"steps": [{"gather": {"branches": {"12": []}}}]},
        {"steps": [{"gather": {"digits": 0}}]},
        {"steps": [{"gather": {"prompt": [{"hangup": True}]}}]},
    ],
)
def test_what_is_not_a_flow_is_refused(document):
    with pytest.raises(NotAFlow):
        parse_flow(document)


def known(sandbox, flow):
    """Let the sandbox fetch a flow, so that it knows it when the next call is answered."""
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "talk": 0}])
    sandbox.dial(Url=flow)
    return flow


def test_the_call_reports_the_keys_pressed(sandbox, receiver):
    sandbox.put_script(numbers={"+919812345678": [{"outcome": "completed", "digits": "142"}]})
    call = sandbox.dial(Url=receiver.flow("menu", MENU))
    assert (call["Status"], call["Digits"]) == ("completed", "142")
    assert sandbox.rings()[0]["digits"] == "142"


@pytest.mark.usefixtures("exact_times")
def test_scripted_talk_settles_the_length_and_keys_are_reported_all_the_same(sandbox, receiver):
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "talk": 1, "digits": "92"}], time_scale=0.1)
    assert sandbox.dial(Url=receiver.flow("menu", MENU))["Digits"] == "92"
    (ring,) = sandbox.rings()
    assert ring["end"] - ring["answer"] == pytest.approx(0.1, abs=0.08)


def test_a_call_cut_short_reports_the_keys_pressed_until_then(sandbox, receiver):
    flow = known(sandbox, receiver.flow("menu", MENU))
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "digits": "142"}])
    # 1 comes at 2.5 s and 42 by 3.5 s.
    assert sandbox.dial(Url=flow, TimeLimit="3")["Digits"] == "14"


def test_hanging_up_reports_the_keys_pressed_until_then(sandbox, receiver, wait_until):
    steps = {"gather": {"branches": {"1": [{"gather": {"prompt": [{"say": "x" * 15000}]}}]}}}
    flow = known(sandbox, receiver.flow("long", steps))
    sandbox.put_script(default=[{"outcome": "completed", "ring": 0, "digits": "11"}], time_scale=0.1)
    sid = sandbox.place(Url=flow)
    ring = wait_until(lambda: sandbox.rings()[-1]["answer"] and sandbox.rings()[-1])
    wait_until(lambda: sandbox.call(sid)["Status"] == "in-progress")
    wait_until(lambda: time.time() > ring["answer"] + 0.1)  # one second before the time scale: the first key is pressed
    assert sandbox.hang_up(sid).json["Call"]["Digits"] == "1"


def test_a_flow_is_fetched_once_for_many_calls(sandbox, receiver):
    flow = receiver.flow("menu", MENU)
    sids = [sandbox.place(f"+9198000000{n:02}", Url=flow) for n in range(20)]
    assert all(sandbox.ended(sid)["Digits"] for sid in sids)
    assert receiver.fetched == ["/flow/menu"]


def test_a_document_that_is_no_flow_leaves_the_call_to_talk(sandbox, receiver):
    receiver.flows["broken"] = ["no", "flow"]
    call = sandbox.dial(Url=f"{receiver.url}/flow/broken")
    assert (call["Status"], call["Digits"]) == ("completed", "")
