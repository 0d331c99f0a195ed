"""Phone numbers in what carriers and databases say do not get into logs."""

import re
from collections.abc import MutableMapping
from typing import Any

from campaigns.numbers import masked

# Eight to fifteen digits that stand alone, with a plus or without. Ids are hexadecimal and times have punctuation, so
# that little else looks so; what does is no loss in these fields.
_NUMBER = re.compile(r"(?<![\w.])\+?[0-9]{8,15}(?![\w.])")
# Fields with text from outside. The rest is ours: names, ids, counts.
_TEXTS = ("event", "reason", "error", "exception")


def mask_numbers(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: `Call to +919810012345 refused` becomes `Call to +91981*****45 refused`."""
    for name in _TEXTS:
        if isinstance(text := event.get(name), str):
            event[name] = _NUMBER.sub(lambda match: masked(match.group()), text)
    return event
