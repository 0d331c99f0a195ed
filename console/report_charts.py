"""The charts of reports, by the names of their tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from campaigns.models import Campaign, Outcome
from console import hourly
from console.charts import Bar, bars
from console.hourly import Cell, Counted, Line, Map, Scope

# Bars side by side that can still be told apart.
MOST_BARS = 40
# Of the map's cells, by their level: ground and figure. The style sheet has the same.
LEVELS = (
    ("#f1e3d3", "#3d2a12"),
    ("#dfe7c5", "#2b3311"),
    ("#b5d9a8", "#16330c"),
    ("#6fb98f", "#04210f"),
    ("#1f6b4a", "#ffffff"),
)
_CELL_WIDTH, _CELL_HEIGHT, _LEFT, _TOP = 40, 30, 90, 24

Days = Sequence[tuple[date, Counted]]


def by_day(days: Days) -> SafeString:
    """Draw a bar for each day."""
    return bars("Ended calls by day", [Bar(f"{day:%m-%d}", _parts(row), _told(f"{day}", row)) for day, row in days])


def by_caller_id(lines: Sequence[Line]) -> SafeString:
    """Draw the share of short calls of each caller ID."""
    shown = [
        Bar(
            line.name,
            [("failed", 100 * (line.short_share or 0))],
            f"{line.name}: {line.short:,} of {line.timed:,} short",
        )
        for line in lines[:MOST_BARS]
    ]
    return bars("Share of answered calls under six seconds, by caller ID", shown, "%")


def of_campaigns(lines: Sequence[Line]) -> SafeString:
    """Draw the outcomes of each campaign as parts of a hundred."""
    shown = [
        Bar(Truncator(line.name).chars(16), _shares(line.counted), _told(line.name, line.counted))
        for line in lines
        if line.counted.calls
    ]
    return bars("Outcomes of the campaigns, in percent of their calls", shown, "%")


def answer_map(found: Map) -> SafeString:
    """Draw the answer rate by weekday and hour, with the figures in the cells; nothing without any call."""
    if not found.hours:
        return SafeString("")
    width, height = _LEFT + _CELL_WIDTH * len(found.hours), _TOP + _CELL_HEIGHT * len(found.rows)
    hours = [(_LEFT + _CELL_WIDTH * (place + 0.5), _TOP - 8, "middle", hour) for place, hour in enumerate(found.hours)]
    days = [(0, _TOP + _CELL_HEIGHT * (place + 0.65), "start", name) for place, (name, _) in enumerate(found.rows)]
    words = '<text x="{}" y="{}" text-anchor="{}" font-size="13" fill="currentColor">{}</text>'
    return format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"'
        ' font-family="sans-serif">{}{}</svg>',
        width,
        height,
        "Answered, in percent, by weekday and hour",
        format_html_join("", words, [*hours, *days]),
        format_html_join("", "{}", ((cell,) for cell in _cells(found))),
    )


def _cells(found: Map) -> Iterable[SafeString]:
    for row, (name, cells) in enumerate(found.rows):
        for column, (hour, cell) in enumerate(cells):
            if cell.calls:
                yield _cell(cell, _LEFT + _CELL_WIDTH * column, _TOP + _CELL_HEIGHT * row, f"{name} {hour}:00")


def _cell(cell: Cell, x: int, y: int, name: str) -> SafeString:
    ground, figure = ("#ffffff", "#333333") if cell.level is None else LEVELS[cell.level]
    return format_html(
        '<g><title>{}: {} of {} answered</title><rect x="{}" y="{}" width="{}" height="{}" fill="{}"/>'
        '<text x="{}" y="{}" text-anchor="middle" font-size="13" fill="{}">{}</text></g>',
        name,
        f"{cell.answered:,}",
        f"{cell.calls:,}",
        x + 1,
        y + 1,
        _CELL_WIDTH - 2,
        _CELL_HEIGHT - 2,
        ground,
        x + _CELL_WIDTH / 2,
        y + _CELL_HEIGHT * 0.65,
        figure,
        "·" if cell.level is None else f"{100 * (cell.rate or 0):.0f}",
    )


def _parts(counted: Counted) -> list[tuple[str, float]]:
    parts = [("reached", float(counted.answered))]
    return parts + [(outcome.value, float(counted.count(outcome))) for outcome in hourly.OUTCOMES[1:]]


def _shares(counted: Counted) -> list[tuple[str, float]]:
    return [(kind, 100 * value / counted.calls) for kind, value in _parts(counted)]


def _told(name: str, counted: Counted) -> str:
    return (
        f"{name}: {counted.answered:,} answered of {counted.calls:,}, {counted.count(Outcome.BUSY):,} busy,"
        f" {counted.count(Outcome.NO_ANSWER):,} not answered, {counted.count(Outcome.FAILED):,} failed"
    )


CHARTS: Mapping[str, Callable[[Scope, Sequence[Campaign]], SafeString]] = {
    "answers-by-hour": lambda scope, _: answer_map(hourly.answer_map(scope)),
    "outcomes-by-day": lambda scope, _: by_day(hourly.by_day(scope)),
    "caller-ids": lambda scope, _: by_caller_id(hourly.by_caller_id(scope)),
    "campaigns": lambda scope, compared: of_campaigns(hourly.of_campaigns(scope.account, compared)),
}
