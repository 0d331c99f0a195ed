"""The text that a campaign reads instead of running a flow: its `@@Header` variables, and its conversion to a flow."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from campaigns.models import Campaign

MARK = "@@"
LONGEST = 4000  # characters that a flow can say in one step, by flow.schema.json
# A menu accepts any of these keys; the report says which one was pressed.
KEYS = "0123456789*#"
# How much of an unknown variable an error shows.
_SHOWN = re.compile(r"\w+|.{1,20}", re.DOTALL)


class UnknownColumn(ValueError):
    """The text names a column that its list does not have. The message is the column's name."""


def check(text: str, columns: Collection[str]) -> None:
    """Raise UnknownColumn for the first variable in the text that is not one of the columns."""
    fill(text, dict.fromkeys(columns, ""))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with a value in the place of each `@@Header`.

    A header is spelled exactly as in the list, and must end where a word ends: `@@Fees` does not name `Fee`. Where
    several headers match, the longest counts. An `@@` in a value is text like any other.

    Raises:
        UnknownColumn: a variable has no value.
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
    """Return the flow document of a campaign that reads a text.

    A greeting is read once. A menu then waits for one key, and is repeated as often as the campaign says.

    Args:
        campaign: has a text.
        variables: of one of its calls, where the campaign is dynamic.
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
