"""The desk of a gateway: asks the record what is to be done, and says that this gateway is at work."""

import threading
import time
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from core import batches, clocks, failpoints
from sipgateway import beats, plans, records
from sipgateway.calls_up import CallsUp
from sipgateway.errands import Errands
from sipgateway.loop_pulse import LoopPulse
from sipgateway.lost_calls import LostCalls
from sipgateway.models import Gateway
from sipgateway.note_writer import NoteWriter
from sipgateway.prompts import Prompts
from sipgateway.sip_stack import ED2

log = structlog.get_logger(__name__)

# Seconds between two looks at the record without a NOTIFY, and with work under way.
LOOK_EVERY = 0.5
LOOK_SOON = 0.1
# Calls claimed at a look: together with LOOK_SOON the most set-ups a second, two hundred.
CLAIMED_AT_ONCE = 20
BEAT_EVERY = 1.0
SWEEP_EVERY = 5.0
TIDY_EVERY = 60.0
TRY_AGAIN = 0.2


class Desk:
    """Claims queued calls, ends those that dead gateways have left, and wakes up for a NOTIFY. A thread of its own."""

    def __init__(
        self,
        gateway: Gateway,
        calls: CallsUp,
        *,
        writer: NoteWriter,
        lost: LostCalls,
        prompts: Prompts,
        errands: Errands,
        pulse: LoopPulse,
        is_stopping: threading.Event,
    ) -> None:
        self._gateway = gateway
        self._calls = calls
        self._writer = writer
        self._lost = lost
        self._prompts = prompts
        self._errands = errands
        self._pulse = pulse
        self._is_stopping = is_stopping
        self._at_work_since: datetime | None = None
        self._warmed: set[UUID] = set()
        self._due = dict.fromkeys(("beat", "sweep", "tidy", "warm"), 0.0)

    @property
    def is_at_work(self) -> bool:
        """Whether it could read the record the last time."""
        return self._at_work_since is not None

    def run(self) -> None:
        """Work until the gateway stops."""
        is_listening = False
        while not self._is_stopping.is_set():
            try:
                if not is_listening:
                    _listen()
                    is_listening = True
                is_busy = self._look()
                _wait(LOOK_SOON if is_busy else LOOK_EVERY, for_news=not is_busy)
            except batches.TRANSIENT_ERRORS as error:
                log.warning("sip_record_not_read", error=type(error).__name__)
                self._at_work_since = None
                is_listening = False
                connection.close()
                time.sleep(TRY_AGAIN)
        connection.close()

    def _look(self) -> bool:
        """Look once at all that there may be to do. Returns whether more may be waiting."""
        self._pulse.require()
        now = clocks.now()
        if self._is_due("beat", BEAT_EVERY):
            self._at_work_since = beats.beat(self._gateway, self._at_work_since, now)
            for note in self._lost.notes(now, self._at_work_since):
                self._writer.note(note)
        for attempt_id in records.to_hang_up(self._gateway.pk):
            ED2.callFromThread(self._calls.hang_up, attempt_id)
        if self._is_due("sweep", SWEEP_EVERY):
            self._sweep(now)
        if self._is_due("tidy", TIDY_EVERY):
            self._prompts.tidy()
            self._errands.sweep_recordings()
        if self._is_due("warm", SWEEP_EVERY):
            self._warm(now)
        room = min(settings.SIP_CHANNELS - len(self._calls), CLAIMED_AT_ONCE)
        claimed = records.claim(self._gateway.pk, room, now) if room > 0 else []
        failpoints.reached("sip-claimed")
        for plan in plans.plans_of(claimed):
            ED2.callFromThread(self._calls.start, plan)
        return len(claimed) == room

    def _sweep(self, now: datetime) -> None:
        """End what this gateway has lost sight of, and delete what is old."""
        for attempt_id in records.forgotten(self._gateway.pk, self._calls.attempt_ids(), now):
            self._writer.note(records.end_of_forgotten(attempt_id, now))
        records.delete_old(now)

    def _warm(self, now: datetime) -> None:
        """Make what campaigns say that begin soon or have begun, before a person hears silence."""
        begun = plans.begun(now)
        for account_id, document in plans.documents_of(begun - self._warmed):
            self._prompts.warm(document, account_id)
        self._warmed = begun

    def _is_due(self, what: str, every: float) -> bool:
        if time.monotonic() < self._due[what]:
            return False
        self._due[what] = time.monotonic() + every
        return True


def _listen() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {records.CHANNEL}")


def _wait(seconds: float, *, for_news: bool) -> None:
    if not for_news:
        time.sleep(seconds)
        return
    connection.ensure_connection()
    for _ in connection.connection.notifies(timeout=seconds, stop_after=1):
        break
