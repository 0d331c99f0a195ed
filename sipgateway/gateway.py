"""The process `sipgateway`: takes calls from the record, makes them, and writes down what became of them.

- The main thread runs sippy's loop. Only it touches a call (`calls_up`).
- The *desk* asks the record what is to be done (`desk`).
- The *media* thread sends and hears sound (`media`).
- The *writer* stores what is told of calls (`note_writer`).

A thread that fails ends the process, to be started again: calls that nobody writes down would be worse.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from core import clocks
from sipgateway import beats, pings
from sipgateway.calls_up import CallsUp, Means
from sipgateway.desk import Desk
from sipgateway.errands import Errands
from sipgateway.loop_pulse import LoopPulse
from sipgateway.lost_calls import LostCalls
from sipgateway.media import Media
from sipgateway.models import Gateway
from sipgateway.names import Names
from sipgateway.note_writer import NoteWriter
from sipgateway.probes import Probes
from sipgateway.prompts import Prompts
from sipgateway.sip_stack import ED2, Stack, Timeout

log = structlog.get_logger(__name__)

PING_EVERY = 30.0
# Seconds after which a thread that has work lets the others have their turn. The media thread gives its own away with
# each packet that it sends, and would wait for Python's 5 ms to have it back from a loop that sets up calls.
SWITCHES_EVERY = 0.0005
# Seconds for the last requests to leave.
LEAVES_AFTER = 0.3


class GatewayProcess:
    """All of a gateway, for one run."""

    def __init__(self, host: str, port: int) -> None:
        self._stack = Stack(host, port, settings.SIP_PUBLIC_HOST or host)
        now = clocks.now()
        address = f"{self._stack.public_host}:{self._stack.port}"
        self._gateway = Gateway(pk=uuid7(), address=address, started_at=now, beat_at=now)
        self._is_stopping = threading.Event()
        self._writer = NoteWriter()
        self._media = Media()
        self._prompts = Prompts(Path(settings.DATA_DIR) / "prompts")
        self._errands = Errands(self._gateway.pk)
        self._pulse = LoopPulse()
        names = Names()
        self._pings = pings.Pings(self._stack, names, self._writer.act)
        self._calls = CallsUp(
            Means(
                stack=self._stack,
                host=host,
                names=names,
                writer=self._writer,
                media=self._media,
                prompts=self._prompts,
                errands=self._errands,
                is_stopping=self._is_stopping,
            )
        )
        self._desk = Desk(
            self._gateway,
            self._calls,
            writer=self._writer,
            lost=LostCalls(self._stack),
            prompts=self._prompts,
            errands=self._errands,
            pulse=self._pulse,
            is_stopping=self._is_stopping,
        )

    def run(self) -> None:
        """Work until SIGINT or SIGTERM, then end the calls that are up."""
        sys.setswitchinterval(SWITCHES_EVERY)
        for number in (signal.SIGINT, signal.SIGTERM):
            ED2.regSignal(number, self._stop)
        desk = threading.Thread(target=_needed(self._desk.run), name="sip-desk")
        writer = threading.Thread(target=_needed(self._writer.run), name="sip-writer")
        media = threading.Thread(target=_needed(self._media.run), name="sip-media")
        pinger = threading.Thread(target=self._ping, name="sip-pings", daemon=True)
        for thread in (desk, writer, media, pinger):
            thread.start()
        self._pulse.start()
        probes = (
            Probes(settings.SIP_HEALTH_ADDRESS, self._is_up, self._is_ready) if settings.SIP_HEALTH_ADDRESS else None
        )
        log.info("sip_gateway_listening", address=self._gateway.address)
        ED2.loop()
        desk.join()
        if probes:
            probes.close()
        self._writer.stop()
        writer.join()
        self._media.stop()
        media.join()
        self._prompts.close()
        self._errands.finish()
        beats.stop(self._gateway, clocks.now())
        self._stack.shutdown()
        late = round(1000 * self._media.lateness_p99(), 2)
        log.info("sip_gateway_stopped", calls=self._calls.made, late_ms_p99=late)

    def _is_up(self) -> bool:
        return self._pulse.is_there

    def _is_ready(self) -> bool:
        return self._pulse.is_there and self._desk.is_at_work and not self._is_stopping.is_set()

    def _ping(self) -> None:
        """Ping the trunks, in a thread of its own, which asks for them."""
        while not self._is_stopping.is_set():
            try:
                self._pings.send(pings.trunks())
            except Exception:
                log.exception("sip_pings_not_sent")
                connection.close()
            self._is_stopping.wait(PING_EVERY)
        connection.close()

    def _stop(self, *_: Any) -> None:
        """Take no more calls, and end those that are up."""
        if not self._is_stopping.is_set():
            self._is_stopping.set()
            self._calls.stop(then=lambda: Timeout(ED2.breakLoop, LEAVES_AFTER))


def _needed(work: Callable[[], None]) -> Callable[[], None]:
    """Return work without which this process is of no use."""

    def do() -> None:
        try:
            work()
        except BaseException:
            log.critical("sip_gateway_failed", thread=threading.current_thread().name, exc_info=True)
            os._exit(70)

    return do
