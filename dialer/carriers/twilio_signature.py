"""Twilio's signature of its requests, by its public documentation of X-Twilio-Signature: forms over HTTP POST."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from django.utils.crypto import constant_time_compare


def signature(token: str, url: str, fields: Mapping[str, Sequence[str]]) -> str:
    """Return what Twilio sends as X-Twilio-Signature with a form: HMAC-SHA1 of the address and the sorted fields."""
    signed = url + "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def is_right(given: str, token: str, url: str, fields: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether the signature is right. It may be of the address with its default port, or without."""
    return any(constant_time_compare(given, signature(token, spelled, fields)) for spelled in _spellings(url))


def _spellings(url: str) -> list[str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    default = {"https": ":443", "http": ":80"}.get(scheme, "")
    bare = host.removesuffix(default) if default else host
    with_port = bare if re.search(r":[0-9]+\Z", bare) else bare + default
    return [f"{scheme}://{written}{slash}{path}" for written in dict.fromkeys((bare, with_port))]
