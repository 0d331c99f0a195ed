"""Phone numbers and secrets in what carriers, databases and libraries say do not get into logs."""

import re
from collections.abc import MutableMapping
from typing import Any

from contacts.numbers import masked

HIDDEN = "•••"

# Eight to fifteen digits: with a plus (or its %2B in an address) anywhere, without one where they stand alone. Ids are
# hexadecimal and times have punctuation, so that little else looks so; what does is no loss in a log. With separators,
# as people and carriers write them, only behind a plus or a trunk prefix of 0: dates and intervals look like the rest.
_NUMBER = re.compile(
    r"(?:\+|%2B)[0-9]{8,15}(?![0-9])"
    r"|(?<![\w.])[0-9]{8,15}(?![\w.])"
    r"|(?<![\w.:+-])(?:\+[1-9]|\(?0)(?:[ ()-]{0,2}[0-9]){7,14}(?![\w.:-])",
    re.IGNORECASE,
)
# What stands in the query of an address is a signature, a token, or a customer's own key. Then credentials in an
# address or a header, the secrets of webhooks, and whatever a name says is secret. Names and separators are kept.
_SECRETS = re.compile(
    r"""(?P<kept>\?(?=[\w.\[\]-]+=)|://(?=[^\s/@]+@)|\b(?:Basic|Bearer)\s+|whsec_"""
    r"""|(?:token|signature|secret|password|passwd|authorization|api_?key)["']?\s*[=:]\s*["']?(?!(?:Basic|Bearer)\b))"""
    r"""(?P<secret>(?<=://)[^\s/@]+(?=@)|[^\s"'<>,;)}\]]+)""",
    re.IGNORECASE,
)
# Without a word that says so: an API token (43 letters and digits of base64), or a token of ours (SHA-256 in hex).
_TOKEN = re.compile(
    r"(?<![\w-])(?:(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[\w-]{40,}|[0-9a-f]{64})(?![\w-])", re.ASCII
)
# Fields of ours that hold names and ids: an account's SID may be all digits.
_OURS = frozenset(
    {"account", "attempt", "bell", "call", "campaign", "level", "logger", "request_id", "task", "timestamp", "trunk"}
    | {"upload", "webhook"}
)


def mask_numbers(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: `Call to +919810012345 refused` becomes `Call to +91981*****45 refused`."""
    for name, value in event.items():
        if name not in _OURS:
            event[name] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    match value:
        case str():
            text = _TOKEN.sub(HIDDEN, _SECRETS.sub(lambda match: match["kept"] + HIDDEN, value))
            return _NUMBER.sub(_shortened, text)
        case list() | tuple():
            return [_clean(each) for each in value]
        case dict():
            return {name: _clean(each) for name, each in value.items()}
        case BaseException():
            return _clean(repr(value))
    return value


def _shortened(match: re.Match[str]) -> str:
    return masked(match.group())
