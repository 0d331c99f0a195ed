"""What the flow of a call asks for beside sound. Runs in sippy's loop."""

from campaigns.flow_interpreter import Connect, Place
from sipgateway.outbound_calls import OutboundCall
from sipgateway.recorders import Recorder
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

    def recorded(self, place: Place, recorder: Recorder) -> None:
        """Keep a recording, unless nobody spoke."""
        if recorder.is_empty:
            recorder.close()
        else:
            self._gateway.keep_recording(self._attempt_id, place, recorder)

    def flow_ended(self) -> None:
        self._call.hang_up("the flow ended")

    def fail(self, fault: Exception) -> None:
        self._call.fail(fault)
