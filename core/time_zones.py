"""Names of time zones: `Asia/Calcutta` is `Asia/Kolkata`."""

from functools import lru_cache
from importlib import resources


def canonical(name: str) -> str:
    """Return the name that the IANA database prefers today for this zone."""
    return _links().get(name, name)


def find(name: str) -> str | None:
    """Return the preferred name of the zone, in whatever case it is written; None where there is no such zone."""
    return _names().get(name.strip().lower())


@lru_cache(maxsize=1)
def _links() -> dict[str, str]:
    """Return the preferred name of each other name."""
    return {other: name for kind, name, other, *_ in _lines() if kind == "L"}


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Return the preferred name of each name, in lower case."""
    zones = {name: name for kind, name, *_ in _lines() if kind == "Z"} | _links()
    return {name.lower(): preferred for name, preferred in zones.items()}


def _lines() -> list[list[str]]:
    text = (resources.files("tzdata") / "zoneinfo" / "tzdata.zi").read_text()
    return [line.split() for line in text.splitlines() if line[:2] in {"L ", "Z "}]
