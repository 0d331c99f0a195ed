"""Whether the keys of a call have led through an `opt_out` step of its flow.

Carriers that run the flow themselves tell the keys alone. The steps are followed as far as keys were pressed: what
follows a question that nobody answered is left out, as the call may have ended there.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def asked_for(document: Mapping[str, Any], keys: str) -> bool:
    """Tell whether a person who pressed these keys, in order, has come through an `opt_out`."""
    walk = _Walk(keys)
    walk.through(document["steps"])
    return walk.found


class _Walk:
    def __init__(self, keys: str) -> None:
        self.keys = keys
        self.found = False

    def through(self, steps: Sequence[Mapping[str, Any]]) -> bool:
        """Go through steps. Returns whether the call goes on after them, as far as is known."""
        for step in steps:
            [(verb, value)] = step.items()
            if verb == "opt_out":
                self.found = True
            if verb == "hangup" or (verb == "gather" and not self._gather(value)):
                return False
        return True

    def _gather(self, gather: Mapping[str, Any]) -> bool:
        branches: Mapping[str, Any] = gather["branches"]
        for _ in range(gather.get("attempts", 1)):
            if not self.keys:
                return False
            pressed = self._take(gather)
            if pressed in branches:
                return self.through(branches[pressed])
        return self.through(gather.get("otherwise", []))

    def _take(self, gather: Mapping[str, Any]) -> str:
        """Take the keys of one attempt: all that it waits for. A finish key, which is not told, may have ended it."""
        digits = gather.get("digits", 1)
        if "finish_key" in gather:
            ends = (end for end in range(digits, 0, -1) if self.keys[:end] in gather["branches"])
            digits = next(ends, digits)
        taken, self.keys = self.keys[:digits], self.keys[digits:]
        return taken
