"""The networks from which an API key may be used."""

from collections.abc import Collection
from ipaddress import IPv6Address, ip_address, ip_network

from django.core.exceptions import ValidationError


def validate_range(text: str) -> None:
    """Refuse what is neither an address nor a network, and say how it is written."""
    try:
        ip_network(text)
    except ValueError as error:
        try:
            right = f": write {ip_network(text, strict=False)}"
        except ValueError:
            right = ": write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
        raise ValidationError(f"{text} is not an address or a network{right}") from error


def contains(ranges: Collection[str], address: str) -> bool:
    """Tell whether the address is in one of the ranges, or whether there are none.

    An IPv4 address is the same when it is written as IPv6. What is no address, as over a Unix socket, is in no range.
    """
    if not ranges:
        return True
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return any(ip in ip_network(one) for one in ranges)
