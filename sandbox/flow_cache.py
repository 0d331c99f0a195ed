"""Fetch flow documents: one request per URL at a time, cached for a few seconds."""

import asyncio
import json
import math
from dataclasses import dataclass

import aiohttp
import structlog

from sandbox.flow_runner import NotAFlow, Step, parse_flow

log = structlog.get_logger()

CACHED_SECONDS = 5.0  # after this a changed flow is in use; at 1,000 answered calls a second it saves 4,999 requests
FAILURE_CACHED_SECONDS = 1.0  # a flow that was unavailable for a moment should not stay so
FETCH_TIMEOUT_SECONDS = 5.0
MAX_ENTRIES = 1000


@dataclass(slots=True)
class _Entry:
    fetch: asyncio.Task[list[Step] | None]
    expires: float = math.inf  # on the loop's clock; not while the fetch is under way


class FlowCache:
    """Flows by URL."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._entries: dict[str, _Entry] = {}

    async def get(self, url: str) -> list[Step] | None:
        """Return the steps of the flow at url; None, with a warning in the log, when it is missing or unavailable."""
        now = asyncio.get_running_loop().time()
        entry = self._entries.get(url)
        if entry is None or entry.expires <= now:
            if len(self._entries) >= MAX_ENTRIES:
                self._entries = {known: cached for known, cached in self._entries.items() if cached.expires > now}
            entry = self._entries[url] = _Entry(asyncio.create_task(self._fetch(url)))
            entry.fetch.add_done_callback(lambda _: self._set_expiry(entry))
        # Shielded: many calls wait for one fetch, and a call that is cut off must not cancel it for the others.
        return await asyncio.shield(entry.fetch)

    def _set_expiry(self, entry: _Entry) -> None:
        found = not entry.fetch.cancelled() and entry.fetch.result() is not None
        entry.expires = asyncio.get_running_loop().time() + (CACHED_SECONDS if found else FAILURE_CACHED_SECONDS)

    async def _fetch(self, url: str) -> list[Step] | None:
        try:
            timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
            async with self._session.get(url, timeout=timeout) as response:
                response.raise_for_status()
                return parse_flow(json.loads(await response.read()))
        # ValueError: not a URL, not JSON, or NotAFlow.
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            log.warning(
                "flow_unusable", url=url.partition("?")[0], not_a_flow=isinstance(error, NotAFlow), reason=str(error)
            )
            return None
