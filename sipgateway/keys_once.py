"""Keys that some trunks tell twice: within the sound, and by INFO."""


class KeysOnce:
    """The way by which the first key of a call comes is the way of all."""

    def __init__(self) -> None:
        self._by_sound: bool | None = None

    def take(self, *, by_sound: bool) -> bool:
        """Tell whether a key that comes in this way counts."""
        if self._by_sound is None:
            self._by_sound = by_sound
        return by_sound == self._by_sound
