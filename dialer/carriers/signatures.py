"""How the carriers of Twilio's family sign their requests, by their public documentation and their own packages."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.utils.crypto import constant_time_compare

from core import clocks
from dialer.carriers.base import Received

# How far the carrier's clock and ours may be apart. An old request that comes again changes nothing.
CLOCK_SKEW = timedelta(minutes=10)
# No form of a carrier has more fields.
MOST_FIELDS = 1000


def is_twilios(key: str, request: Received) -> bool:
    """Tell whether X-Twilio-Signature is right: HMAC-SHA1 of the address and the sorted fields of a form.

    A body that is no form stands in the address by its SHA-256. The signed address may have its default port, or not.
    """
    return _is_of_family(key, request.headers.get("X-Twilio-Signature", ""), request)


def is_signalwires(key: str, request: Received) -> bool:
    """Tell whether SignalWire's signature is right: as Twilio's, or in hex of the address and the body as it came."""
    given = request.headers.get("X-SignalWire-Signature") or request.headers.get("X-Twilio-Signature") or ""
    of_body = (_hmac(key, url.encode() + request.body).hexdigest() for url in _spellings(request.url))
    return any(constant_time_compare(given, right) for right in of_body) or _is_of_family(key, given, request)


def is_telnyxs(key: str, request: Received) -> bool:
    """Tell whether Telnyx's signature is right: Ed25519, by its public key in base64, of the time and the body."""
    moment = request.headers.get("telnyx-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", moment):
        return False
    if abs(int(moment) - clocks.last_known_now().timestamp()) > CLOCK_SKEW.total_seconds():
        return False
    try:
        given = base64.b64decode(request.headers.get("telnyx-signature-ed25519", ""), validate=True)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(given, f"{moment}|".encode() + request.body)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def twilios(key: str, url: str, fields: Mapping[str, Sequence[str]]) -> str:
    """Return what Twilio sends as X-Twilio-Signature with a form."""
    signed = url + "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    return base64.b64encode(_hmac(key, signed.encode()).digest()).decode()


def _is_of_family(key: str, given: str, request: Received) -> bool:
    digest = parse_qs(urlsplit(request.url).query).get("bodySHA256")
    if digest and not constant_time_compare(digest[0].lower(), hashlib.sha256(request.body).hexdigest()):
        return False
    fields = {} if digest else _form(request)
    if fields is None:
        return False
    return any(constant_time_compare(given, twilios(key, url, fields)) for url in _spellings(request.url))


def _form(request: Received) -> dict[str, list[str]] | None:
    """Return the fields of a form; None for any other body, or for one that can't be read."""
    if request.content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return None if request.body else {}
    try:
        return parse_qs(request.body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None


def _hmac(key: str, signed: bytes) -> "hmac.HMAC":
    return hmac.new(key.encode(), signed, hashlib.sha1)


def _spellings(url: str) -> list[str]:
    """Return the address with its default port and without."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    default = {"https": ":443", "http": ":80"}.get(scheme, "")
    bare = host.removesuffix(default) if default else host
    with_port = bare if re.search(r":[0-9]+\Z", bare) else bare + default
    return [f"{scheme}://{written}{slash}{path}" for written in dict.fromkeys((bare, with_port))]
