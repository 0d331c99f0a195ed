"""Carriers with a JSON API over HTTP: what their drivers share."""

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import aiohttp
import structlog
from django.conf import settings

from core import clocks, http_loop
from dialer.carriers.base import (
    Ambiguous,
    CallRequest,
    CantList,
    CantTell,
    Carrier,
    LookUp,
    NoReply,
    Placed,
    RawEvent,
    Reply,
    TooLate,
    Unavailable,
)

log = structlog.get_logger(__name__)

# Seconds to wait where a carrier takes no more requests, each time that it says so for a page; and the most.
PAGE_WAITS = (2.0, 10.0, 30.0)
LONGEST_PAGE_WAIT = 60.0


class Response(NamedTuple):
    """A carrier's response. body: {} where it is not a JSON object. retry_after: in seconds, where it says so."""

    status: int
    body: dict[str, Any]
    retry_after: float | None


class HttpCarrier(Carrier):
    """Sends the requests of a batch at once. All threads of a process share one HTTP session.

    A subclass writes one request of each kind. What it lets through of aiohttp's errors is understood here.
    """

    def __init__(self, user: str, password: str) -> None:
        self._headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        self._session: aiohttp.ClientSession | None = None

    @abstractmethod
    async def connect_call(self, request: CallRequest) -> Reply:
        """Ask for one call."""

    @abstractmethod
    async def find_call(self, placed: Placed) -> LookUp:
        """Ask what became of one attempt."""

    async def end_call(self, carrier_ref: str) -> None:
        """Ask for the end of one call. The response changes nothing here: events follow."""
        raise NotImplementedError

    def place(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
        return http_loop.run(_gather({request.attempt_id: self._place_one(request) for request in requests}))

    def look_up(self, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
        return http_loop.run(_gather({attempt.attempt_id: self._look_up_one(attempt) for attempt in placed}))

    def hang_up(self, carrier_refs: Sequence[str]) -> Sequence[RawEvent]:
        http_loop.run(_gather({ref: self._hang_up_one(ref) for ref in carrier_refs}))
        return ()

    def withdraw(self, queued: Mapping[UUID, str]) -> Sequence[RawEvent]:
        told = http_loop.run(_gather({attempt_id: self._withdraw_one(ref) for attempt_id, ref in queued.items()}))
        return [(attempt_id, event) for attempt_id, event in told.items() if event]

    async def withdraw_call(self, carrier_ref: str) -> Mapping[str, Any] | None:
        """Take one call back that is queued. Returns what the carrier says of it, as an event."""
        raise NotImplementedError

    async def ask(self, method: str, url: str, **options: Any) -> Response:
        """Send a request.

        Raises:
            aiohttp.ClientError, TimeoutError, OSError: there was no response in CARRIER_TIMEOUT_SECONDS.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                # No limit: batches are limited, and to wait for a connection would count as the carrier's silence.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=settings.CARRIER_TIMEOUT_SECONDS),
            )
            http_loop.close_at_exit(self._session.close)
        # No redirects: the credentials and the number must not follow one.
        async with self._session.request(method, url, allow_redirects=False, **options) as response:
            text = await response.text(errors="replace")
            retry_after = _retry_after(response.headers.get("Retry-After"))
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = {}
        return Response(response.status, body if isinstance(body, dict) else {}, retry_after)

    def page(self, url: str, **options: Any) -> Response:
        """Return a page of a list, and wait where the carrier takes no more requests for now.

        Raises:
            CantList: there is no page; NoReply: not now.
        """
        for wait in (*PAGE_WAITS, None):
            try:
                response = http_loop.run(self.ask("GET", url, **options))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise NoReply(f"no reply: {_named(error)}") from error
            if response.status not in {429, 503} or wait is None:
                break
            time.sleep(min(response.retry_after or wait, LONGEST_PAGE_WAIT))
        if response.status != 200:
            kind = NoReply if response.status in {429, *range(500, 600)} else CantList
            raise kind(f"HTTP {response.status}")
        return response

    @staticmethod
    def further(address: str, uri: str) -> str:
        """Return the next page's address. Raises CantList where it is elsewhere: our credentials would go there."""
        found = urljoin(address, uri)
        if urlsplit(found)[:2] != urlsplit(address)[:2]:
            raise CantList("the next page of the list is at another host")
        return found

    async def _place_one(self, request: CallRequest) -> Reply:
        """Ask, so that a reply that breaks the driver does not lose the replies of the rest of the batch."""
        if clocks.last_known_now() > request.ask_before:
            return TooLate()
        try:
            return await self.connect_call(request)
        except aiohttp.ClientConnectorError as error:
            return Unavailable(f"can't connect: {error.os_error.strerror or error}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Ambiguous(f"no reply: {_named(error)}")
        except Exception as fault:
            log.exception("carrier_reply_not_understood", attempt=request.attempt_id.hex)
            return Ambiguous(f"the reply was not understood: {type(fault).__name__}")

    async def _look_up_one(self, placed: Placed) -> LookUp:
        try:
            return await self.find_call(placed)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return CantTell(f"no reply: {_named(error)}")
        except Exception as fault:
            log.exception("carrier_reply_not_understood", attempt=placed.attempt_id.hex)
            return CantTell(f"the reply was not understood: {type(fault).__name__}")

    async def _withdraw_one(self, carrier_ref: str) -> Mapping[str, Any] | None:
        try:
            return await self.withdraw_call(carrier_ref)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _hang_up_one(self, carrier_ref: str) -> None:
        try:
            await self.end_call(carrier_ref)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return


async def _gather(jobs: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(zip(jobs, await asyncio.gather(*jobs.values()), strict=True))


def _named(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()


def whole_seconds(text: Any) -> int | None:
    """Return whole seconds, within what a column holds; None for what is not a number."""
    try:
        return min(max(0, int(float(text))), 2**31 - 1)
    except (TypeError, ValueError, OverflowError):
        return None


def _retry_after(header: str | None) -> float | None:
    """Read Retry-After: seconds or a date, which is compared with our clock. None where it is neither."""
    try:
        if header is None or header.strip().isdigit():
            return float(header) if header else None
        return (parsedate_to_datetime(header) - clocks.last_known_now()).total_seconds()
    except (ValueError, TypeError):
        return None
