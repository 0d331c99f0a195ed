"""Which addresses webhooks may go to: those of the public internet, not those of this server's own networks.

Otherwise a customer could make the server send requests to databases, metadata services and routers that only it can
reach (OWASP: Server-Side Request Forgery).
"""

import ipaddress
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import quote

from django.conf import settings
from yarl import URL

# How long an API request waits for a name to resolve. That may fail: the check that counts is the one at delivery.
LOOKUP_SECONDS = 2
# How long API requests reuse a resolved name, in seconds: hundreds of campaigns of one request name the same host.
CACHED_SECONDS = 60
_lookups = ThreadPoolExecutor(max_workers=4, thread_name_prefix="webhook-names")


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
    return address.is_global and not (address.is_multicast or address.is_reserved)


def is_refused(url: str) -> bool:
    """Return whether the URL of a webhook leads to private networks only, as far as can be told now.

    A name that does not resolve is not refused: it may exist by the time of the first event.
    """
    if settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES:
        return False
    try:
        host = request_url(url).raw_host
    except UnusableAddress:
        return False  # the validator of URLs refuses it
    addresses = _resolve(host, int(time.monotonic() / CACHED_SECONDS)) if host else ()
    return bool(addresses) and not any(is_public(address) for address in addresses)


@lru_cache(maxsize=1000)
def _resolve(host: str, _minute: int) -> tuple[str, ...]:
    """Return the IP addresses of a name, or of a literal in any spelling (`127.1`, `0x7f000001`); () if none in time.

    _minute: part of the cache's key, so that results expire.
    """
    looked_up = _lookups.submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    try:
        return tuple(str(entry[4][0]) for entry in looked_up.result(LOOKUP_SECONDS))
    except (OSError, UnicodeError, TimeoutError):
        return ()


def open_socket(info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]) -> socket.socket:
    """Return a socket for one entry of getaddrinfo. Raises PrivateAddress.

    The connection goes to the address that was checked: no name is resolved in between, whose meaning could change.
    """
    family, kind, protocol, _, address = info
    if not (settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES or is_public(str(address[0]))):
        raise PrivateAddress(f"{address[0]} is not an address of the public internet")
    return socket.socket(family, kind, protocol)
