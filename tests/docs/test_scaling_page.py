"""The arithmetic of the scaling page, and the table of CPU by process, are those of the figures in results.json."""

import pytest

from tools.bench import before_after, figures, page, scaling
from tools.bench.figures import row


@pytest.mark.parametrize("module", [scaling, before_after])
def test_the_page_is_in_step_with_the_figures(module):
    rows = figures.read(page.FOLDER / "results.json")
    text = module.PAGE.read_text()
    assert page.with_figures(text, module.markdown(rows)) == text, f"run: python -m {module.__name__}"


def test_the_table_of_cpu_adds_up_the_parts_that_were_measured():
    used = {"PostgreSQL": 0.5, "events": 0.25}
    rows = [
        row(f"CPU of an attempt, {carrier}: {part}", value, "ms", "attempts")
        for carrier in before_after.CARRIERS
        for part, value in used.items()
    ]
    table = before_after.markdown(rows)
    assert "| PostgreSQL | 0.156 | 0.5 | 0.778 | 0.5 |" in table
    assert "| events |  | 0.25 |  | 0.25 |" in table
    assert "| **all but the carrier** | **0.405** | **0.75** | **3.55** | **0.75** |" in table


@pytest.mark.parametrize("module", [scaling, before_after])
def test_a_page_is_not_written_without_its_figures(module):
    with pytest.raises(LookupError, match="CPU of an attempt"):
        module.markdown([figures.not_measured("attempts", "the system did not start")])
