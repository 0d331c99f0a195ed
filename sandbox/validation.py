"""Checks for the script. Every error is one sentence that says where the mistake is."""

import json
import math
from collections.abc import Collection

SHOWN_CHARACTERS = 60  # enough to recognise a value by


class ScriptError(ValueError):
    """The script is refused as a whole; the message says where and why, e.g. `default[0].ring: must be …`."""


def shown(value: object) -> str:
    """Return the value as JSON for a message, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def an_object(where: str, value: object, keys: Collection[str]) -> dict[str, object]:
    """Return the value as an object. Raises ScriptError for keys other than these."""
    if not isinstance(value, dict):
        raise ScriptError(f"{where}: must be an object, not {shown(value)}")
    for key in value:
        if key not in keys:
            raise ScriptError(f"{where}: unknown key {shown(key)}; known are {', '.join(keys)}")
    return value


def a_list(where: str, value: object, *, may_be_empty: bool = False) -> list[object]:
    if not isinstance(value, list):
        raise ScriptError(f"{where}: must be a list, not {shown(value)}")
    if not value and not may_be_empty:
        raise ScriptError(f"{where}: must have at least one entry")
    return value


def one_of(where: str, value: object, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ScriptError(f"{where}: must be one of {', '.join(choices)}, not {shown(value)}")
    return value


def a_number(where: str, value: object, *, above: float | None = None, least: float = 0, most: float = 1e9) -> float:
    """Return a finite number in range; `above` excludes its bound, `least` and `most` include theirs."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ScriptError(f"{where}: must be a number, not {shown(value)}")
    if above is not None and value <= above:
        raise ScriptError(f"{where}: must be greater than {above:g}, not {shown(value)}")
    if not least <= value <= most:
        raise ScriptError(f"{where}: must be from {least:g} to {most:g}, not {shown(value)}")
    return float(value)


def an_integer(where: str, value: object, *, least: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScriptError(f"{where}: must be a whole number, not {shown(value)}")
    if least is not None and value < least:
        raise ScriptError(f"{where}: must be at least {least}, not {shown(value)}")
    return value
