"""The charts of a campaign, by the names of their files."""

from collections.abc import Callable, Mapping

from django.utils.safestring import SafeString

from console.campaign_figures import Figures, Span
from console.charts import Bar, bars


def outcomes(figures: Figures) -> SafeString:
    shown = [Bar(_short(span, figures), _parts(span), _told(span)) for span in figures.spans]
    return bars(f"Ended attempts by {'day' if figures.by_day else 'hour'}", shown)


def tries(figures: Figures) -> SafeString:
    shown = [
        Bar(
            f"attempt {one.number}",
            [("reached", 100 * one.rate)],
            f"attempt {one.number}: {one.rate:.0%} of {one.attempts:,} answered",
        )
        for one in figures.tries
    ]
    return bars("Share of attempts that were answered, by attempt", shown, "%")


def keys(figures: Figures) -> SafeString:
    shown = [Bar(one.keys[:12], [("plain", one.count)], f"{one.keys}: {one.count:,}") for one in figures.pressed]
    return bars("Keys pressed", shown)


def talks(figures: Figures) -> SafeString:
    shown = [Bar(one.label, [("plain", one.count)], f"{one.label}: {one.count:,}") for one in figures.talks]
    return bars("Talks by their length", shown)


CHARTS: Mapping[str, Callable[[Figures], SafeString]] = {
    "outcomes": outcomes,
    "attempts": tries,
    "keys": keys,
    "talks": talks,
}


def _short(span: Span, figures: Figures) -> str:
    return span.label[5:] if figures.by_day else span.label[11:]


def _parts(span: Span) -> list[tuple[str, float]]:
    return [
        ("reached", span.reached),
        ("busy", span.busy),
        ("no-answer", span.no_answer),
        ("failed", span.failed),
    ]


def _told(span: Span) -> str:
    return (
        f"{span.label}: {span.reached:,} reached, {span.busy:,} busy, {span.no_answer:,} not answered,"
        f" {span.failed:,} failed"
    )
