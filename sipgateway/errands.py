"""What calls need of the record and of storages, in threads that may wait for them: sippy's loop must not."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import structlog
from django.db import connection

from campaigns.flow_interpreter import Connect, Place
from core import clocks
from dialer import recordings
from dialer.models import CallAttempt
from dialer.transfers import NO_CHANNEL, Begun
from sipgateway import legs
from sipgateway.plans import Plan
from sipgateway.recorders import Recorder

log = structlog.get_logger(__name__)

# Threads that ask whether another number may be rung, and that store recordings: a bucket may take seconds for each.
LEG_THREADS, RECORDING_THREADS = 4, 4
# Seconds before each time that a recording is stored, until that succeeds.
WAITS = (0.0, 1.0, 4.0)


class Errands:
    """The threads."""

    def __init__(self, gateway_id: UUID) -> None:
        self._gateway_id = gateway_id
        self._legs = ThreadPoolExecutor(LEG_THREADS, "sip-legs")
        self._recordings = ThreadPoolExecutor(RECORDING_THREADS, "sip-recordings")

    def begin_leg(self, plan: Plan, connect: Connect, then: Callable[[Plan | Begun], None]) -> None:
        """Begin a second leg of a call, and pass on its plan, or what the flow goes on with, in another thread."""

        def pass_on(begun: "Future[Plan | Begun]") -> None:
            then(begun.result())

        self._legs.submit(_begin_leg, plan, connect, self._gateway_id).add_done_callback(pass_on)

    def keep_recording(self, attempt_id: UUID, place: Place, recorder: Recorder) -> None:
        """Store what the callee of an attempt has said."""
        self._recordings.submit(_keep_recording, attempt_id, place, recorder)

    def finish(self) -> None:
        """Do what was begun, and nothing more."""
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


def _keep_recording(attempt_id: UUID, place: Place, recorder: Recorder) -> None:
    """Store a recording. One that the storage does not take is lost, and the log says so."""
    with recorder.wav() as sound:
        for wait in WAITS:
            time.sleep(wait)
            sound.seek(0)
            try:
                attempt = CallAttempt.objects.select_related("account").get(pk=attempt_id)
                recordings.save(attempt, str(place), sound, recorder.seconds, clocks.now())
            except Exception:
                log.exception("recording_not_stored", attempt=attempt_id.hex, seconds=recorder.seconds)
                connection.close()
            else:
                return
