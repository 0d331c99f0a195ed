"""What carriers say of people who want no calls, in our words. Pure.

The table with its sources: docs/carriers/README.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.calling_rules import OPT_OUT, REFUSAL
from campaigns.call_states import DO_NOT_CALL

# The rule that ends calls which the person called has refused for good.
CALLEE_REFUSED = "callee-refused"
# The rule that ends a call for good whose carrier tells of the wish.
RULES: Mapping[str, str] = {OPT_OUT: DO_NOT_CALL, REFUSAL: CALLEE_REFUSED}


@dataclass(frozen=True)
class Refusal:
    """The person called refuses, as a SIP response says. is_final: this call, and any other of this kind."""

    words: str
    is_final: bool


# 608 (RFC 8688) is not among them: an intermediary rejects our caller ID, and nobody has asked the person called.
BY_SIP_CODE: Mapping[int, Refusal] = {
    603: Refusal("declined by the person called", is_final=False),  # RFC 3261 21.6.2
    607: Refusal("unwanted by the person called", is_final=True),  # RFC 8197
}


def wish_of(code: int | None) -> str:
    """Return the wish that a SIP response tells of: `refusal`, or ""."""
    return REFUSAL if code in BY_SIP_CODE else ""
