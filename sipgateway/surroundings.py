"""What a call needs of the gateway that makes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from campaigns.flow_interpreter import Connect, Place
from sipgateway.conversations import Conversation
from sipgateway.other_ends import OtherEnd
from sipgateway.recording_files import RecordingFile
from sipgateway.records import Note
from sipgateway.sip_stack import Stack

if TYPE_CHECKING:
    from sipgateway.outbound_calls import OutboundCall


class Surroundings(Protocol):
    """Used in sippy's loop: nothing here may wait."""

    stack: Stack

    def note(self, note: Note) -> None:
        """Store news of a call, soon."""

    def converse(self, call: "OutboundCall") -> Conversation | OtherEnd:
        """Return the sound of a call."""

    def ring_other(self, call: "OutboundCall", connect: Connect) -> None:
        """Ring another number for a call."""

    def new_recording(self, attempt_id: UUID, place: Place, channels: int) -> RecordingFile:
        """Return a file for a recording of a call. Raises OSError where the disk takes none."""

    def keep_recording(self, file: Path) -> None:
        """Store a recording that is over, soon."""

    def trunk_is_silent(self, trunk_id: int, reason: str) -> None:
        """Count a silence against the trunk."""

    def wishes(self, attempt_id: UUID, wish: str) -> None:
        """Store what the callee of an attempt asks for about further calls, soon."""

    def is_over(self, call: "OutboundCall") -> None:
        """Forget a call that has ended."""
