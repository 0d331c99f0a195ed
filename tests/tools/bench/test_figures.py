import json

import pytest

from tools.bench import figures, page, weights
from tools.bench.figures import at_least, at_most, row
from tools.bench.weights import Weights
from tools.local import cpu_groups


@pytest.fixture(scope="module")
def charts():
    from tools.bench import charts  # takes a second, which only those who run these tests shall wait for

    return charts


@pytest.mark.parametrize(
    ("value", "limit", "target", "ratio", "met"),
    [
        (300, 100, at_least(3), 3.0, True),
        (299, 100, at_least(3), 2.99, False),
        (130, 100, at_most(1.3), 1.3, True),
        (131, 100, at_most(1.3), 1.31, False),
        (49, None, at_most(50), None, True),
        (51, None, at_most(50), None, False),
        (51, None, None, None, None),
        (None, None, at_least(1.8), None, None),
    ],
)
def test_a_target_is_of_the_ratio_and_of_the_value_where_there_is_none(value, limit, target, ratio, met):
    made = row("f", value, "ms", "name", limit=limit, target=target)
    assert (made.ratio, made.met) == (pytest.approx(ratio) if ratio else ratio, met)


STEADY = [(110.0, 100.0), (120.0, 100.0), (115.0, 100.0), (230.0, 200.0), (112.0, 100.0)]


def test_pairs_give_the_median_of_their_ratios_with_the_spread_and_the_load():
    made = figures.paired("f", STEADY, "ms", "name", target=at_most(1.15))
    assert (made.ratio, made.value, made.limit) == (1.15, 115.0, 100.0)
    assert (made.met, made.pairs) == (True, 5)
    assert made.spread == pytest.approx(0.1 / 1.15)
    assert "9% of 5" in figures.cells(made)


def test_pairs_that_differ_too_much_say_so_instead_of_met():
    made = figures.paired("f", [*STEADY, (90.0, 100.0)], "ms", "name", target=at_most(2))
    assert made.met is None
    assert "the spread is over 25%" in figures.cells(made)
    assert page.markdown([made]).endswith("0 of 1 targets met. The spread of 1 is too wide to tell.")


def test_fewer_than_five_pairs_are_no_figure():
    with pytest.raises(ValueError, match="4 pairs"):
        figures.paired("f", STEADY[:4], "ms", "name", target=at_most(2))


def test_what_is_measured_several_times_gives_the_median_with_its_spread():
    made = figures.repeated("f", [2.1, 1.9, 2.0], "ms", "name", target=at_most(2))
    assert (made.value, made.ratio, made.met, made.pairs) == (2.0, None, True, 3)
    assert made.spread == pytest.approx(0.1)
    wide = figures.repeated("f", [1.0, 2.0, 1.5], "ms", "name", target=at_most(2))
    assert wide.met is None
    assert figures.repeated("f", [0.0, 0.0], "ms", "name").spread == 0


def test_rows_are_written_with_exactly_the_promised_keys(tmp_path):
    made = [row("rows a second", 10.0, "rows/s", "report", limit=20.0, target=at_least(0.5))]
    figures.write(made, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == [
        {
            "figure": "rows a second",
            "value": 10.0,
            "limit": 20.0,
            "ratio": 0.5,
            "target": "at least 0.5",
            "met": True,
            "unit": "rows/s",
            "command": "python -m tools.bench --only report",
            "pairs": None,
            "spread": None,
            "load": None,
            "weights": None,
        }
    ]
    assert figures.read(tmp_path / "results.json") == made


def test_rows_say_how_processes_of_whole_systems_shared_cores():
    alone, whole = row("a", 1.5, "s", "a"), row("b", 2.5, "s", "b")
    found = figures.measured_on([alone], 0.5, []) + figures.measured_on([whole], 0.7, [Weights.OF_UNITS] * 5)
    assert [(line.load, line.weights) for line in found] == [(0.5, None), (0.7, "weights of the units")]
    assert figures.weights(found) == "Processes of whole systems: weights of the units."
    assert figures.weights([alone]) == ""


@pytest.mark.parametrize(
    ("alike", "can", "how"),
    [
        (False, True, "weights of the units"),
        (False, False, "all alike: no control groups here"),
        (True, True, "all alike"),
    ],
)
def test_systems_have_the_weights_of_the_units_where_groups_can_be_made(monkeypatch, alike, can, how):
    monkeypatch.setattr(cpu_groups, "usable", lambda: can or None)
    assert weights.chosen(alike=alike) == how


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (12345.6, "12,346"), (42.123, "42.12"), (0.04217, "0.0422"), (0, "0")]
)
def test_numbers_are_shown_with_the_digits_that_mean_something(value, shown):
    assert figures.number(value) == shown


