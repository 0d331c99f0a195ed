"""What calls need of the record and of storages, in threads that may wait for them: sippy's loop must not."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import structlog
from django.db import connection

from campaigns.flow_interpreter import Connect
from core import clocks
from dialer.transfers import NO_CHANNEL, Begun
from sipgateway import legs, recording_store
from sipgateway.plans import Plan

log = structlog.get_logger(__name__)

# Threads that ask whether another number may be rung, and that store recordings: a bucket may take seconds for each.
LEG_THREADS, RECORDING_THREADS = 4, 4


class Errands:
    """The threads."""

    def __init__(self, gateway_id: UUID) -> None:
        self._gateway_id = gateway_id
        self._legs = ThreadPoolExecutor(LEG_THREADS, "sip-legs")
        self._recordings = ThreadPoolExecutor(RECORDING_THREADS, "sip-recordings")
        self._sweep: Future[None] | None = None
        self._is_over = threading.Event()

    def begin_leg(self, plan: Plan, connect: Connect, then: Callable[[Plan | Begun], None]) -> None:
        """Begin a second leg of a call, and pass on its plan, or what the flow goes on with, in another thread."""

        def pass_on(begun: "Future[Plan | Begun]") -> None:
            then(begun.result())

        self._legs.submit(_begin_leg, plan, connect, self._gateway_id).add_done_callback(pass_on)

    def keep_recording(self, file: Path) -> None:
        """Store a recording that is over."""
        self._recordings.submit(recording_store.store, file)

    def sweep_recordings(self) -> None:
        """Store what is left of recordings on this machine, unless a thread is at it."""
        if self._sweep is None or self._sweep.done():
            self._sweep = self._recordings.submit(recording_store.sweep, self._is_over.is_set)

    def finish(self) -> None:
        """Do what was begun, and nothing more."""
        self._is_over.set()
        self._legs.shutdown()
        self._recordings.shutdown()


def _begin_leg(plan: Plan, connect: Connect, gateway_id: UUID) -> Plan | Begun:
    """Begin a second leg. One that this program fails on counts as one for which there is no channel."""
    try:
        return legs.begin(plan, connect, gateway_id, clocks.now())
    except Exception:
        log.exception("sip_leg_not_begun", attempt=plan.attempt_id.hex)
        connection.close()
        return NO_CHANNEL
