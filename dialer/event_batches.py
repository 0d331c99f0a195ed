"""Events of carriers wait for a commit together: all that come while one commit is under way share the next one.

One thread stores, over a database connection of its own. So the number of commits follows from how fast PostgreSQL
makes them, and not from the number of events. A second thread enqueues the settling, so that a Redis that does not
respond holds up no carrier.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import structlog
from django.db import connection, connections

from core import batches
from dialer import carrier_events, inbox
from dialer.inbox import Incoming

log = structlog.get_logger(__name__)

# The most events of one commit.
BATCH = 500
# How long an event may wait for its commit, in seconds, before its carrier is told to send it again. Long enough for a
# restart of PostgreSQL, and shorter than carriers wait for a response.
WAITS_AT_MOST = 5.0
# Seconds between two tries while the database is away. The first one is made at once: it needs a new connection only.
TRY_AGAIN = 0.2
# Seconds from the start of one commit to that of the next at the least, where so many events come in a second. A commit
# of two events costs almost as much as one of twenty. So it is with all that follows: settling the events, claiming
# calls for the channels that they free, dialing those. So a busy machine would do little else for small batches, and
# longer pauses are felt by calls: each waits half of one.
STORES_EVERY = ((2_000, 0.05), (400, 0.03), (0, 0.01))
# While a message is on its way, of so many later events at most is remembered whether they tell an end. Beat's tick
# settles the others.
MOST_ASKED = 2 * BATCH
# Seconds from one message to the next, at the least.
RINGS_EVERY = 0.02


class NotStored(Exception):
    """The event was not stored in time, as far as is known. The carrier should send it again."""


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    event: Incoming
    stored: "asyncio.Future[None]"


class EventBatches:
    """Stores events in batches. `put` them while `run` is running; all of it in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[_Waiting, None] = {}
        self._has_some = asyncio.Event()
        self._is_full = asyncio.Event()
        self._writer = ThreadPoolExecutor(1, "event-writer")
        self._bell = _Bell()
        self.storing_since: float | None = None
        """When the batch that is being stored was begun, by the monotonic clock."""
        self.failures = 0
        """Tries in a row that failed because the database is away."""

    async def put(self, event: Incoming) -> None:
        """Return when the event is stored.

        Raises:
            NotStored: it was not within WAITS_AT_MOST seconds.
            Exception: what the database raises for this event alone.
        """
        waiting = _Waiting(event, asyncio.get_running_loop().create_future())
        self._waiting[waiting] = None
        self._has_some.set()
        if len(self._waiting) >= BATCH:
            self._is_full.set()
        try:
            async with asyncio.timeout(WAITS_AT_MOST):
                await waiting.stored
        except TimeoutError:
            self._waiting.pop(waiting, None)
            raise NotStored from None

    async def ask(self, question: Callable[[], bool]) -> bool:
        """Return the answer to a question that needs the database, from the thread that stores.

        Raises:
            NotStored: the database is away.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, _asked, question)
        except batches.TRANSIENT_ERRORS:
            raise NotStored from None

    async def run(self) -> None:
        """Store what is put, until cancelled. Raises what a fault of this code raises: then nothing is stored."""
        loop = asyncio.get_running_loop()
        began = next_at = float("-inf")
        while True:
            await self._has_some.wait()
            await self._wait_for_more(next_at - loop.time())
            batch = self._take()
            if not batch:
                continue
            now = loop.time()
            began, next_at = now, now + _pause(len(batch) / max(now - began, 0.001))
            try:
                await self._store(batch)
                self.failures = 0
            except batches.TRANSIENT_ERRORS as error:
                log.warning("events_not_stored", events=len(batch), error=type(error).__name__)
                self._waiting = dict.fromkeys(batch) | self._waiting
                self._has_some.set()
                await asyncio.sleep(TRY_AGAIN if self.failures else 0)
                self.failures += 1

    async def _wait_for_more(self, seconds: float) -> None:
        """Wait so long, or until there are as many events as one commit takes."""
        self._is_full.clear()
        if len(self._waiting) < BATCH and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._is_full.wait()

    def close(self) -> None:
        """Close the threads' database connections. Nothing may be put any more."""
        self._writer.submit(connections.close_all)
        self._writer.shutdown()
        self._bell.close()

    def _take(self) -> list[_Waiting]:
        """Take the oldest events; those whose carrier has been told to send them again are dropped."""
        taken = list(islice(self._waiting, BATCH))
        for waiting in taken:
            del self._waiting[waiting]
        if not self._waiting:
            self._has_some.clear()
        return [waiting for waiting in taken if not waiting.stored.done()]

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        self.storing_since = time.monotonic()
        try:
            faults = await loop.run_in_executor(self._writer, _store, [waiting.event for waiting in batch])
        finally:
            self.storing_since = None
        for place, waiting in enumerate(batch):
            if waiting.stored.done():
                continue
            if place in faults:
                waiting.stored.set_exception(faults[place])
            else:
                waiting.stored.set_result(None)
        self._bell.ring([waiting.event for waiting in batch])


def _store(events: Sequence[Incoming]) -> Mapping[int, Exception]:
    """Store events; returns by their places what the database raised for single ones. Raises TRANSIENT_ERRORS."""
    faults: dict[int, Exception] = {}

    def one_by_one() -> None:
        batches.one_by_one(
            "store events",
            range(len(events)),
            lambda place: carrier_events.store([events[place]]),
            give_up=faults.__setitem__,
        )

    try:
        batches.together("store events", lambda: carrier_events.store(events), otherwise=one_by_one)
    except batches.TRANSIENT_ERRORS:
        connection.close()
        raise
    return faults


def _pause(rate: float) -> float:
    """Return the seconds between two commits where so many events come in a second."""
    return next(seconds for least, seconds in STORES_EVERY if rate >= least)


def _asked(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except batches.TRANSIENT_ERRORS:
        connection.close()
        raise


class _Bell:
    """Enqueues the settling of the inbox, in a thread: at once, or a while after the last time that it did.

    Events that come until then share the message.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "settle-bell")
        self._untold: list[Incoming] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_ringing = False
        self._next_at = float("-inf")

    def ring(self, events: Sequence[Incoming]) -> None:
        self._untold += events[-MOST_ASKED:]
        del self._untold[:-MOST_ASKED]
        if self._untold and not self._is_ringing and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._next_at, loop.time()), self._tell)

    def _tell(self) -> None:
        events, self._untold, self._timer, self._is_ringing = self._untold, [], None, True
        ringing = asyncio.get_running_loop().run_in_executor(self._thread, inbox.enqueue_settle, events)
        ringing.add_done_callback(self._has_rung)

    def _has_rung(self, ringing: "asyncio.Future[bool]") -> None:
        self._is_ringing = False
        if ringing.cancelled():
            return
        if error := ringing.exception():
            log.warning("task_not_enqueued", task="dialer.settle", error=str(error))
        elif ringing.result():
            self._next_at = asyncio.get_running_loop().time() + RINGS_EVERY
        self.ring([])

    def close(self) -> None:
        """Tell of the last events now."""
        if self._timer is not None:
            self._timer.cancel()
        if self._untold:
            self._thread.submit(inbox.enqueue_settle, self._untold)
            self._untold = []
        self._thread.shutdown()
