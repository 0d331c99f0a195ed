"""What a final response to an INVITE means: an outcome, or whose fault it is that no phone rang. Pure.

Sections are those of RFC 3261, where no other RFC is named. A code that is missing means what its class means
(8.1.3.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from campaigns.models import Outcome


class Concerns(StrEnum):
    """Whom a response is about."""

    CALLEE = "callee"  # a phone was reached: the outcome counts
    NUMBER = "number"  # this number can't be called, now or ever
    OUR_SIDE = "our side"  # our account, caller ID or request, or the trunk: the next number may be refused as well
    TRUNK = "trunk"  # the trunk takes no calls at the moment


@dataclass(frozen=True)
class Meaning:
    """The outcome of an attempt that got the response. `canceled` gives it back, as no phone rang."""

    outcome: str
    concerns: Concerns


_BUSY = Meaning(Outcome.BUSY.value, Concerns.CALLEE)
_NO_ANSWER = Meaning(Outcome.NO_ANSWER.value, Concerns.CALLEE)
_FAILED = Meaning(Outcome.FAILED.value, Concerns.CALLEE)
_NO_SUCH_NUMBER = Meaning(Outcome.FAILED.value, Concerns.NUMBER)
_REFUSED = Meaning(Outcome.CANCELED.value, Concerns.OUR_SIDE)
_UNAVAILABLE = Meaning(Outcome.CANCELED.value, Concerns.TRUNK)

# No SIP status: no INVITE was sent, as the trunk's name or password can't be read.
NOT_SENT = 699

MEANINGS: Mapping[int, Meaning] = {
    404: _NO_SUCH_NUMBER,  # 21.4.5 Not Found
    408: _NO_ANSWER,  # 21.4.9 Request Timeout: the callee could not be reached in time
    410: _NO_SUCH_NUMBER,  # 21.4.10 Gone
    480: _NO_ANSWER,  # 21.4.18 Temporarily Unavailable; RFC 3398 7.2.4.1: no user responding
    484: _NO_SUCH_NUMBER,  # 21.4.22 Address Incomplete
    485: _NO_SUCH_NUMBER,  # 21.4.23 Ambiguous
    486: _BUSY,  # 21.4.24 Busy Here
    487: _NO_ANSWER,  # 21.4.25 Request Terminated: the trunk's own ring time is over
    503: _REFUSED,  # 21.5.4 Service Unavailable: the trunk, or for many trunks this one destination
    600: _BUSY,  # 21.6.1 Busy Everywhere
    603: _BUSY,  # 21.6.2 Decline: a person has pressed the red button
    604: _NO_SUCH_NUMBER,  # 21.6.3 Does Not Exist Anywhere
    607: _NO_SUCH_NUMBER,  # RFC 8197 Unwanted: this person wants no such calls
    608: _REFUSED,  # RFC 8688 Rejected: an intermediary rejects our caller ID, and nobody has asked the callee
    NOT_SENT: _UNAVAILABLE,
}


def meaning_of(code: int, *, has_rung: bool) -> Meaning:
    """Return what the response means.

    Args:
        code: 300 or more.
        has_rung: a 18x came before it. Then the attempt counts, also where the trunk or our side ended it.
    """
    meaning = MEANINGS.get(code) or (_FAILED if 500 <= code < 600 else _REFUSED)
    if has_rung and meaning.concerns in {Concerns.OUR_SIDE, Concerns.TRUNK}:
        return _FAILED
    return meaning
