"""The script: what happens when a number is rung."""

import pytest

NUMBER = "+919812345678"
NUMBERS = [f"+9198000000{index:02}" for index in range(20)]


def test_each_attempt_takes_the_next_entry_and_the_last_repeats(sandbox):
    sandbox.put_script(numbers={NUMBER: [{"outcome": "busy"}, {"outcome": "no-answer"}, {"outcome": "completed"}]})
    assert [sandbox.dial()["Status"] for _ in range(4)] == ["busy", "no-answer", "completed", "completed"]


def test_attempts_are_counted_per_number(sandbox):
    sandbox.put_script(
        numbers={NUMBER: [{"outcome": "busy"}, {"outcome": "failed"}], NUMBERS[0]: [{"outcome": "no-answer"}]}
    )
    assert [sandbox.dial(number)["Status"] for number in (NUMBER, NUMBERS[0], NUMBER)] == [
        "busy",
        "no-answer",
        "failed",
    ]


def test_numbers_may_be_written_with_a_leading_zero_and_spaces(sandbox):
    sandbox.put_script(numbers={"098123 45-678": [{"outcome": "busy"}]})
    assert sandbox.dial(NUMBER)["Status"] == "busy"


def test_a_new_script_starts_every_number_again(sandbox):
    script = {"numbers": {NUMBER: [{"outcome": "busy"}, {"outcome": "completed"}]}}
    sandbox.put_script(**script)
    assert sandbox.dial()["Status"] == "busy"
    sandbox.put_script(**script)
    assert sandbox.dial()["Status"] == "busy"


def run(sandbox, seed, numbers):
    """Return the outcomes of two rings of each number under a mixed default."""
    sandbox.put_script(
        seed=seed,
        default=[{"outcome": outcome, "ring": 0.1, "weight": 1} for outcome in ("completed", "busy", "failed")],
    )
    sids = [(number, nth, sandbox.place(number)) for nth in (1, 2) for number in numbers]
    return {(number, nth): sandbox.ended(sid)["Status"] for number, nth, sid in sids}


def test_the_same_seed_gives_the_same_run_in_any_order(sandbox):
    forwards, backwards = run(sandbox, 1, NUMBERS), run(sandbox, 1, NUMBERS[::-1])
    assert forwards == backwards
    assert set(forwards.values()) == {"completed", "busy", "failed"}
    assert [forwards[number, 1] for number in NUMBERS] != [forwards[number, 2] for number in NUMBERS]


def test_another_seed_gives_another_run(sandbox):
    assert run(sandbox, 1, NUMBERS) != run(sandbox, 2, NUMBERS)


def test_weights_decide_how_often_a_default_is_drawn(sandbox):
    sandbox.put_script(default=[{"outcome": "busy", "weight": 1e9}, {"outcome": "failed", "weight": 1e-9}])
    assert {sandbox.dial(number)["Status"] for number in NUMBERS} == {"busy"}


def test_the_stored_script_is_answered_with_its_defaults(sandbox):
    answer = sandbox.put_script(numbers={NUMBER: [{"outcome": "busy"}]})
    assert answer.json == {
        "numbers": {NUMBER: [{"outcome": "busy"}]},
        "default": [{"outcome": "completed"}],
        "seed": 1,
        "time_scale": 0.01,
        "faults": [],
    }
    assert sandbox.http("GET", "/_sandbox/script").json == answer.json


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            {"numbers": {NUMBER: [{"outcome": "lost"}]}},
            f'numbers."{NUMBER}"[0].outcome: must be one of completed, busy, no-answer, failed, not "lost"',
        ),
        ({"numbers": {NUMBER: [{"ring": 1}]}}, f'numbers."{NUMBER}"[0].outcome: must be one of'),
        ({"numbers": {NUMBER: []}}, f'numbers."{NUMBER}": must have at least one entry'),
        ({"numbers": {NUMBER: [{"outcome": "busy", "weight": 1}]}}, f'numbers."{NUMBER}"[0]: unknown key "weight"'),
        ({"numbers": {"nobody": [{"outcome": "busy"}]}}, 'numbers."nobody": is not a phone number'),
        (
            {"numbers": {NUMBER: [{"outcome": "busy"}], "09812345678": [{"outcome": "busy"}]}},
            'numbers."09812345678": the same number stands here twice',
        ),
        ({"default": [{"outcome": "busy", "ring": -1}]}, "default[0].ring: must be from 0"),
        ({"default": [{"outcome": "busy"}, {"outcome": "busy", "rings": 1}]}, 'default[1]: unknown key "rings"'),
        ({"default": [{"outcome": "completed", "talk": "2"}]}, 'default[0].talk: must be a number, not "2"'),
        ({"default": [{"outcome": "completed", "talk": float("nan")}]}, "default[0].talk: must be a number, not NaN"),
        ({"default": [{"outcome": "completed", "digits": "1a"}]}, "default[0].digits: must be a string of the keys"),
        ({"default": [{"outcome": "busy", "weight": 0}]}, "default[0].weight: must be greater than 0"),
        ({"default": []}, "default: must have at least one entry"),
        ({"seed": True}, "seed: must be a whole number, not true"),
        ({"time_scale": 0}, "time_scale: must be greater than 0, not 0"),
        ({"speed": 2}, 'script: unknown key "speed"; known are numbers, default, seed, time_scale, faults'),
        ({"faults": ["http-418"]}, "faults[0]: must be one of http-400"),
        ({"faults": [{"name": "down", "rate": 2}]}, "faults[0].rate: must be from 0 to 1, not 2"),
        ({"faults": [{"name": "down", "times": 0}]}, "faults[0].times: must be at least 1, not 0"),
        ({"faults": [{"name": "http-503", "seconds": 3}]}, "faults[0].seconds: http-503 takes no time"),
    ],
)
def test_a_faulty_script_is_refused_with_a_sentence_that_says_where(sandbox, script, sentence):
    before = sandbox.http("GET", "/_sandbox/script").json
    answer = sandbox.put_script(**script)
    assert answer.status == 400
    assert answer.json["error"].startswith(sentence)
    assert sandbox.http("GET", "/_sandbox/script").json == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_what_is_no_json_object_is_no_script(sandbox, body):
    answer = sandbox.http("PUT", "/_sandbox/script", body)
    assert answer.status == 400
    assert answer.json["error"].startswith("script: ")
