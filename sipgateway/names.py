"""Host names of trunks as addresses: looked up in the background, with a deadline, and kept for a while.

The system's resolver can't be stopped, and waits for a dead name for as long as it is set to. So each name has a
look-up of its own, of which there is one at a time, and nobody waits for another one's.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger(__name__)

Then = Callable[[str], None]

# In seconds: what the first call over a trunk waits for its name, how long an address is used without another look, how
# long it is used where the name can't be resolved any more, and the time between two look-ups that fail.
WAITS_FOR = 2.0
FRESH_FOR = 60.0
USED_FOR = 3600.0
TRIES_AGAIN_AFTER = 5.0
# Look-ups at once, each of which is a thread, and names that are remembered.
MOST_LOOK_UPS = 64
MOST_NAMES = 1000


@dataclass
class _Name:
    """What is known of a name, by time.monotonic.

    Attributes:
        address: the last one that it had; "" for none.
        known_at: when a look-up said so.
        looked_at: when the last look-up ended.
        looks_since: when the one under way began.
        waiting: who is told of its end.
    """

    address: str = ""
    known_at: float | None = None
    looked_at: float | None = None
    looks_since: float | None = None
    waiting: list[Then] = field(default_factory=list)

    def wants_look_up(self, now: float) -> bool:
        """Tell whether it is time for a look-up, and none is under way."""
        if self.looks_since is not None:
            return False
        kept_for = FRESH_FOR if self.known_at == self.looked_at else TRIES_AGAIN_AFTER
        return self.looked_at is None or now - self.looked_at >= kept_for

    def answer(self, now: float) -> str | None:
        """Return what is said at once; None where the look-up under way is waited for."""
        if self.address and self.known_at is not None and now - self.known_at < USED_FOR:
            return self.address
        if self.looks_since is None or now - self.looks_since >= WAITS_FOR:
            return ""
        return None


class Names:
    """Resolves names for one purpose. Other purposes have look-ups of their own."""

    def __init__(self, most_look_ups: int = MOST_LOOK_UPS) -> None:
        self._names: dict[str, _Name] = {}
        self._lock = threading.Lock()
        self._most_look_ups = most_look_ups
        self._look_ups = 0

    def resolve(self, host: str, then: Then) -> None:
        """Pass the IPv4 address of a host to `then`; "" where it has none, or none in time.

        In this thread where it is known, else in another one, after WAITS_FOR at the latest.
        """
        if is_address(host):
            then(host)
            return
        now = time.monotonic()
        with self._lock:
            name = self._names.setdefault(host, _Name())
            if name.wants_look_up(now):
                self._look_up(host, name, now)
            answer = name.answer(now)
            if answer is None:
                name.waiting.append(then)
        if answer is not None:
            then(answer)

    def _look_up(self, host: str, name: _Name, now: float) -> None:
        """Begin a look-up. With the lock held."""
        if self._look_ups >= self._most_look_ups:
            log.warning("too_many_name_look_ups", look_ups=self._look_ups)
            return
        self._make_room()
        self._look_ups += 1
        name.looks_since = now
        deadline = threading.Timer(WAITS_FOR, self._tell, (name,))
        deadline.daemon = True
        deadline.start()
        threading.Thread(target=self._work, args=(host, name, deadline), name="sip-name", daemon=True).start()

    def _make_room(self) -> None:
        """Forget the oldest names beyond the most that are remembered, but those that are being looked up."""
        for host in list(self._names)[: max(len(self._names) - MOST_NAMES, 0)]:
            if self._names[host].looks_since is None:
                del self._names[host]

    def _work(self, host: str, name: _Name, deadline: threading.Timer) -> None:
        address = ""
        with suppress(OSError, UnicodeError):
            address = str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)[0][4][0])
        with self._lock:
            self._look_ups -= 1
            name.looks_since, name.looked_at = None, time.monotonic()
            if address:
                name.address, name.known_at = address, name.looked_at
        if not address:
            log.warning("name_not_resolved", host=host, used=name.address)
        deadline.cancel()
        self._tell(name)

    def _tell(self, name: _Name) -> None:
        """Tell those who wait: the look-up is over, or takes too long, and goes on for those who ask later."""
        with self._lock:
            waiting, name.waiting = name.waiting, []
            answer = name.answer(time.monotonic()) or ""
        for then in waiting:
            then(answer)


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
