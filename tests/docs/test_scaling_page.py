"""The arithmetic of the scaling page is that of the figures in results.json."""

from tools.bench import figures, page, scaling


def test_the_page_is_in_step_with_the_figures():
    rows = figures.read(page.FOLDER / "results.json")
    text = scaling.PAGE.read_text()
    assert page.with_figures(text, scaling.markdown(rows)) == text, "run: python -m tools.bench.scaling"
