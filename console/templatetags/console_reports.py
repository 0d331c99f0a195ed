"""Tables and charts of the reports."""

from collections.abc import Sequence
from datetime import date

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns.models import Outcome
from console.hourly import Cell, Counted

register = template.Library()

WIDTH, HEIGHT = 1000, 160


@register.simple_tag
def outcome_of(counted: Counted, outcome: str) -> int:
    return counted.count(outcome)


@register.simple_tag
def map_cell(cell: Cell, weekday: str, hour: int) -> SafeString:
    """Draw a cell of the map: a share, or a dot where too few calls say nothing. The words are for everybody."""
    if not cell.calls:
        return SafeString("<td></td>")
    words = f"{weekday} {hour}:00, {cell.answered:,} of {cell.calls:,} answered"
    if cell.level is None:
        return format_html('<td title="{}">·<span class="visually-hidden">{}</span></td>', words, words)
    return format_html(
        '<td class="level-{}" title="{}">{}<span class="visually-hidden"> %: {}</span></td>',
        cell.level,
        words,
        f"{100 * (cell.rate or 0):.0f}",
        words,
    )


@register.simple_tag
def days_chart(days: Sequence[tuple[date, Counted]]) -> SafeString:
    """Draw a bar for each day: answered below, the others on top. The table beside it has the same figures."""
    most = max((counted.calls for _, counted in days), default=0)
    if not most:
        return SafeString("")
    width = WIDTH / len(days)
    bars = [_bar(day, counted, place * width, width, most) for place, (day, counted) in enumerate(days)]
    return format_html(
        '<svg class="days" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        HEIGHT,
        f"Ended calls by day, at most {most:,}; the table has the figures",
        format_html_join("", "{}", ((bar,) for bar in bars)),
    )


def _bar(day: date, counted: Counted, x: float, width: float, most: int) -> SafeString:
    answered, others = (HEIGHT * calls / most for calls in (counted.answered, counted.calls - counted.answered))
    return format_html(
        "<g><title>{}: {} answered of {}, {} busy, {} not answered, {} failed</title>"
        '<rect class="reached" x="{}" y="{}" width="{}" height="{}"/>'
        '<rect class="not-reached" x="{}" y="{}" width="{}" height="{}"/></g>',
        day.isoformat(),
        counted.answered,
        counted.calls,
        counted.count(Outcome.BUSY),
        counted.count(Outcome.NO_ANSWER),
        counted.count(Outcome.FAILED),
        *(round(number, 1) for number in (x, HEIGHT - answered, width * 0.8, answered)),
        *(round(number, 1) for number in (x, HEIGHT - answered - others, width * 0.8, others)),
    )
