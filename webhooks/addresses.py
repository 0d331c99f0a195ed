"""Which addresses a webhook may go to: the internet's, not those of the networks that this server stands in.

Without this a customer could make the server speak to databases, metadata services and routers that only it can reach.
"""

import ipaddress
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

# A request to the API waits no longer for a name: every delivery checks again, and that is the check that counts.
LOOKUP_SECONDS = 2
# How long what was found is believed there, in seconds: hundreds of campaigns of one request name one host.
BELIEVED_SECONDS = 60
_lookups = ThreadPoolExecutor(max_workers=4, thread_name_prefix="webhook-names")


class PrivateAddress(OSError):
    """The address is not one of the public internet."""


def is_public(text: str) -> bool:
    """Whether the IP address is reachable by anybody: not private, loopback, link-local, shared, multicast, reserved.

    An IPv6 address that carries an IPv4 one (mapped, or 6to4) is as public as that.
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
    """Whether the address of a webhook leads, as far as can be told now, into private networks only.

    A name that resolves to nothing is not refused: it may be there by the time of the first event.
    """
    if settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES:
        return False
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False  # no address at all, which is for others to say
    addresses = _resolve(host, int(time.monotonic() / BELIEVED_SECONDS)) if host else ()
    return bool(addresses) and not any(is_public(address) for address in addresses)


@lru_cache(maxsize=1000)
def _resolve(host: str, _when: int) -> tuple[str, ...]:
    """The IP addresses of a name, or of a literal in any spelling (`127.1`, `0x7f000001`); () if not found in time."""
    looked_up = _lookups.submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    try:
        return tuple(str(entry[4][0]) for entry in looked_up.result(LOOKUP_SECONDS))
    except (OSError, UnicodeError, TimeoutError):
        return ()


def open_socket(info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]) -> socket.socket:
    """A socket for this very address, one entry of getaddrinfo. Raises PrivateAddress.

    The connection is made to what was checked: no name is resolved in between, so it can't change its meaning.
    """
    family, kind, protocol, _, address = info
    if not (settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES or is_public(str(address[0]))):
        raise PrivateAddress(f"{address[0]} is not an address of the public internet")
    return socket.socket(family, kind, protocol)
