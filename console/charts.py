"""Charts as SVG, drawn by the server: they print, are read aloud, and need neither a script nor a style of their own.

The same drawing is part of a page, whose style sheet colors it for light and dark, and a file of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

# Of the parts of a bar, where no style sheet says so.
COLORS = {"reached": "#2e8b57", "busy": "#c47f17", "no-answer": "#7d6b9e", "failed": "#b5423c", "plain": "#3f6f9f"}
WIDTH, HEIGHT = 640, 160
LEFT, TOP, BOTTOM = 44, 12, 26
# Labels below a chart, at most, and the room of a bar and its label.
MOST_LABELS, MOST_ROOM = 8, 120


@dataclass(frozen=True)
class Bar:
    """A bar of parts, from the bottom to the top. label: below it. told: read aloud, and shown beside the pointer."""

    label: str
    parts: Sequence[tuple[str, float]]
    told: str

    @property
    def height(self) -> float:
        return sum(value for _, value in self.parts)


def bars(title: str, shown: Sequence[Bar], unit: str = "") -> SafeString:
    """Draw the bars side by side, over the scale of the highest; nothing where there is none.

    Args:
        title: what the chart shows, for those who hear it.
        unit: of the scale, such as %.
    """
    most = max((bar.height for bar in shown), default=0)
    if not most:
        return SafeString("")
    room = min((WIDTH - LEFT) / len(shown), MOST_ROOM)
    drawn = format_html_join(
        "", "{}", ((_bar(bar, LEFT + number * room, room, most),) for number, bar in enumerate(shown))
    )
    every = -(-len(shown) // MOST_LABELS)
    labels = format_html_join(
        "",
        '<text x="{}" y="{}" font-size="11" text-anchor="middle" fill="currentColor">{}</text>',
        (
            (round(LEFT + (number + 0.5) * room, 1), HEIGHT - 8, bar.label)
            for number, bar in enumerate(shown)
            if number % every == 0
        ),
    )
    return format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"'
        ' font-family="sans-serif">{}{}{}</svg>',
        WIDTH,
        HEIGHT,
        title,
        _scale(most, unit),
        drawn,
        labels,
    )


def _scale(most: float, unit: str) -> SafeString:
    """Draw the lines of zero and of the highest bar."""
    lines = ((HEIGHT - BOTTOM, "0"), (TOP, f"{most:,.0f}{unit}"))
    return format_html_join(
        "",
        '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="currentColor" stroke-opacity="0.25"/>'
        '<text x="{}" y="{}" font-size="11" text-anchor="end" fill="currentColor">{}</text>',
        ((LEFT, WIDTH, y, y, LEFT - 6, y + 4, text) for y, text in lines),
    )


def _bar(bar: Bar, x: float, room: float, most: float) -> SafeString:
    gap = min(6.0, room / 5)
    y, parts = float(HEIGHT - BOTTOM), []
    for kind, value in bar.parts:
        height = (HEIGHT - BOTTOM - TOP) * value / most
        y -= height
        parts.append((kind, COLORS[kind], round(x + gap / 2, 1), round(y, 1), round(room - gap, 1), round(height, 1)))
    drawn = format_html_join(
        "", '<rect class="{}" fill="{}" x="{}" y="{}" width="{}" height="{}"/>', (part for part in parts if part[-1])
    )
    return format_html("<g><title>{}</title>{}{}</g>", bar.told, hit(x, TOP, room, HEIGHT - BOTTOM - TOP), drawn)


def hit(x: float, y: float, width: float, height: float) -> SafeString:
    """Draw nothing that is seen: where a pointer finds a bar that is only a few pixels high."""
    numbers = (round(number, 1) for number in (x, y, width, height))
    return format_html(
        '<rect class="hit" fill="none" pointer-events="all" x="{}" y="{}" width="{}" height="{}"/>', *numbers
    )
