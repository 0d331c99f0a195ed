"""Whether a trunk can be dialled over: its settings, its carrier, and the way back from the carrier to this server.

Rings nobody: the carrier is asked for a call that does not exist, and this server for addresses without their tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from django.conf import settings

from accounts.carriers import FlowFormat, FoundBy, UnknownCarrier
from accounts.models import Trunk
from core import clocks
from core.encryption import UnreadableSecret
from dialer import carriers, gate
from dialer.carriers.base import AnothersCall, CantTell, Carrier, Event, NoSuchCall, Placed

PATIENCE = 10.0  # seconds for a request to this server's own public address
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# An id that no carrier gives to a call.
NO_CALL = "trunkline-checks-this-trunk"


@dataclass(frozen=True)
class Step:
    """What was looked at, whether it is well, and what was seen, or what to do."""

    name: str
    is_good: bool
    said: str


def check(trunk: Trunk) -> Iterator[Step]:
    """Look at one thing after another. Stops where nothing more can be told."""
    try:
        carrier = carriers.carrier_of(trunk)
    except UnknownCarrier as error:
        yield Step("carrier", False, f"{error}: give the trunk another carrier")
        return
    except UnreadableSecret:
        yield Step("token", False, "SECRET_KEY has changed since it was stored: enter the token again")
        return
    yield _address(trunk)
    yield _credentials(trunk, carrier) if FoundBy.ITS_ID in trunk.kind.found_by else _way_there(trunk, carrier)
    yield _caller_ids(trunk)
    yield _health(trunk)
    if not trunk.kind.calls_back:
        return
    if _is_far(trunk):
        yield _can_be_reached("public address", settings.PUBLIC_URL)
    yield _asked("web", f"{settings.PUBLIC_URL}/healthz", 200, method="GET")
    unknown = uuid4().hex
    yield _asked("events", f"{settings.EVENTS_URL}/carrier-events/{trunk.carrier}/{unknown}?token=none", 403)
    if trunk.kind.runs_our_flows and trunk.kind.flow_format == FlowFormat.TWIML:
        yield _asked("flows", f"{settings.PUBLIC_URL}/twiml/{unknown}?token=none", 403)


def _address(trunk: Trunk) -> Step:
    sends_token = trunk.kind.calls_back and _is_far(trunk)
    if sends_token and not trunk.base_url.startswith("https://"):
        return Step("address", False, f"{trunk.base_url} would send the token unencrypted: use https://")
    return Step("address", True, trunk.base_url or "the sandbox of this server")


def _credentials(trunk: Trunk, carrier: Carrier) -> Step:
    """Ask for a call that does not exist: only a carrier that knows the account says so."""
    placed = Placed(uuid4(), "+10000000000", "+10000000000", clocks.now(), NO_CALL)
    match carrier.look_up([placed])[placed.attempt_id]:
        case NoSuchCall() | Event() | AnothersCall():
            return Step("credentials", True, f"{trunk.kind.label} knows the account {trunk.account_sid}".rstrip())
        case CantTell(reason):
            return Step("credentials", False, f"the carrier says: {reason}. Check base URL, account SID, key and token")


def _way_there(trunk: Trunk, carrier: Carrier) -> Step:
    """Ask the driver of a carrier that has no accounts to ask for."""
    problem = carrier.problem()
    return Step("way there", not problem, problem or f"calls reach {trunk.kind.label} from here")


def _caller_ids(trunk: Trunk) -> Step:
    numbers = list(trunk.caller_ids.filter(is_active=True).order_by("number").values_list("number", flat=True))
    if not numbers:
        return Step("caller IDs", False, "no active caller ID is bound to it: campaigns call from caller IDs")
    return Step("caller IDs", True, ", ".join(numbers[:5]) + (f" and {len(numbers) - 5} more" if numbers[5:] else ""))


def _health(trunk: Trunk) -> Step:
    health = gate.health_of(trunk)
    if health and health.down_since:
        return Step(
            "health", False, f"it took no calls since {health.down_since:%Y-%m-%d %H:%M} UTC: {health.last_error}"
        )
    return Step("health", True, "it takes calls, as far as is known")


def _is_far(trunk: Trunk) -> bool:
    return bool(trunk.base_url) and urlsplit(trunk.base_url).hostname not in LOOPBACK


def _can_be_reached(name: str, url: str) -> Step:
    """Judge what the carrier is given. Whether it gets through from outside, only a call shows."""
    if urlsplit(url).hostname in LOOPBACK:
        return Step(name, False, f"{url} can't be reached from the carrier: set PUBLIC_URL to one that can")
    if not url.startswith("https://"):
        return Step(name, False, f"{url} is not encrypted: events and tokens would be open to anybody on the way")
    return Step(name, True, url)


def _asked(name: str, url: str, expected: int, *, method: str = "POST") -> Step:
    """Send this server a request over its public address, and compare the status."""
    bare = url.partition("?")[0]
    try:
        status = requests.request(method, url, timeout=PATIENCE, allow_redirects=False).status_code
    except requests.RequestException as error:
        return Step(name, False, f"{bare} does not respond from here: {type(error).__name__}")
    if status != expected:
        return Step(
            name, False, f"{bare} responds {status} instead of {expected}: does the proxy lead it to this server?"
        )
    return Step(name, True, f"{bare} leads to this server")
