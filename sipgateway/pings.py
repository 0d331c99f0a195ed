"""OPTIONS to each trunk, every half minute: one that does not respond rests before a call is lost on it.

Any response will do, a refusal too: the trunk is there. A trunk that rests for its silence is up again with the first
response. One that rests for another reason, such as wrong credentials, is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from accounts.models import Trunk
from core import clocks
from dialer import trunk_health
from dialer.models import TrunkHealth
from sipgateway import records, trunk_addresses
from sipgateway.names import Names
from sipgateway.sip_stack import ED2, Stack

log = structlog.get_logger(__name__)

SILENCE = "no response from the trunk"
# sippy's own response where none came in time.
NONE_CAME = 408
# Pings in a row that are lost before the trunk rests: a single one says little over UDP.
LOST_BEFORE_REST = 2


@dataclass(frozen=True)
class Target:
    """A trunk to ping."""

    trunk_id: int
    host: str
    port: int
    domain: str


def trunks() -> list[Target]:
    """Return the SIP trunks that calls may leave over."""
    found = []
    for trunk in Trunk.objects.filter(carrier=records.KIND, caller_ids__is_active=True).distinct().order_by("pk"):
        try:
            address = trunk_addresses.parse(trunk.base_url)
        except ValueError:
            continue  # its calls say so
        found.append(Target(trunk.pk, address.host, address.port, address.domain or address.host))
    return found


class Pings:
    """What the last pings of each trunk came to."""

    def __init__(self, stack: Stack, names: Names, in_writer: Callable[[Callable[[], None]], None]) -> None:
        self._stack = stack
        self._names = names
        self._in_writer = in_writer
        self._lost: dict[int, int] = {}

    def send(self, targets: Sequence[Target]) -> None:
        """Ping each of them, once its name is resolved."""
        for target in targets:
            self._names.resolve(target.host, partial(ED2.callFromThread, self._ping, target))

    def _ping(self, target: Target, ip: str) -> None:
        if ip:
            self._stack.ping(ip, target.port, target.domain, self._hear(target.trunk_id))

    def _hear(self, trunk_id: int) -> Callable[[int], None]:
        def hear(code: int) -> None:
            if code < 200:
                return
            if code != NONE_CAME:
                self._lost.pop(trunk_id, None)
                self._in_writer(lambda: end_silence(trunk_id))
                return
            self._lost[trunk_id] = self._lost.get(trunk_id, 0) + 1
            if self._lost[trunk_id] >= LOST_BEFORE_REST:
                self._in_writer(lambda: trunk_health.took_no_call(trunk_id, f"{SILENCE} to OPTIONS", clocks.now()))

        return hear


def end_silence(trunk_id: int) -> None:
    """Mark a trunk as up that rests for its silence."""
    for health in TrunkHealth.objects.filter(trunk=trunk_id, failures__gt=0, last_error__startswith=SILENCE):
        trunk_health.took_a_call(health.trunk)
