"""Recordings that flows play: fetched from their addresses, under the rules of webhooks' addresses.

The addresses come from customers: nothing of a private network is read aloud to a stranger. A file may be changed at
its address, so each is asked for again once it is older than its server said that it may be (RFC 9111).
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from webhooks import addresses

# Seconds to fetch a recording.
FETCHES_WITHIN = 20.0
LARGEST_FILE = 20_000_000
# Seconds for which a recording is played without asking for a newer one: where its server does not say, and the least
# and the most, whatever it says. A busy campaign plays it a hundred times a second.
FRESH_FOR = 300.0
SHORTEST, LONGEST = 10.0, 86_400.0


class CantBeMade(Exception):
    """The prompt can't be made into sound; the message says why."""


@dataclass(frozen=True)
class Version:
    """Which file an address led to.

    Attributes:
        fresh_until: until when it is played without asking again, in seconds since 1970, which gateways share.
        etag, modified: what its server knows it by; "" where it did not say.
    """

    fresh_until: float
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Kept:
    """A recording as it is kept on disk: its sound, as PCMU, and which file that was made of."""

    sound: bytes
    version: Version

    def written(self) -> bytes:
        """Return it as a file."""
        return json.dumps(asdict(self.version)).encode() + b"\n" + self.sound


def read(file: bytes) -> Kept | None:
    """Return what `Kept.written` wrote; None where the file is another one."""
    head, _, sound = file.partition(b"\n")
    try:
        version = Version(**json.loads(head))
    except (ValueError, TypeError):
        return None
    return Kept(sound, version) if sound else None


def fetch(url: str, now: float, known: Version | None = None) -> tuple[bytes | None, Version]:
    """Return the file at an address, and its version. Raises CantBeMade.

    Args:
        known: the version that is here already: None is returned instead of the file where it is still that one.
    """
    try:
        return asyncio.run(_fetched(url, now, known))
    except aiohttp.ClientConnectorError as error:
        raise CantBeMade(f"{urlsplit(url).hostname}: {error.os_error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, addresses.UnusableAddress) as error:
        raise CantBeMade(f"{urlsplit(url).hostname}: {type(error).__name__} {error}".strip()) from error


async def _fetched(url: str, now: float, known: Version | None) -> tuple[bytes | None, Version]:
    connector = aiohttp.TCPConnector(socket_factory=addresses.open_socket)
    timeout = aiohttp.ClientTimeout(total=FETCHES_WITHIN)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.get(addresses.request_url(url), allow_redirects=False, headers=_conditions(known)) as response,
    ):
        fresh_until = now + fresh_for(response.headers)
        if known is not None and response.status == 304:
            return None, replace(known, fresh_until=fresh_until)
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        file = bytearray()
        async for piece in response.content.iter_chunked(65536):
            file += piece
            if len(file) > LARGEST_FILE:
                raise ValueError(f"more than {LARGEST_FILE:,} bytes")
        etag, modified = (response.headers.get(name, "")[:500] for name in ("ETag", "Last-Modified"))
        return bytes(file), Version(fresh_until, etag, modified)


def _conditions(known: Version | None) -> dict[str, str]:
    if known is None:
        return {}
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
    return {name: value for name, value in headers.items() if value}


def fresh_for(headers: Mapping[str, str]) -> float:
    """Return for how many seconds a response may be played without asking again."""
    return min(max(_said_fresh_for(headers), SHORTEST), LONGEST)


def _said_fresh_for(headers: Mapping[str, str]) -> float:
    control = headers.get("Cache-Control", "").lower()
    if re.search(r"\bno-(cache|store)\b", control):
        return 0.0
    age = headers.get("Age", "")
    if named := re.search(r"\bmax-age=\"?([0-9]{1,9})", control):
        return float(named[1]) - (float(age) if re.fullmatch(r"[0-9]{1,9}", age) else 0.0)
    try:
        expires, sent = (parsedate_to_datetime(headers[name]) for name in ("Expires", "Date"))
        return (expires - sent).total_seconds()
    except (KeyError, ValueError, TypeError):
        return 0.0 if "Expires" in headers else FRESH_FOR
