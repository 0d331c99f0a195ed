"""Ids in addresses and bodies, as we write them or with the hyphens that programs put in."""

import re
from typing import Any
from uuid import UUID

# UUID() itself reads far more: blanks, braces, digits of other scripts.
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NIL = UUID(int=0)


def parse(given: Any) -> UUID | None:
    """The id; None for anything else."""
    return UUID(given) if isinstance(given, str) and _ID.fullmatch(given) else None


def parse_or_nil(given: str) -> UUID:
    """The id; for anything else the nil id, which nothing has."""
    return parse(given) or _NIL
