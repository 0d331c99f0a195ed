"""What the flow of a call asks for beside sound. Runs in sippy's loop."""

from pathlib import Path

from campaigns.flow_interpreter import Connect, Place
from sipgateway.outbound_calls import OutboundCall
from sipgateway.recording_files import RecordingFile
from sipgateway.records import Note
from sipgateway.surroundings import Surroundings


class FlowRequests:
    """Passes them on, to the call and to its gateway: the `Caller` of a `Conversation`."""

    def __init__(self, call: OutboundCall, gateway: Surroundings) -> None:
        self._call = call
        self._gateway = gateway
        self._attempt_id = call.plan.attempt_id

    def noted_keys(self, keys: str) -> None:
        self._gateway.note(Note(self._attempt_id, {"digits": keys}))

    def wishes(self, wish: str) -> None:
        self._gateway.wishes(self._attempt_id, wish)

    def connect(self, connect: Connect) -> None:
        self._gateway.ring_other(self._call, connect)

    def new_recording(self, place: Place, channels: int) -> RecordingFile:
        return self._gateway.new_recording(self._attempt_id, place, channels)

    def recorded(self, file: Path) -> None:
        self._gateway.keep_recording(file)

    def flow_ended(self) -> None:
        self._call.hang_up("the flow ended")

    def fail(self, fault: Exception) -> None:
        self._call.fail(fault)
