"""Tables and charts of the reports."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.hourly import Cell, Counted

register = template.Library()


@register.simple_tag
def outcome_of(counted: Counted, outcome: str) -> str:
    return f"{counted.count(outcome):,}"


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
