"""How much of a flow is heard in one go: what a carrier that asks step by step gets in one document. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

# Bytes of markup for what is said or played, with the longest language and voice, and for the question at the end.
MARKUP = 200


def longest_stretch(document: Mapping[str, Any]) -> int:
    """Return the bytes of the longest that is said and played between two questions, marked up."""
    walk = _Walk()
    walk.through(document["steps"], 0)
    walk.through(document.get("machine", []), 0)
    return walk.longest


class _Walk:
    def __init__(self) -> None:
        self.longest = 0

    def through(self, steps: Sequence[Mapping[str, Any]], so_far: int) -> int:
        """Go through steps. Returns the most that was heard since the last question at their end.

        Args:
            so_far: heard since the last question before them.
        """
        for step in steps:
            [(verb, value)] = step.items()
            so_far += _bytes_of(verb, value)
            self.longest = max(self.longest, so_far)
            match verb, value:
                case "gather", _:
                    answers = [*value["branches"].values(), value.get("otherwise", [])]
                    so_far = max(self.through(answer, 0) for answer in answers)
                case "connect", {"otherwise": otherwise}:
                    so_far = self.through(otherwise, 0)
                case (("connect" | "record"), _):
                    so_far = 0
        return so_far


def _bytes_of(verb: str, value: Any) -> int:
    match verb, value:
        case (("say" | "play"), str(heard)):
            return MARKUP + len(escape(heard).encode())
        case "say", {"text": str(text)}:
            return MARKUP + len(escape(text).encode())
        case "gather", {"prompt": list(prompt)}:
            return MARKUP + sum(_bytes_of(*next(iter(part.items()))) for part in prompt)
    return MARKUP
