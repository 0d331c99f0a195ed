"""A flow drawn by the server as SVG: a line for each step, and what each key leads to further in, below it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns.flow_interpreter import RECORD_SECONDS

ROW, INDENT, WIDTH, MARGIN = 30, 18, 380, 6
# Characters that fit into a line without indent, and those that each indent takes.
_CHARACTERS, _PER_INDENT = 46, 3
# Deeper branches are drawn at the same indent, and longer flows are cut.
_DEEPEST = 9
MOST_ROWS = 200


class Row(NamedTuple):
    """A line of the drawing. kind: of the step, or `branch` for what leads to the lines below it."""

    level: int
    kind: str
    text: str


def draw(document: Mapping[str, Any]) -> SafeString:
    """Draw a valid flow."""
    rows = list(_flow(document))
    shown = rows[:MOST_ROWS]
    if len(rows) > len(shown):
        shown.append(Row(0, "branch", f"and {len(rows) - len(shown):,} lines more"))
    parts = format_html_join("", "{}", ((_row(row, number),) for number, row in enumerate(shown)))
    height = len(shown) * ROW + MARGIN
    return format_html(
        '<svg class="flow" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        height,
        f"The flow: {len(rows)} lines. {'; '.join(row.text for row in rows[:12])}",
        parts,
    )


def _row(row: Row, number: int) -> SafeString:
    level = min(row.level, _DEEPEST)
    x, y = MARGIN + level * INDENT, MARGIN + number * ROW
    fits = _CHARACTERS - level * _PER_INDENT
    text = row.text if len(row.text) <= fits else f"{row.text[: fits - 1]}…"
    return format_html(
        '<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="4"/>'
        '<text x="{}" y="{}">{}</text></g>',
        row.kind,
        row.text,
        x,
        y,
        WIDTH - x - MARGIN,
        ROW - 6,
        x + 8,
        y + 16,
        text,
    )


def _flow(document: Mapping[str, Any]) -> Iterator[Row]:
    yield from _steps(document["steps"], 0)
    if "machine" in document:
        yield Row(0, "branch", "An answering machine hears")
        yield from _steps(document["machine"], 1)


def _steps(steps: Sequence[Mapping[str, Any]], level: int) -> Iterator[Row]:
    for step in steps:
        [(verb, value)] = step.items()
        yield from _STEPS[verb](value, level)


def _say(value: Any, level: int) -> Iterator[Row]:
    text, language = (value, "") if isinstance(value, str) else (value["text"], value.get("language", ""))
    yield Row(level, "say", f"Say{f' ({language})' if language else ''}: {text}")


def _play(value: str, level: int) -> Iterator[Row]:
    yield Row(level, "say", f"Play {value}")


def _gather(value: Mapping[str, Any], level: int) -> Iterator[Row]:
    yield from _steps(value.get("prompt", ()), level)
    digits, times = value.get("digits", 1), value.get("attempts", 1)
    what = "Wait for a key" if digits == 1 else f"Wait for up to {digits} keys"
    until = f", ended by {value['finish_key']}" if "finish_key" in value else ""
    yield Row(level, "gather", f"{what}{until}{f', {times} times' if times > 1 else ''}")
    for keys, branch in value["branches"].items():
        yield Row(level + 1, "branch", f"Key {keys}")
        yield from _steps(branch, level + 2)
    yield Row(level + 1, "branch", "No such key")
    yield from _steps(value.get("otherwise", ()), level + 2) if "otherwise" in value else _goes_on(level + 2)


def _connect(value: Any, level: int) -> Iterator[Row]:
    numbers = [value] if isinstance(value, str) else value["numbers"]
    yield Row(level, "connect", f"Connect to {', then '.join(numbers)}")
    if not isinstance(value, str) and "otherwise" in value:
        yield Row(level + 1, "branch", "Nobody takes the call")
        yield from _steps(value["otherwise"], level + 2)


def _goes_on(level: int) -> Iterator[Row]:
    yield Row(level, "end", "Go on")


def _opt_out(_value: bool, level: int) -> Iterator[Row]:
    yield Row(level, "opt-out", "Never call this number again")


def _refuse(_value: bool, level: int) -> Iterator[Row]:
    yield Row(level, "opt-out", "No call again for a while")


def _record(value: Mapping[str, Any], level: int) -> Iterator[Row]:
    seconds, key = value.get("seconds", RECORD_SECONDS), value.get("finish_key", "#")
    yield Row(level, "gather", f"Record for up to {seconds} s, ended by {key}")


def _record_call(_value: bool, level: int) -> Iterator[Row]:
    yield Row(level, "say", "Record the call from here on")


def _hangup(_value: bool, level: int) -> Iterator[Row]:
    yield Row(level, "end", "Hang up")


_STEPS: dict[str, Callable[[Any, int], Iterator[Row]]] = {
    "say": _say,
    "play": _play,
    "gather": _gather,
    "connect": _connect,
    "opt_out": _opt_out,
    "refuse": _refuse,
    "record": _record,
    "record_call": _record_call,
    "hangup": _hangup,
}
