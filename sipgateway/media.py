"""RTP (RFC 3550): one thread sends a packet for each call every 20 ms, and hears what comes back.

Lines take turns within these 20 ms, so that the packet of one does not wait for those of all others.

A call is never without packets, silent ones where nothing is said: trunks end calls that stop sending. Keys come as
telephone events (RFC 4733). One counts once, by its timestamp, with its first packet: the last may be lost.
"""

import itertools
import random
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog

from sipgateway import datagrams, session_descriptions, sounds
from sipgateway.bridges import Keys, Passage
from sipgateway.recorders import CallRecorder, Recorder
from sipgateway.session_descriptions import PCMA, Remote

log = structlog.get_logger(__name__)

TICK = 0.02
# Parts of a tick, in each of which the lines of one group are served.
GROUPS = 5
# Seconds behind the clock after which the ticks between are left out rather than sent at once.
MOST_BEHIND = 0.2
# Keys by event code.
KEYS = "0123456789*#"
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
# Events that were counted: their packets come several times.
REMEMBERED = 16
PACKETS_AT_ONCE = 50
LONGEST_PACKET = 2048
# How late the packets of the groups left in the last minute is kept, for the figures of a bench.
TURNS_KEPT = 3000 * GROUPS


class Line:
    """The sound of one call. Made and closed by sippy's thread; sent and heard by the media thread."""

    def __init__(self, host: str, on_key: Callable[[str], None]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.port = int(self.socket.getsockname()[1])
        self._descriptor = self.socket.fileno()
        self._on_key = on_key
        self._remote: Remote | None = None
        self._address = b""
        self._sequence, self._stamp = random.getrandbits(16), random.getrandbits(32)
        self._source = random.getrandbits(32)
        self._sound = b""
        self._at = 0
        self._on_end: Callable[[], None] | None = None
        self._begins = True
        self._events: deque[int] = deque(maxlen=REMEMBERED)
        self._heard_from = b""
        self._receiver = datagrams.Receiver(LONGEST_PACKET)
        # The line that hears what this one does, and what is on its way here from there.
        self._other: Line | None = None
        self._passage: Passage | None = None
        self._keys = Keys()
        self._key_stamp = 0
        self._tones = bytearray()
        self._recorder: Recorder | None = None
        self._on_recorded: Callable[[], None] | None = None
        self._call_recorder: CallRecorder | None = None
        self._lock = threading.Lock()

    def lead_to(self, remote: Remote) -> None:
        """Send to this end from now on, and hear it."""
        self._address, self._heard_from = datagrams.address(remote.host, remote.port), b""
        self._remote = remote

    def play(self, sound: bytes, on_end: Callable[[], None]) -> None:
        """Say a sound (PCMU) instead of what is being said, and tell its end, in the media thread."""
        with self._lock:
            self._sound, self._at, self._on_end = sound, 0, on_end

    def hush(self) -> None:
        """Say nothing more of what is being said."""
        with self._lock:
            self._sound, self._at, self._on_end = b"", 0, None

    def connect_to(self, other: "Line | None") -> None:
        """Say from now on what another line hears, instead of sounds, and let it hear this one; None: no more."""
        self._passage = Passage() if other else None
        self._other = other

    def record(self, recorder: Recorder, on_end: Callable[[], None]) -> None:
        """Write down what is heard from now on, and tell when the recording is over by itself, in the media thread."""
        self._on_recorded = on_end
        self._recorder = recorder

    def stop_recording(self) -> None:
        """Write down nothing more. What is at work on it has let it go when this returns."""
        with self._lock:
            self._recorder = None

    def record_call(self, recorder: CallRecorder) -> None:
        """Write down from now on what is heard and what is said."""
        self._call_recorder = recorder

    def stop_recording_call(self) -> None:
        """Write down no more of it. What is at work on it has let it go when this returns."""
        with self._lock:
            self._call_recorder = None

    def press(self, key: str) -> None:
        """Press a key: as the far end wants to be told, or by its tone."""
        remote = self._remote
        if remote is not None and remote.keys is not None:
            self._keys.press(KEYS.index(key))
        elif remote is not None:
            with self._lock:
                self._tones += sounds.key_tone(key)

    def tick(self) -> None:
        """Send the packet of these 20 ms."""
        remote = self._remote
        if remote is None:
            return
        frame, ended = self._next_frame()
        self._write_down(frame)
        if self._keys and remote.keys is not None:
            begins = self._keys.begins
            self._key_stamp = self._stamp if begins else self._key_stamp
            self._send(remote.keys, self._key_stamp, self._keys.event(), marker=begins)
        else:
            sound = sounds.alaw_of_ulaw(frame) if remote.codec == PCMA else frame
            self._send(remote.codec, self._stamp, sound, marker=self._begins)
            self._begins = False
        self._stamp = (self._stamp + sounds.FRAME) & 0xFFFFFFFF
        if ended is not None:
            ended()

    def _write_down(self, said: bytes) -> None:
        if self._recorder is None and self._call_recorder is None:
            return
        with self._lock:
            if self._call_recorder is not None:
                self._call_recorder.tick(said)
            is_over = self._recorder is not None and self._recorder.tick()
            if is_over:
                self._recorder = None
        if is_over and self._on_recorded is not None:
            self._on_recorded()

    def _send(self, kind: int, stamp: int, payload: bytes, *, marker: bool) -> None:
        header = _HEADER.pack(0x80, (0x80 if marker else 0) | kind, self._sequence, stamp, self._source)
        self._sequence = (self._sequence + 1) & 0xFFFF
        datagrams.send(self._descriptor, header + payload, self._address)

    def _next_frame(self) -> tuple[bytes, Callable[[], None] | None]:
        ended = None
        passage = self._passage
        with self._lock:
            if passage is not None:
                frame = passage.frame()
                if self._tones:
                    frame = bytes(self._tones[: sounds.FRAME])
                    del self._tones[: sounds.FRAME]
            else:
                frame = self._sound[self._at : self._at + sounds.FRAME]
                self._at += len(frame)
                if self._at >= len(self._sound):
                    ended, self._on_end = self._on_end, None
        return frame.ljust(sounds.FRAME, sounds.SILENCE), ended

    def hear(self) -> None:
        """Take the packets that have come."""
        for _ in range(PACKETS_AT_ONCE):
            received = self._receiver.receive(self._descriptor)
            if received is None:
                return
            packet, sender = received
            if not self._is_callee(sender):
                continue
            if key := self._key_of(packet):
                self._on_key(key)
            else:
                self._pass_on(packet)

    def _pass_on(self, packet: bytes) -> None:
        """Give what the callee says to all who hear it."""
        recorder, call_recorder, other = self._recorder, self._call_recorder, self._other
        if recorder is not None:
            recorder.put(packet)
        if call_recorder is not None:
            call_recorder.put(packet)
        if other is not None and (passage := other._passage) is not None:
            passage.put(packet)

    def _is_callee(self, sender: bytes) -> bool:
        """Tell whether the callee sent it: from where it hears, or, behind NAT, the first one that did since then."""
        if self._remote is None:
            return False  # what rings may have sound of its own, from elsewhere
        if not self._heard_from or datagrams.is_same(sender, self._address):
            self._heard_from = sender
        return datagrams.is_same(sender, self._heard_from)

    def _key_of(self, packet: bytes) -> str:
        """Return the key that the packet is the first to tell of; "" for any other."""
        if len(packet) < _HEADER.size + _EVENT.size:
            return ""
        flags, kind, _, stamp, _ = _HEADER.unpack_from(packet)
        own = self._remote.keys if self._remote else None
        start = _HEADER.size + 4 * (flags & 0x0F)
        if flags >> 6 != 2 or kind & 0x7F not in {session_descriptions.KEYS, own} or stamp in self._events:
            return ""
        if flags & 0x10 or len(packet) < start + _EVENT.size:
            return ""
        event, _, _ = _EVENT.unpack_from(packet, start)
        self._events.append(stamp)
        return KEYS[event] if event < len(KEYS) else ""

    def close(self) -> None:
        """Send and hear no more. The media thread lets the socket go."""
        self._remote = None


class Media:
    """The thread, and the lines that it works on."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}
        self._groups: tuple[dict[int, Line], ...] = tuple({} for _ in range(GROUPS))
        self._epoll = select.epoll()
        self._closing: deque[Line] = deque()
        self._is_over = False
        self._lateness: deque[float] = deque(maxlen=TURNS_KEPT)

    def open(self, host: str, on_key: Callable[[str], None]) -> Line:
        """Return a line with a port of its own."""
        line = Line(host, on_key)
        descriptor = line.socket.fileno()
        self._lines[descriptor] = min(self._groups, key=len)[descriptor] = line
        self._epoll.register(descriptor, select.EPOLLIN)
        return line

    def close(self, line: Line) -> None:
        """Take a line away."""
        line.close()
        self._closing.append(line)

    def connect(self, one: Line, other: Line) -> None:
        """Let both ends hear each other."""
        one.connect_to(other)
        other.connect_to(one)

    def part(self, *lines: Line) -> None:
        """Let these ends hear nobody."""
        for line in lines:
            line.connect_to(None)

    def lateness_p99(self) -> float:
        """Return by how many seconds the last packets of one in a hundred turns of the last minute left late."""
        ordered = sorted(self._lateness)
        return ordered[len(ordered) * 99 // 100] if ordered else 0.0

    def stop(self) -> None:
        """End the thread."""
        self._is_over = True

    def run(self) -> None:
        """Send and hear until `stop`."""
        turn_seconds = TICK / GROUPS
        due, turns = time.monotonic() + turn_seconds, itertools.cycle(self._groups)
        while not self._is_over:
            is_idle = not self._lines
            for descriptor, _ in self._epoll.poll(TICK if is_idle else max(due - time.monotonic(), 0), 256):
                if line := self._lines.get(descriptor):
                    line.hear()
            now = time.monotonic()
            if is_idle:
                due = now + turn_seconds
            elif now >= due:
                self._serve(next(turns), due)
                due = due + turn_seconds if now - due < MOST_BEHIND else now + turn_seconds
            self._let_go()
        self._let_go()

    def _serve(self, group: dict[int, Line], due: float) -> None:
        """Send the packets of a group."""
        for line in list(group.values()):
            line.tick()
        if group:
            self._lateness.append(time.monotonic() - due)

    def _let_go(self) -> None:
        while self._closing:
            line = self._closing.popleft()
            descriptor = line.socket.fileno()
            if self._lines.pop(descriptor, None):
                for group in self._groups:
                    group.pop(descriptor, None)
                with suppress(OSError):
                    self._epoll.unregister(descriptor)
                line.socket.close()
