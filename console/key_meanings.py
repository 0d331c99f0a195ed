"""What the keys of a flow lead to, in a few words for a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from campaigns.models import Campaign

# Characters of a text that is read aloud.
LONGEST = 80

_WORDS = {
    "play": "plays a recording",
    "record": "is recorded",
    "record_call": "is recorded from here on",
    "opt_out": "is not called again",
    "refuse": "is not called about this for a while",
    "hangup": "hangs up",
}


def of_campaign(campaign: Campaign) -> dict[str, str]:
    """Return what each sequence of keys leads to; nothing of a campaign that reads a text. The flow must be loaded."""
    return of_steps(campaign.flow.document.get("steps", [])) if campaign.flow else {}


def of_steps(steps: Sequence[Mapping[str, Any]], before: str = "") -> dict[str, str]:
    """Return what the keys of a flow's steps lead to. before: the keys that lead to these steps.

    Keys are followed up to the first question of each branch: what comes after it depends on how the call got there.
    """
    found: dict[str, str] = {}
    for step in steps:
        if gather := step.get("gather"):
            for keys, branch in gather["branches"].items():
                found[before + keys] = said(branch)
                found |= of_steps(branch, before + keys)
            break
    return found


def said(steps: Sequence[Mapping[str, Any]]) -> str:
    """Say in a few words what steps do."""
    return "; ".join(_words(steps)) or "nothing"


def _words(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for step in steps:
        [(verb, value)] = step.items()
        if verb == "say":
            text = value if isinstance(value, str) else value["text"]
            yield f"“{text if len(text) <= LONGEST else f'{text[: LONGEST - 1]}…'}”"
        elif verb == "connect":
            numbers = [value] if isinstance(value, str) else value["numbers"]
            yield f"connects to {', '.join(numbers)}"
        elif verb == "gather":
            yield "asks for keys"
        else:
            yield _WORDS[verb]
