"""Nothing is measured, or written, while other programs use the machine."""

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tools.bench import __main__ as bench
from tools.bench import budget, page, quiet
from tools.bench.figures import Row, row


@pytest.mark.parametrize(("seconds", "is_busy"), [(quiet.MOST_CORES * 2 - 0.01, False), (1.2, True)])
def test_a_machine_is_busy_where_others_use_more_than_a_little(monkeypatch, seconds, is_busy):
    """The whole machine has used so many seconds of CPU in two, and of these this process one."""
    looks, pid = iter([100.0, 100.0 + seconds]), psutil.Process().pid
    by_process = iter([{pid: 7.0}, {pid: 8.0}])
    monkeypatch.setattr(quiet, "_used", lambda: next(looks))
    monkeypatch.setattr(quiet, "_by_process", lambda: next(by_process))
    monkeypatch.setattr("time.sleep", lambda _: None)
    busy = quiet.why_busy(2)
    assert bool(busy) is is_busy
    if is_busy:
        assert "other programs use 0.6 cores" in busy
        assert f"{' '.join(psutil.Process().cmdline())[:60]} (0.5)" in busy


@pytest.fixture
def published(monkeypatch):
    """A bench of one figure; returns the rows that it publishes."""
    rows: list[Row] = []
    monkeypatch.setattr(bench, "FIGURES", {"one": lambda _run: [row("a figure", 1.0, "s", "one")]})
    monkeypatch.setattr(page, "publish", lambda made, _charts: rows.extend(made))
    monkeypatch.setattr("tools.bench.charts.draw", lambda *_: [])
    monkeypatch.setattr("tools.bench.scaling.write", lambda: None)
    monkeypatch.setattr("tools.bench.before_after.write", lambda: None)
    others_use(monkeypatch, 0.0)
    return rows


def others_use(monkeypatch, cores: float) -> None:
    """Let other programs use so many cores beside each figure, for ten seconds."""
    others = quiet.Others(Path("/bench"), seconds=10.0, used={"pytest": 10 * cores})
    monkeypatch.setattr(quiet, "beside", lambda _folder: nullcontext(others))


def run(monkeypatch, *arguments: str, busy: str = "") -> int:
    looks(monkeypatch, *[busy] * 20)
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    return bench.main()


def looks(monkeypatch, *found: str) -> None:
    """Let the looks at the machine find this, one after the other; those that wait for a quiet one do not wait."""
    left = iter(found)
    monkeypatch.setattr(quiet, "why_busy", lambda: next(left))
    monkeypatch.setattr(quiet, "why_busy_for_long", quiet.why_busy)


def test_a_quiet_machine_publishes_each_row_with_its_load(published, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.25, 0, 0))
    assert run(monkeypatch) == 0
    assert [(made.figure, made.load) for made in published] == [("a figure", 0.25)]


def test_a_busy_machine_is_not_measured(published, monkeypatch, capsys):
    monkeypatch.setattr(bench, "FIGURES", {"one": lambda _run: pytest.fail("it was measured")})
    assert run(monkeypatch, busy="other programs use 1.3 cores") == 1
    assert "not measured: other programs use 1.3 cores" in capsys.readouterr().out
    assert not published


@pytest.mark.parametrize("busy", ["other programs use 1.3 cores", ""])
def test_with_force_figures_are_shown_and_not_written(published, monkeypatch, capsys, busy):
    assert run(monkeypatch, "--force", busy=busy) == 1
    assert "a figure" in (shown := capsys.readouterr().out)
    assert "nothing was written" in shown
    assert not published


def figure(name: str) -> Callable[[object], list[Row]]:
    return lambda _run: [row(f"figure {name}", 1.0, "s", name)]


def shown(rows: list[Row]) -> list[str]:
    return [f"{made.figure}: {made.value}" for made in rows]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["", "", "", "", ""], ["figure a: 1.0", "figure b: 1.0", "figure c: 1.0"]),
        (["", "", "", "", "busy"], ["figure a: 1.0", "figure b: 1.0", "c: busy: None"]),
        # What is measured between two looks of which one finds others at work does not count; nor is it measured.
        (["", "", "busy", "", ""], ["figure c: 1.0", "a: busy: None", "b: busy: None"]),
    ],
)
def test_a_figure_beside_which_the_machine_was_busy_is_published_as_not_measured(
    published, monkeypatch, found, expected
):
    monkeypatch.setattr(bench, "FIGURES", {name: figure(name) for name in "abc"})
    monkeypatch.setattr(sys, "argv", ["bench"])
    looks(monkeypatch, *found)
    assert bench.main() == int("None" in str(expected))
    assert shown(published) == expected


def test_a_figure_beside_which_others_were_at_work_is_not_written(published, monkeypatch):
    others_use(monkeypatch, quiet.MOST_CORES + 0.4)
    assert run(monkeypatch) == 1
    allowed = f"{quiet.MOST_CORES:g} are allowed"
    assert shown(published) == [f"one: other programs used 0.6 cores beside it ({allowed}): pytest (0.6): None"]


