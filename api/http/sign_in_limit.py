"""The limit of wrong credentials from one address in any minute."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from api.http.rate_limits import Reading, TooManyRequests, meter
from core.client_address import client_address

# Providers give a customer of IPv6 a network of this size: a client with one of its addresses has all of them.
IPV6_PREFIX = 64


def check(address: str) -> None:
    """Raise TooManyRequests if the address has sent too many, before the database is asked about the credentials."""
    _refuse_if_full(meter().look(_name(address), settings.FAILED_SIGN_INS_PER_MINUTE))


def count_failure(address: str) -> None:
    """Count wrong credentials. Raises TooManyRequests if other requests have filled the minute at the same moment."""
    _refuse_if_full(meter().admit(_name(address), settings.FAILED_SIGN_INS_PER_MINUTE))


def client_network(request: HttpRequest) -> str:
    """Return the network that wrong credentials are counted by: the client's address, or its IPv6 /64."""
    return _network(client_address(request))


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:  # a Unix socket has no address, and some proxies add a port
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
