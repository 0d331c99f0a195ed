"""Mask phone numbers and secrets in log events: carriers, databases and libraries put them into their messages."""

import re
from collections.abc import MutableMapping
from typing import Any

from contacts.numbers import masked

HIDDEN = "•••"

# Eight to fifteen digits: anywhere after a plus (or its %2B in an address), otherwise only where they stand alone. Ids
# are hexadecimal and times have punctuation, so little else looks like this, and a log loses nothing by the rest. With
# separators, as people and carriers write them, only after a plus or a trunk prefix of 0: dates and intervals look like
# any other grouping.
_NUMBER = re.compile(
    r"(?:\+|%2B)[0-9]{8,15}(?![0-9])"
    r"|(?<![\w.])[0-9]{8,15}(?![\w.])"
    r"|(?<![\w.:+-])(?:\+[1-9]|\(?0)(?:[ ()-]{0,2}[0-9]){7,14}(?![\w.:-])",
    re.IGNORECASE,
)
# The query of an address, which holds a signature, a token, or a customer's own key; credentials in an address or a
# header; webhook secrets; and the value of anything whose name says that it is secret. Names and separators stay.
_SECRETS = re.compile(
    r"""(?P<kept>\?(?=[\w.\[\]-]+=)|://(?=[^\s/@]+@)|\b(?:Basic|Bearer)\s+|whsec_"""
    r"""|(?:token|signature|secret|password|passwd|authorization|api_?key)["']?\s*[=:]\s*["']?(?!(?:Basic|Bearer)\b))"""
    r"""(?P<secret>(?<=://)[^\s/@]+(?=@)|[^\s"'<>,;)}\]]+)""",
    re.IGNORECASE,
)
# Tokens that no word announces: an API token (43 characters of base64), or a token of ours (SHA-256 in hex).
_TOKEN = re.compile(
    r"(?<![\w-])(?:(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[\w-]{40,}|[0-9a-f]{64})(?![\w-])", re.ASCII
)
# Fields of our own events that hold names and ids, which may be all digits.
_TRUSTED_FIELDS = frozenset(
    {"account", "attempt", "call", "campaign", "item", "level", "logger", "request_id", "task", "timestamp"}
    | {"trunk", "upload", "webhook"}
)


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every field of an event that may hold text from outside; a structlog processor.

    `Call to +919810012345 refused` becomes `Call to +91981*****45 refused`.
    """
    for name, value in event.items():
        if name not in _TRUSTED_FIELDS:
            event[name] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    match value:
        case str():
            text = _TOKEN.sub(HIDDEN, _SECRETS.sub(lambda match: match["kept"] + HIDDEN, value))
            return _NUMBER.sub(lambda match: masked(match.group()), text)
        case list() | tuple():
            return [_clean(entry) for entry in value]
        case dict():
            return {name: _clean(entry) for name, entry in value.items()}
        case BaseException():
            return _clean(repr(value))
    return value
