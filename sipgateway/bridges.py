"""What one line has heard and another one says: the two ends of a call that is connected to another number.

A line sends a packet every 20 ms, whatever comes in, so the sound is repacked, with a little of it kept back against
the unevenness of its way. Used by the media thread alone.
"""

import struct
from collections import deque

from sipgateway import sounds
from sipgateway.session_descriptions import PCMA, PCMU

# Bytes, of which 8 are a millisecond: what is kept back when sound begins to come, and the most, and what is left of
# more than that.
KEPT_BACK = 2 * sounds.FRAME
MOST_KEPT = 10 * sounds.FRAME
LEFT_OF_MORE = 3 * sounds.FRAME
# Packets that are sent of a key: as long as it lasts, and, because they may be lost, of its end (RFC 4733 2.5.1.4).
KEY_PACKETS, KEY_ENDS = 5, 3
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
# In decibels below the loudest.
_KEY_LOUDNESS = 10


class Passage:
    """Sound on its way from one line to the other."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._flows = False
        self._last: tuple[int, int] | None = None

    def put(self, packet: bytes) -> None:
        """Take an RTP packet; what holds no sound that is known here is left out."""
        if sound := self._sound_of(packet):
            self._kept += sound
            if len(self._kept) > MOST_KEPT:
                del self._kept[:-LEFT_OF_MORE]

    def frame(self) -> bytes:
        """Return the sound of the next 20 ms, PCMU: nothing, or less of it, where nothing has come."""
        if not self._flows and len(self._kept) < KEPT_BACK:
            return b""
        frame = bytes(self._kept[: sounds.FRAME])
        del self._kept[: sounds.FRAME]
        self._flows = len(frame) == sounds.FRAME
        return frame

    def _sound_of(self, packet: bytes) -> bytes:
        if len(packet) < _HEADER.size:
            return b""
        flags, kind, sequence, _, source = _HEADER.unpack_from(packet)
        codec = kind & 0x7F
        if flags >> 6 != 2 or codec not in {PCMU, PCMA} or self._is_late(sequence, source):
            return b""
        start = _HEADER.size + 4 * (flags & 0x0F)
        if flags & 0x10:  # an extension
            if len(packet) < start + 4:
                return b""
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        end = len(packet) - (packet[-1] if flags & 0x20 else 0)
        sound = packet[start : max(end, start)]
        return sounds.ulaw_of_alaw(sound) if codec == PCMA else sound

    def _is_late(self, sequence: int, source: int) -> bool:
        """Tell whether later sound of the same source has been taken: it can't be put before that any more."""
        if (
            self._last is not None
            and self._last[1] == source
            and (sequence - self._last[0]) & 0xFFFF not in range(1, 0x8000)
        ):
            return True
        self._last = sequence, source
        return False


class Keys:
    """Keys that a line presses: a telephone event for each 20 ms, instead of sound."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._sent = 0

    def press(self, code: int) -> None:
        """Press a key, by its event code, once those before it are over."""
        self._waiting.append(code)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def begins(self) -> bool:
        """Whether the next packet is the first one of its key."""
        return self._sent == 0

    def event(self) -> bytes:
        """Return the payload of the next packet."""
        self._sent += 1
        ends = self._sent > KEY_PACKETS
        lasts = min(self._sent, KEY_PACKETS) * sounds.FRAME
        payload = _EVENT.pack(self._waiting[0], (0x80 if ends else 0) | _KEY_LOUDNESS, lasts)
        if self._sent == KEY_PACKETS + KEY_ENDS:
            self._waiting.popleft()
            self._sent = 0
        return payload