def test_the_page_keeps_its_prose_around_the_figures():
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    assert page.with_figures(text, "new") == f"before\n{page.BEGIN}\n\nnew\n\n{page.END}\nafter\n"


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="marks"):
        page.with_figures("prose", "new")


def test_the_table_of_the_page_counts_the_targets_met():
    rows = [row("a", 1, "s", "a", target=at_most(2)), row("b", 3, "s", "b", target=at_most(2)), row("c", 3, "s", "c")]
    assert page.markdown(rows).endswith("1 of 2 targets met.")
    rows += [row("d", None, "s", "d", target=at_most(2)), figures.not_measured("e", "busy")]
    assert page.markdown(rows).endswith("1 of 3 targets met. Not measured: 2.")


def test_figures_are_published_as_json_and_in_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    (tmp_path / "README.md").write_text(f"# Performance\n{page.BEGIN}\n{page.END}\n")
    rows = [row("a", 1.5, "s", "name", target=at_most(2))]
    page.publish(rows, [tmp_path / "waits.png"])
    text = (tmp_path / "README.md").read_text()
    assert "| a | 1.50 s |  |  |  |  | at most 2 | yes | `python -m tools.bench --only name` |" in text
    assert "![waits](waits.png)" in text
    assert figures.read(tmp_path / "results.json") == rows


def test_the_page_of_the_repository_has_its_marks():
    assert "new" in page.with_figures((page.FOLDER / "README.md").read_text(), "new")


@pytest.mark.parametrize(
    ("made", "headroom"),
    [
        (row("a", 6, "x", "a", limit=1, target=at_least(3)), 2),
        (row("a", 100, "ms", "a", target=at_most(50)), 0.5),
    ],
)
def test_headroom_is_above_one_where_a_target_is_met(charts, made, headroom):
    assert charts.headroom(made) == pytest.approx(headroom)


def test_only_rates_are_drawn_beside_each_other(charts, tmp_path, monkeypatch):
    drawn: list[str] = []
    monkeypatch.setattr(charts, "_rates", lambda _axes, rows: drawn.extend(row.figure for row in rows))
    rate = row("completed attempts, simulated carrier, x: beside an empty Celery task", 3, "a/s", "attempts", limit=1)
    others = [row("CPU of an attempt, simulated carrier: web", 0.1, "ms", "attempts")]
    charts.draw([rate, *others, figures.not_measured("attempts", "busy")], {}, tmp_path)
    assert drawn == [rate.figure]


def test_every_chart_is_drawn_and_small(charts, tmp_path):
    rows = [
        row("completed attempts, simulated carrier, x: beside an empty Celery task", 3, "a/s", "attempts", limit=1),
        row("CPU of an attempt, simulated carrier: web", 0.1, "ms", "attempts"),
        figures.not_measured("attempts", "the system did not start"),
        row("mean", 59, "channels", "channels", limit=60, target=at_least(0.98)),
    ]
    points = [(float(n), n / 2000) for n in range(2000)]
    series = {"channels in use, cap 60": points, "free channel to next call, cap 60": points}
    drawn = charts.draw(rows, series, tmp_path)
    assert [chart.name for chart in drawn] == [
        "targets.png",
        "attempts-a-second.png",
        "channels-in-use.png",
        "waits.png",
    ]
    assert all(chart.stat().st_size < 100_000 for chart in drawn)