def test_what_others_use_a_little_is_allowed(published, monkeypatch):
    others_use(monkeypatch, quiet.MOST_CORES - 0.01)
    assert run(monkeypatch) == 0
    assert shown(published) == ["a figure: 1.0"]


def test_others_are_neither_ours_nor_below_ours():
    ours, postmaster = 10, 20  # which has no parent of ours
    parents = [(1, 0), (ours, 1), (11, ours), (12, 11), (postmaster, 1), (21, postmaster)]
    parents += [(30, 1), (31, 30), (40, 41), (41, 40), (50, 49)]
    assert quiet.strangers(parents, {ours, postmaster}) == {1, 30, 31, 40, 41, 50}


def test_what_others_use_is_counted_from_look_to_look(monkeypatch):
    def process(pid: int, command: str, seconds: float, parent: int = 1) -> SimpleNamespace:
        return SimpleNamespace(
            pid=pid,
            ppid=lambda: parent,
            cmdline=command.split,
            environ=dict,
            cpu_times=lambda: (seconds - 1, 0.5, 0.25, 0.25, 9.0),
        )

    def server(seconds: float) -> SimpleNamespace:
        return process(4, "postgres -D /bench/data", seconds)

    looks = iter(
        [
            [process(3, "old", 100), server(1), process(7, "", 1)],
            [process(3, "old", 101), server(90), process(5, "postgres: client", 50, parent=4), process(6, "new", 2)],
            [process(3, "old", 101.5), server(95), process(7, "", 50)],
        ]
    )
    monkeypatch.setattr(psutil, "process_iter", lambda: next(looks))
    others = quiet.Others(Path("/bench"))
    for _ in range(3):
        others.look()
    assert others.used == {"old": 1.5, "new": 2.0}


def test_a_figure_that_fails_is_published_as_not_measured_beside_the_others(published, monkeypatch, capsys):
    def fail(_run):
        raise TimeoutError("the campaign has not ended\nweb | a long tail")

    monkeypatch.setattr(bench, "FIGURES", {"a": fail, "b": figure("b")})
    assert run(monkeypatch) == 1
    assert shown(published) == ["figure b: 1.0", "a: the campaign has not ended: None"]
    assert "not measured: a: the campaign has not ended" in capsys.readouterr().out


def test_a_figure_over_its_budget_is_given_up_and_the_next_one_measured(published, monkeypatch):
    monkeypatch.setattr(budget, "SECONDS", 0.01)
    monkeypatch.setattr(bench, "FIGURES", {"a": lambda _run: threading.Event().wait(60), "b": figure("b")})
    assert run(monkeypatch) == 1
    assert shown(published) == ["figure b: 1.0", "a: not done within 0 s: None"]


def test_what_has_not_begun_when_the_whole_is_over_is_not_measured(published, monkeypatch):
    monkeypatch.setattr(budget, "WHOLE_SECONDS", 0)
    assert run(monkeypatch) == 1
    assert shown(published) == ["one: the 0 minutes of a run were over before it: None"]


def test_a_figure_chosen_by_name_has_no_budget(published, monkeypatch, capsys):
    monkeypatch.setattr(budget, "WHOLE_SECONDS", 0)
    assert run(monkeypatch, "--only", "one") == 0
    assert "a figure" in capsys.readouterr().out


def test_without_its_figures_a_page_stays_as_it_is_and_the_rest_is_written(published, monkeypatch, capsys):
    def missing() -> None:
        raise LookupError("no figure")

    monkeypatch.setattr("tools.bench.scaling.write", missing)
    assert run(monkeypatch) == 0
    said = capsys.readouterr().out
    assert "not written: scaling.md: no figure" in said
    assert "written: where-the-time-goes.md" in said
    assert shown(published) == ["a figure: 1.0"]


@pytest.mark.parametrize(
    ("found", "last", "left"), [(["busy", "", "busy"], "", 1), (["busy"] * (quiet.LOOKS + 1), "busy", 1)]
)
def test_one_waits_for_a_quiet_machine_but_not_for_ever(monkeypatch, found, last, left):
    looks_left = iter(found)
    monkeypatch.setattr(quiet, "why_busy", lambda: next(looks_left))
    assert quiet.why_busy_for_long() == last
    assert len(list(looks_left)) == left


def test_one_figure_is_shown_on_a_busy_machine_and_not_written(published, monkeypatch, capsys):
    assert run(monkeypatch, "--only", "one", busy="other programs use 1.3 cores") == 0
    assert "a figure" in capsys.readouterr().out
    assert not published


def test_what_was_measured_is_shown_when_it_is_stopped(published, monkeypatch, capsys):
    def stop(_run):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "FIGURES", {"one": lambda _run: [row("a figure", 1.0, "s", "one")], "two": stop})
    assert run(monkeypatch) == 130
    assert "a figure" in (shown := capsys.readouterr().out)
    assert "stopped before its end" in shown
    assert not published
