"""What `make chaos` over a SIP trunk counts, on rings that are made up, and what it says of the time it had."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tools.chaos import result
from tools.chaos.lanes import Lanes
from tools.chaos.sip_judge import CHANNELS, Found, judge
from tools.chaos.sip_system import System, once
from tools.sipp_party import Ring

RING = Ring("a1", "+91", 10.0, 12.0, "tag")
FOUND = Found(calls={"+91": "completed"}, attempts={"a1": ("+91", "completed")}, legs={})


def judged(rings, found=FOUND, problem=""):
    return judge("12a", 1, rings, found, 60.0, problem)


def test_a_run_in_which_each_number_was_rung_once_has_no_violation():
    fine = judged([RING])
    assert (fine.rings, fine.double, fine.lost, fine.over_cap, fine.violations) == (1, 0, 0, 0, [])


@pytest.mark.parametrize(
    ("rings", "found", "violations"),
    [
        ([RING, replace(RING, tag="other", began=20.0, ended=21.0)], FOUND, ["1 attempts rang twice"]),
        ([RING], replace(FOUND, calls={"+91": "created"}), ["+91 is lost"]),
        ([RING], replace(FOUND, calls={"+91": "completed", "+92": "completed"}), ["+92 is lost"]),
        ([RING], replace(FOUND, attempts={"a1": ("+91", "unknown")}), ["an attempt is still unknown"]),
        (
            [RING],
            replace(FOUND, attempts={"a1": ("+91", "canceled")}),
            ["+91 was rung by an attempt that was given back"],
        ),
        ([replace(RING, call_id="b")], FOUND, ["+91 was rung for no attempt, and no leg of one"]),
        (
            [RING, replace(RING, call_id="leg", number="+92")],
            replace(FOUND, legs={"leg": ""}),
            ["a leg has not ended"],
        ),
        (
            [replace(RING, call_id=f"a{at}", began=20.0 * at, ended=20.0 * at + 1) for at in range(3)],
            replace(FOUND, attempts={f"a{at}": ("+91", "busy") for at in range(3)}),
            ["+91 was rung 3 times"],
        ),
        (
            [RING, replace(RING, call_id="leg", began=11.0, ended=13.0)],
            replace(FOUND, legs={"leg": "completed"}),
            ["+91 was rung twice at once"],
        ),
        ([RING, replace(RING, call_id="leg", began=11.6)], replace(FOUND, legs={"leg": "completed"}), []),
        (
            [replace(RING, call_id=f"a{at}", number=f"+{at}") for at in range(CHANNELS + 1)],
            Found({}, {f"a{at}": (f"+{at}", "completed") for at in range(CHANNELS + 1)}, {}),
            ["11 calls were up at once"],
        ),
    ],
)
def test_each_thing_that_must_not_be_is_a_violation(rings, found, violations):
    assert judged(rings, found).violations == violations


def test_a_fault_that_did_not_strike_is_a_violation():
    assert judged([RING], problem="nothing was tried").violations == ["nothing was tried"]


def test_an_invite_that_was_sent_again_to_another_life_of_the_far_end_is_one_ring():
    assert once([RING, replace(RING, began=11.0, ended=15.0)]) == [replace(RING, ended=15.0)]
    assert len(once([RING, replace(RING, tag="other")])) == 2


def test_runs_are_told_in_short():
    assert (result.spans([3, 1, 2, 7]), result.spans([])) == ("1-3, 7", "")
    wanted = [(fault, seed) for seed in range(1, 5) for fault in ("1a", "5b")]
    assert result.not_begun(wanted, [("1a", 1), ("5b", 1), ("5b", 2), ("5b", 3)]) == "1a seeds 2-4; 5b seed 4"


def test_lanes_begin_nothing_once_the_time_is_over(tmp_path):
    lanes = Lanes(1, "sandbox", tmp_path, Console(quiet=True), minutes=1e-9)
    lanes.work([("1a", 1, 0.0)], lambda made: pytest.fail(f"{made} was begun"))
    assert list(tmp_path.iterdir()) == []


def test_an_invite_that_a_far_end_took_as_it_was_killed_is_no_ring():
    class Party:
        def __init__(self, is_up):
            self.is_up = is_up

        def rings(self):
            return [replace(RING, has_response=False), replace(RING, call_id="a2")]

    system: Any = object.__new__(System)
    system.parties = [Party(is_up=False)]
    assert [ring.call_id for ring in system.rings()] == ["a2"]
    system.parties = [Party(is_up=True)]
    assert [ring.call_id for ring in system.rings()] == ["a1", "a2"]
