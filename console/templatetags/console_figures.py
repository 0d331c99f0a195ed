"""Figures as the console draws them: SVG from the server, which needs neither a script nor a style of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console import charts, zones
from console.now import Minute, Running

register = template.Library()

CHART_HEIGHT, BAR_WIDTH, GAP = 60, 22, 6


@register.filter
def percent(share: float | None) -> str:
    """Write a share; a dash where nothing is known."""
    return "\N{EN DASH}" if share is None else f"{share:.0%}"


@register.filter
def grouped(count: int) -> str:
    """Write a count with its thousands apart, as messages do."""
    return f"{count:,}"


@register.filter
def wall(moment: datetime, zone: tzinfo = UTC) -> SafeString:
    """Write a moment by the clock of a zone, with its abbreviation."""
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="seconds"), zones.wall(moment, zone))


@register.simple_tag
def three_parts(row: Running) -> SafeString:
    """Draw reached, not reached and left as one bar of a hundred parts."""
    label = f"{row.reached_share:.0f} % reached, {row.not_reached_share:.0f} % not reached"
    return format_html(
        '<svg class="three-parts" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="left" width="100" height="8"/><rect class="reached" width="{}" height="8"/>'
        '<rect class="not-reached" x="{}" width="{}" height="8"/></svg>',
        label,
        round(row.reached_share, 2),
        round(row.reached_share, 2),
        round(row.not_reached_share, 2),
    )


@register.simple_tag
def at_the_carrier(address: str, seconds: int | None = None) -> SafeString:
    """Write a link to a recording that the carrier keeps; nothing where there is none."""
    if not address.startswith(("https://", "http://")):
        return SafeString("")
    told = f"{seconds} s, at the carrier" if seconds is not None else "at the carrier"
    return format_html('<a href="{}" rel="noreferrer noopener" target="_blank">{}</a>', address, told)


@register.filter
def clock(moment: datetime, zone: tzinfo = UTC) -> SafeString:
    """Write the time of a moment, to the second, by the clock of a zone."""
    local = moment.astimezone(zone).strftime("%H:%M:%S %Z")
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="seconds"), local)


@register.simple_tag
def outcomes_chart(minutes: Sequence[Minute], zone: tzinfo = UTC) -> SafeString:
    """Draw a bar for each minute: reached below, not reached on top."""
    most = max((minute.reached + minute.not_reached for minute in minutes), default=0)
    if not most:
        return SafeString("")
    width = len(minutes) * (BAR_WIDTH + GAP)
    bars = format_html_join("", "{}", ((_bar(minute, number, most, zone),) for number, minute in enumerate(minutes)))
    return format_html(
        '<figure><svg class="outcomes" viewBox="0 0 {} {}" role="img" aria-label="Ended calls by minute, at most {}">{}'
        "</svg><figcaption>Ended calls by minute, the last ten minutes; at most {}</figcaption></figure>",
        width,
        CHART_HEIGHT,
        most,
        bars,
        most,
    )


def _bar(minute: Minute, number: int, most: int, zone: tzinfo) -> SafeString:
    reached, not_reached = (round(CHART_HEIGHT * calls / most, 1) for calls in (minute.reached, minute.not_reached))
    x = number * (BAR_WIDTH + GAP)
    return format_html(
        "<g><title>{}: {} reached, {} not</title>{}"
        '<rect class="reached" x="{}" y="{}" width="{}" height="{}"/>'
        '<rect class="not-reached" x="{}" y="{}" width="{}" height="{}"/></g>',
        minute.at.astimezone(zone).strftime("%H:%M %Z"),
        minute.reached,
        minute.not_reached,
        charts.hit(x, 0, BAR_WIDTH + GAP, CHART_HEIGHT),
        x,
        CHART_HEIGHT - reached,
        BAR_WIDTH,
        reached,
        x,
        CHART_HEIGHT - reached - not_reached,
        BAR_WIDTH,
        not_reached,
    )
