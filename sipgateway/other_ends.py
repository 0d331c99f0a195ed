"""The sound of a call to another number: what the callee says who is connected to it. Runs in sippy's loop."""

from sipgateway.conversations import Conversation
from sipgateway.keys_once import KeysOnce
from sipgateway.media import Line, Media
from sipgateway.session_descriptions import Remote
from sipgateway.sip_stack import ED2


class OtherEnd:
    """Stands for the conversation of such a call, which has no flow."""

    def __init__(self, conversation: Conversation, host: str, media: Media) -> None:
        self._conversation = conversation
        self._media = media
        self._line: Line = media.open(host, lambda key: ED2.callFromThread(self._press_by_sound, key))
        self.port = self._line.port
        self._keys_once = KeysOnce()
        self._was_taken = False
        self._is_over = False

    def begin(self, remote: Remote) -> None:
        """Connect both: somebody has picked up."""
        self._was_taken = True
        self._line.lead_to(remote)
        self._conversation.connected_to(self._line)

    def move(self, remote: Remote) -> None:
        """Send the sound elsewhere."""
        self._line.lead_to(remote)

    def press(self, key: str, *, by_sound: bool = False) -> None:
        """Pass a key on."""
        if self._keys_once.take(by_sound=by_sound):
            self._conversation.press_for(self._line, key)

    def close(self) -> None:
        """End it: the flow goes on, unless the callee has hung up."""
        if not self._is_over:
            self._is_over = True
            self._conversation.connection_over(was_taken=self._was_taken)
            self._media.close(self._line)

    def _press_by_sound(self, key: str) -> None:
        self.press(key, by_sound=True)
