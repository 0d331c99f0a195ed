"""The end of one call: decided once, and written down when nothing of the call is up any more.

What frees its channel is the second: once the trunk has ended the call as well, or no response can come any more.
"""

from collections.abc import Callable, Mapping
from typing import Any

from core import clocks
from sipgateway.models import SipCall

# What a call that is over may still wait for, beside other calls.
BYE = object()
# Seconds that a trunk may take to respond to our BYE: its transaction (RFC 3261 17.1.2.2, timer F), and some spare.
LEAVES_WITHIN = 35.0


class CallEnd:
    """What the record is told of the end, and what is still up then."""

    def __init__(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        """Prepare it. write: stores the columns of the call's row, and is called once."""
        self._write = write
        self._columns: dict[str, Any] = {}
        self._awaited: set[object] = set()
        self._is_written = False

    @property
    def is_decided(self) -> bool:
        return bool(self._columns)

    def decide(self, outcome: str, code: int | None, reason: str) -> None:
        """Decide what became of the call. Later words about it change nothing."""
        if not self._columns:
            columns = {"status": SipCall.Status.ENDED, "outcome": outcome, "code": code, "reason": reason[:255]}
            self._columns = {**columns, "ended_at": clocks.last_known_now()}

    @property
    def awaited(self) -> list[object]:
        """What is still up: second legs, and the call itself where the trunk owes a response to a BYE."""
        return list(self._awaited)

    def wait_for(self, what: object) -> None:
        """Don't write the end down before this has ended, too."""
        self._awaited.add(what)

    def wait_no_more_for(self, what: object) -> None:
        """Take that this is up no more."""
        self._awaited.discard(what)
        self.write_if_free()

    def write_if_free(self) -> None:
        """Write the end down, once it is decided and nothing of the call is up any more."""
        if self._columns and not self._awaited:
            self.write()

    def write(self) -> None:
        """Write the end down, whatever may be up: as far as can be told nothing is."""
        if self._columns and not self._is_written:
            self._is_written = True
            self._write(self._columns)
