"""Which addresses webhooks may go to: those of the public internet, not those of this server's own networks.

Otherwise a customer could make the server send requests to databases, metadata services and routers that only it can
reach (OWASP: Server-Side Request Forgery).
"""

import ipaddress
import re
import socket
import threading
import time
from concurrent.futures import Future
from functools import lru_cache
from urllib.parse import quote

from django.conf import settings
from yarl import URL

# How long API requests reuse a resolved name, in seconds: hundreds of campaigns of one request name the same host.
CACHED_SECONDS = 60
# Names that a process looks up at the same time. A look-up can't be cancelled and may take a minute, so one that finds
# no room is not made: the check that counts is the one at delivery.
LOOK_UPS_AT_ONCE = 4
_room = threading.BoundedSemaphore(LOOK_UPS_AT_ONCE)


class PrivateAddress(OSError):
    """The address does not belong to the public internet."""


# Scheme, authority, and the rest up to a fragment, which is the client's own business and is never sent.
_PARTS = re.compile(r"(?i:(https?)://)([^/?#\\]+)([^#]*)", re.DOTALL)
# What may stand in a request line as it is: visible ASCII. Anything else has no bytes of its own until it is encoded.
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


class UnusableAddress(ValueError):
    """Nothing can be requested from the address."""


def request_url(text: str) -> URL:
    """Return what is requested for an address: path and query byte for byte as given. Raises UnusableAddress.

    Spaces and what is not ASCII are percent-encoded as UTF-8, as browsers do; a name that is not ASCII becomes its
    Punycode. `%2F`, `%2f`, `+`, `//`, `..` and an empty query stay: a signature may be made over them.
    """
    parts = _PARTS.fullmatch(text.partition("#")[0])
    if parts is None:
        raise UnusableAddress("it does not begin with http:// or https:// and a host")
    scheme, authority, target = parts.groups()
    try:
        base = URL(f"{scheme.lower()}://{authority}/")
        if not base.raw_host or base.raw_path_qs != "/":
            raise UnusableAddress("it has no host")
        target = quote(target if target.startswith("/") else f"/{target}", safe=_VISIBLE)
        # All of it as the path: yarl would drop an empty query.
        return URL.build(scheme=base.scheme, authority=base.raw_authority, path=target, encoded=True)
    except ValueError as error:
        raise UnusableAddress(str(error)) from error


# Addresses that Python's registry calls global, and that lead to something only this machine or its network has.
_NOT_FOR_WEBHOOKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's platform: DHCP, DNS and the agent's secrets
        "192.0.0.0/24",  # protocol assignments; Oracle's clouds answer at 192.0.0.192
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "64:ff9b::/96",  # NAT64: an IPv4 address inside, which only a translator knows
        "3fff::/20",  # documentation
    )
)


def is_public(text: str) -> bool:
    """Return whether an IP address is not private, loopback, link-local, shared, multicast or reserved.

    An IPv6 address that contains an IPv4 address (mapped, or 6to4) is public if that is.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner:
            return is_public(str(inner))
        if address.is_site_local:
            return False
    if any(address in network for network in _NOT_FOR_WEBHOOKS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


class LookUps:
    """The time that one request may wait for look-ups, for all names in it, however many they are."""

    def __init__(self) -> None:
        self.seconds_left = settings.WEBHOOK_LOOK_UP_SECONDS

    def wait(self, looked_up: "Future[tuple[str, ...]]") -> tuple[str, ...]:
        """Return the addresses. Raises TimeoutError when the time is up, or what the look-up has raised."""
        started = time.monotonic()
        try:
            return looked_up.result(self.seconds_left)
        finally:
            self.seconds_left = max(0.0, self.seconds_left - (time.monotonic() - started))


def is_refused(url: str, look_ups: LookUps) -> bool:
    """Return whether the URL of a webhook leads to private networks only, as far as can be told in the time left.

    A name that does not resolve in time is not refused: it may exist by the time of the first event, and is judged
    then.
    """
    if settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES:
        return False
    try:
        host = request_url(url).raw_host
    except UnusableAddress:
        return False  # the validator of URLs refuses it
    if not host:
        return False
    addresses = _literal(host) or _resolve(host, int(time.monotonic() / CACHED_SECONDS), look_ups)
    return bool(addresses) and not any(is_public(address) for address in addresses)


def _literal(host: str) -> tuple[str, ...]:
    """Return the address that a literal in any spelling (`127.1`, `0x7f000001`) means; () for a name. Asks nobody."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(entry[4][0]) for entry in found)


def _resolve(host: str, minute: int, look_ups: LookUps) -> tuple[str, ...]:
    """Return the IP addresses of a name; () if there are none in time. `minute` lets results expire."""
    looked_up = _looked_up(host, minute)
    if looked_up is None:
        return ()
    try:
        return look_ups.wait(looked_up)
    except (OSError, UnicodeError, TimeoutError):
        return ()


_starting = threading.Lock()


def _looked_up(host: str, minute: int) -> "Future[tuple[str, ...]] | None":
    """Return the look-up of a name: the one under way or done in this minute, or a new one; None without room."""
    with _starting:  # two requests for one name share a look-up
        try:
            return _begin(host, minute)
        except BlockingIOError:
            return None


@lru_cache(maxsize=1000)
def _begin(host: str, _minute: int) -> "Future[tuple[str, ...]]":
    """Start to look up a name. Raises BlockingIOError without room, which is not remembered."""
    if not _room.acquire(blocking=False):
        raise BlockingIOError
    looked_up: Future[tuple[str, ...]] = Future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            looked_up.set_result(tuple(str(entry[4][0]) for entry in found))
        except Exception as error:  # noqa: BLE001 -- whoever waits for it gets it
            looked_up.set_exception(error)
        finally:
            _room.release()

    # A daemon: a process that ends does not wait for names that never resolve.
    threading.Thread(target=look_up, name="webhook-name", daemon=True).start()
    return looked_up


def open_socket(info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]) -> socket.socket:
    """Return a socket for one entry of getaddrinfo. Raises PrivateAddress.

    The connection goes to the address that was checked: no name is resolved in between, whose meaning could change.
    """
    family, kind, protocol, _, address = info
    if not (settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES or is_public(str(address[0]))):
        raise PrivateAddress(f"{address[0]} is not an address of the public internet")
    return socket.socket(family, kind, protocol)
