"""Ids as they are shown outside this server: 32 lower-case hex digits.

They are read in upper case, too, and with the hyphens that other programs add.
"""

import re
from typing import Any
from uuid import UUID

# UUID() itself accepts far more: blanks, braces, digits of other scripts.
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NIL = UUID(int=0)


def wire_id(identifier: Any) -> str:
    """Return the id as it is shown outside. identifier: a UUID, or its text in any form."""
    return UUID(str(identifier)).hex


def parse(given: Any) -> UUID | None:
    """Return the id, or None for anything else."""
    return UUID(given) if isinstance(given, str) and _ID.fullmatch(given) else None


def parse_or_nil(given: str) -> UUID:
    """Return the id; for anything else the nil id, which no row has."""
    return parse(given) or _NIL
