"""A lane of `make chaos`: over which API each of its runs is dialed."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tools.chaos import __main__ as chaos
from tools.chaos import lane
from tools.chaos.faults import ROWS
from tools.chaos.result import Result


def test_a_run_is_dialed_over_the_carrier_of_its_row_and_the_next_one_over_the_lanes(monkeypatch):
    made = []

    def make_run(system, row, fault, seed):
        made.append((row, fault, seed, system.carrier))
        return Result.of_broken_system(row, seed, "")

    monkeypatch.setattr(lane, "_make_run", make_run)
    monkeypatch.setattr(sys, "argv", ["lane", "/nowhere", "sandbox"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("6a 1 0\n6a@twilio 2 0\n1e 3 0\n"))
    system: Any = SimpleNamespace(carrier="sandbox")
    lane._work(system)
    faults = {row.number: row.fault for row in ROWS}
    assert made == [
        ("6a", faults["6a"], 1, "sandbox"),
        ("6a@twilio", faults["6a"], 2, "twilio"),
        ("1e", faults["1e"], 3, "sandbox"),
    ]


def options(**given):
    return SimpleNamespace(
        **{"rows": None, "seeds": 3, "few": 1, "first_seed": 1, "random": 0, "only_random": False} | given
    )


def test_rows_over_a_carrier_have_the_seeds_of_their_rows():
    rows: Any = {row.number: row for row in ROWS}
    assert (rows["1e"].is_race, rows["10b"].is_race) == (True, False)
    jobs = chaos._jobs(options(rows="1e,1e@twilio,10b@twilio"), rows)
    assert sorted(jobs) == [
        ("10b@twilio", 1, 0.0),
        *(("1e", seed, 0.0) for seed in (1, 2, 3)),
        *(("1e@twilio", seed, 0.0) for seed in (1, 2, 3)),
    ]


@pytest.mark.parametrize("unknown", ["6a@nobody", "1x@twilio", "6a@", "@twilio"])
def test_an_unknown_row_over_a_carrier_is_named(unknown):
    rows: Any = {row.number: row for row in ROWS}
    with pytest.raises(SystemExit) as refused:
        chaos._jobs(options(rows=f"6a,{unknown}"), rows)
    assert str(refused.value).startswith(f"--rows {unknown}: there are 1a, ")
    assert str(refused.value).endswith("each also with @sandbox or @twilio")
