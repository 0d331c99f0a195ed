"""Look up the names of receivers, so that names that never answer hold up no other account's.

getaddrinfo waits for a minute and more for name servers that are silent, and can't be cancelled. In a pool of threads
a few such names would keep all threads. So each look-up has a thread of its own, requests for one name share it, and
an account has a few at a time: its further names wait for these.
"""

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

# Look-ups of one account under way at once. Most take milliseconds.
OF_AN_ACCOUNT = 4

# The account whose webhook is being sent. The tasks that the connector starts have it, too.
account_id: ContextVar[int] = ContextVar("account_id", default=0)

_Found = list[ResolveResult]


class Resolver(AbstractResolver):
    """Resolve names in threads. Of one loop, whose thread alone reads and writes its fields."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int, int], asyncio.Task[_Found]] = {}
        self._room: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(OF_AN_ACCOUNT))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError. A caller that is cancelled leaves the look-up to others."""
        key = host, port, int(family)
        looking = self._under_way.get(key)
        if looking is None:
            looking = self._under_way[key] = asyncio.create_task(self._look_up(host, port, family))
            looking.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(looking)

    async def close(self) -> None:
        """Do nothing: the threads end with their look-ups, or with the process."""

    async def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> _Found:
        async with self._room[account_id.get()]:
            loop = asyncio.get_running_loop()
            found: asyncio.Future[_Found] = loop.create_future()

            def look_up() -> None:
                try:
                    outcome, error = _addresses(host, port, family), None
                except (OSError, UnicodeError) as failure:
                    outcome, error = [], OSError(None, str(getattr(failure, "strerror", "") or failure))
                loop.call_soon_threadsafe(_settle, found, outcome, error)

            # A daemon: a process that ends does not wait for names that never resolve.
            threading.Thread(target=look_up, name="receiver-name", daemon=True).start()
            return await found


def _settle(found: "asyncio.Future[_Found]", outcome: _Found, error: OSError | None) -> None:
    if found.cancelled():
        return
    if error is None:
        found.set_result(outcome)
    else:
        found.set_exception(error)


def _addresses(host: str, port: int, family: socket.AddressFamily) -> _Found:
    entries = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=_text(address), port=int(address[1]), family=kind, proto=proto, flags=numeric)
        for kind, _, proto, _, address in entries
    ]


def _text(address: Sequence[Any]) -> str:
    """Return the address, with its zone where it is a link-local one of IPv6."""
    host = str(address[0])
    return f"{host}%{address[3]}" if len(address) > 3 and address[3] else host
