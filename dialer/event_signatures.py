"""Whether carriers' events are signed, for carriers that sign them: with the key of any trunk of that carrier.

The token in an event's address names the attempt, so the signature need not. The keys are read from the database every
few seconds, and again where none of them fits: a trunk may just have been made.
"""

import time
from collections.abc import Sequence
from threading import Lock

import structlog

from accounts.models import Trunk
from core.encryption import UnreadableSecret
from dialer import carriers
from dialer.carriers.base import Access, Received

log = structlog.get_logger(__name__)

KEPT_SECONDS = 10.0
# How soon the keys are read again for a signature that none of them fits, which anybody with an address may send.
AGAIN_SECONDS = 1.0


class _Keys:
    """The settings of the trunks of each carrier, and when they were read."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[float, Sequence[Access]]] = {}
        self._lock = Lock()

    def of(self, carrier: str, max_age: float) -> Sequence[Access]:
        """Return the settings, not older than so many seconds."""
        with self._lock:
            read_at, accesses = self._read.get(carrier, (float("-inf"), ()))
            if time.monotonic() - read_at > max_age:
                accesses = [access for trunk in Trunk.objects.filter(carrier=carrier) for access in _access_of(trunk)]
                self._read[carrier] = time.monotonic(), accesses
            return accesses

    def forget(self) -> None:
        self._read.clear()


keys = _Keys()


def is_checked(carrier: str) -> bool:
    """Tell whether the carrier signs its events, so that `is_right` has to be asked."""
    return carriers.driver(carrier).kind.signs_requests


def is_right(carrier: str, request: Received) -> bool:
    """Tell whether the event is signed. True where the key is missing of a trunk: then it may come from there."""
    return any(_fits(carrier, request, age) for age in (KEPT_SECONDS, AGAIN_SECONDS))


def _fits(carrier: str, request: Received, max_age: float) -> bool:
    driver = carriers.driver(carrier)
    verdicts = [driver.is_genuine(access, request) for access in keys.of(carrier, max_age)]
    return not verdicts or any(verdict is not False for verdict in verdicts)


def _access_of(trunk: Trunk) -> list[Access]:
    """Return the trunk's settings. One whose secrets can't be read counts as one without a key: no event is lost."""
    try:
        return [carriers.access_of(trunk)]
    except UnreadableSecret:
        log.warning("trunk_secret_unreadable", trunk=trunk.name)
        return [Access(trunk.base_url, trunk.account_sid, "", "")]
