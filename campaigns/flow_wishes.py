"""What the keys of a call have asked for: whether they led through an `opt_out` or a `refuse` step of its flow.

Carriers that run the flow themselves tell the keys alone. The steps are followed as far as keys were pressed: what
follows a question that nobody answered is left out, as the call may have ended there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accounts.calling_rules import OPT_OUT, REFUSAL

_STEPS = {"opt_out": OPT_OUT, "refuse": REFUSAL}


def stronger(*wishes: str) -> str:
    """Return the wish that counts: an opt-out is a refusal, too."""
    return OPT_OUT if OPT_OUT in wishes else REFUSAL if REFUSAL in wishes else ""


def asked_for(document: Mapping[str, Any], keys: str) -> str:
    """Return what a person asked for who pressed these keys, in order: `opt-out`, `refusal` or ""."""
    walk = _Walk(keys)
    walk.through(document["steps"])
    return walk.found


class _Walk:
    def __init__(self, keys: str) -> None:
        self.keys = keys
        self.found = ""

    def through(self, steps: Sequence[Mapping[str, Any]]) -> bool:
        """Go through steps. Returns whether the call goes on after them, as far as is known."""
        for step in steps:
            [(verb, value)] = step.items()
            self.found = stronger(self.found, _STEPS.get(verb, ""))
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
