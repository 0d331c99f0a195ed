"""The events process: takes carriers' events, and nothing else (`manage.py serve_events`).

It notes its progress as workers do, and ends itself when its event loop or its writer stands still.
"""

import asyncio
import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import connections

from campaigns_project import garbage, watchdog
from core import liveness
from dialer.event_batches import EventBatches
from dialer.events_server import MOST_CONNECTIONS, EventsServer

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
# How long the event loop may stand still, and one batch may take to be stored, in seconds, before this process ends
# itself. Longer than PostgreSQL waits for a lock, and than a dead connection goes unnoticed.
MAX_STANDSTILL = 30.0
MAX_BATCH_SECONDS = 60.0
# Files and connections beside those of carriers.
OTHER_FILES = 100


def serve(host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, then let the requests under way end."""
    garbage.leave_out_what_is_loaded()
    _allow_files()
    asyncio.run(_serve(host, port))


def _allow_files() -> None:
    """Let this process have as many connections as its server keeps, where the system's usual limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    events = EventBatches()
    server = EventsServer(events)
    watch = _Watch(events)
    # Without any of these nothing is stored or noticed: then this process ends, to be started again.
    needed = [asyncio.create_task(work) for work in (events.run(), watch.tick(), stop.wait())]
    log.info("events_listening", host=host, port=await server.start(host, port))
    try:
        done, _ = await asyncio.wait(needed, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await server.stop()
    finally:
        for task in needed:
            task.cancel()
        events.close()
        watch.close()


class _Watch:
    """Notes progress once a second, and ends the process from a thread of its own when there is none."""

    def __init__(self, events: EventBatches) -> None:
        self._events = events
        self._turned_at = time.monotonic()
        # Not the loop's thread: Redis may not respond.
        self._notes = ThreadPoolExecutor(1, "progress")
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    async def tick(self) -> None:
        loop = asyncio.get_running_loop()
        noted: asyncio.Future[None] | None = None
        while True:
            self._turned_at = time.monotonic()
            if noted is None or noted.done():
                noted = loop.run_in_executor(self._notes, liveness.note, liveness.EVENTS)
            await asyncio.sleep(TICK_SECONDS)

    def close(self) -> None:
        self._notes.submit(connections.close_all)
        self._notes.shutdown(wait=False)

    def _watch(self) -> None:
        while True:
            time.sleep(watchdog.CHECK_SECONDS)
            if what := standstill(time.monotonic(), self._turned_at, self._events.storing_since):
                log.critical("events_stand_still", what=what)
                watchdog.end_process()


def standstill(now: float, turned_at: float, storing_since: float | None) -> str:
    """Return what stands still; "" where nothing does. All by the monotonic clock.

    Args:
        turned_at: when the event loop last ran.
        storing_since: when the storing of the present batch began.
    """
    if now - turned_at > MAX_STANDSTILL:
        return f"the event loop, for {now - turned_at:.0f} s"
    if storing_since is not None and now - storing_since > MAX_BATCH_SECONDS:
        return f"a batch of events, for {now - storing_since:.0f} s"
    return ""
