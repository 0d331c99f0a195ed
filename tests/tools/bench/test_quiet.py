"""Nothing is measured, or written, while other programs use the machine."""

import sys

import psutil
import pytest

from tools.bench import __main__ as bench
from tools.bench import figures, page, quiet
from tools.bench.figures import row


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
    rows: list[figures.Row] = []
    monkeypatch.setattr(bench, "FIGURES", {"one": lambda _run: [row("a figure", 1.0, "s", "one")]})
    monkeypatch.setattr(page, "publish", lambda made, _charts: rows.extend(made))
    monkeypatch.setattr("tools.bench.charts.draw", lambda *_: [])
    monkeypatch.setattr("tools.bench.scaling.write", lambda: None)
    return rows


def run(monkeypatch, *arguments: str, busy: str = "") -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    monkeypatch.setattr(quiet, "why_busy", lambda: busy)
    return bench.main()


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


def test_a_machine_that_becomes_busy_publishes_nothing(published, monkeypatch, capsys):
    looks = iter(["", "other programs use 1.3 cores"])
    monkeypatch.setattr(sys, "argv", ["bench"])
    monkeypatch.setattr(quiet, "why_busy", lambda: next(looks))
    assert bench.main() == 1
    assert "before one, other programs use 1.3 cores" in capsys.readouterr().out
    assert not published


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
