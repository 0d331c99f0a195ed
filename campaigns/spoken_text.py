"""The text that a campaign reads instead of running a flow: its `@@Header` variables, and the flow that it becomes."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from campaigns.models import Campaign

MARK = "@@"
LONGEST = 4000  # what a flow says at once, by flow.schema.json
# A person who hears a menu presses any of these; which one is in the report.
KEYS = "0123456789*#"
# How much of an unknown variable an error shows.
_SHOWN = re.compile(r"\w+|.{1,20}", re.DOTALL)


class UnknownColumn(ValueError):
    """The text asks for a column that its list does not have; the message is the column's name."""


def check(text: str, columns: Collection[str]) -> None:
    """Raises UnknownColumn for the first variable in the text that is none of the columns."""
    fill(text, dict.fromkeys(columns, ""))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with the value in the place of each `@@Header`, whose header is spelled exactly as in the list.

    The longest header that fits counts, and it must end where a word ends: `@@Fees` does not ask for `Fee`. A value
    that holds `@@` is text like any other. Raises UnknownColumn.
    """
    names = sorted(values, key=len, reverse=True)
    known = re.compile("|".join(rf"{re.escape(name)}(?!\w)" for name in names)) if names else None
    before, *parts = text.split(MARK)
    filled = [before]
    for part in parts:
        match = known.match(part) if known else None
        if match is None:
            shown = _SHOWN.match(part)
            raise UnknownColumn(shown.group() if shown else "")
        filled += [values[match.group()], part[match.end() :]]
    return "".join(filled)


def document(campaign: Campaign, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The flow of a campaign that reads a text; variables: of one of its calls, where it is dynamic.

    A greeting is read once. A menu waits for one key after it, and is read again as often as the campaign says.
    """
    say = {"say": fill(campaign.text, variables or {})}
    if campaign.flow_type == Campaign.FlowType.GREETING:
        return {"steps": [say]}
    hang_up = [{"hangup": True}]
    gather = {
        "prompt": [say],
        "digits": 1,
        "attempts": 1 + (campaign.repeat_menu_attempts or 0),
        "branches": dict.fromkeys(KEYS, hang_up),
        "otherwise": hang_up,
    }
    return {"steps": [{"gather": gather}]}
