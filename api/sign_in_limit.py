"""How many wrong credentials an address may send in any minute."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from api.rate_limits import Reading, TooManyRequests, meter

# What a provider gives one customer of IPv6: whoever has one address of it has them all.
IPV6_PREFIX = 64


def check(address: str) -> None:
    """Raises TooManyRequests while the address has sent too many; nothing is looked up in the database for it."""
    _refuse_if_full(meter().look(_name(address), settings.FAILED_SIGN_INS_PER_MINUTE))


def count_failure(address: str) -> None:
    """Counts wrong credentials. Raises TooManyRequests where others at the same moment have filled the minute."""
    _refuse_if_full(meter().admit(_name(address), settings.FAILED_SIGN_INS_PER_MINUTE))


def client_address(request: HttpRequest) -> str:
    """Where the request comes from: the other end of the connection, or what our own proxy says of it.

    Only the last entry of X-Forwarded-For is the proxy's; those before it are whatever the client has sent.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_TLS_PROXY else ""
    return _network(forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", ""))


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:  # a Unix socket has none, and some proxies add a port
        return address[:64]
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip_network((ip, IPV6_PREFIX), strict=False))


def _name(address: str) -> str:
    return f"sign-in/{address}"


def _refuse_if_full(reading: Reading | None) -> None:
    if reading is not None and not reading.admitted:
        wait = reading.retry_after
        raise TooManyRequests(f"too many wrong credentials from this address: try again in {wait} s", wait)
