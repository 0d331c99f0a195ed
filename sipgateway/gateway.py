"""The process `sipgateway`: takes calls from the record, makes them, and writes down what became of them.

- The main thread runs sippy's loop. Only it touches a call.
- The *desk* says that this gateway is at work, claims queued calls, ends those that a dead gateway has left, and wakes
  up for a NOTIFY.
- The *media* thread sends and hears sound.
- The *writer* stores notes, in batches: all that come during one commit share the next. While the database is away they
  wait in memory, and the calls go on.

A thread that fails ends the process, to be started again: calls that nobody writes down would be worse.
"""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from campaigns.flow_interpreter import Connect, Place
from campaigns.models import Outcome
from core import batches, clocks, failpoints
from dialer import trunk_health, wishes
from dialer.models import CallAttempt
from dialer.transfers import Begun
from sipgateway import codes, pings, plans, records
from sipgateway.conversations import Conversation
from sipgateway.errands import Errands
from sipgateway.lost_calls import LostCalls
from sipgateway.media import Media
from sipgateway.models import Gateway, SipCall
from sipgateway.names import Names
from sipgateway.other_ends import OtherEnd
from sipgateway.outbound_calls import OutboundCall
from sipgateway.plans import CantBeMade, Plan
from sipgateway.probes import Probes
from sipgateway.prompts import Prompts
from sipgateway.recorders import Recorder
from sipgateway.records import Note
from sipgateway.sip_stack import ED2, Stack, Timeout

log = structlog.get_logger(__name__)

# Seconds between two looks at the record without a NOTIFY, and with work under way.
LOOK_EVERY = 0.5
LOOK_SOON = 0.1
# Calls claimed at a look: together with LOOK_SOON the most set-ups a second, two hundred.
CLAIMED_AT_ONCE = 20
BEAT_EVERY = 1.0
SWEEP_EVERY = 5.0
TIDY_EVERY = 60.0
PING_EVERY = 30.0
TRY_AGAIN = 0.2
# Seconds for conversations to end at a stop. Supervisors kill after ten.
STOPS_WITHIN = 6.0
STOPPED = "the SIP gateway was stopped"
MOST_NOTES = 500
TURN_EVERY = 1.0
# Seconds for which sippy's loop may stand still before the process ends itself: it would claim calls and make none.
MAX_STANDSTILL = 10.0


class StandsStill(Exception):
    """A part of this process does nothing any more."""


class GatewayProcess:
    """All of a gateway, for one run."""

    def __init__(self, host: str, port: int) -> None:
        self.stack = Stack(host, port, settings.SIP_PUBLIC_HOST or host)
        now = clocks.now()
        address = f"{self.stack.public_host}:{self.stack.port}"
        self.gateway = Gateway(pk=uuid7(), address=address, started_at=now, beat_at=now)
        self._host = host
        self._media = Media()
        self._prompts = Prompts(Path(settings.DATA_DIR) / "prompts")
        self._calls: dict[UUID, OutboundCall] = {}
        self._made = 0
        self._notes: queue.SimpleQueue[Note | Callable[[], None] | None] = queue.SimpleQueue()
        self._is_stopping = threading.Event()
        self._at_work_since: float | None = None
        self._warmed: set[UUID] = set()
        self._turned_at = time.monotonic()
        self._names = Names()
        self._errands = Errands(self.gateway.pk)
        self._pings = pings.Pings(self.stack, self._names, self.in_writer)
        self._lost = LostCalls(self.stack)
        # Calls that wait for the name of their trunk.
        self._unresolved: dict[UUID, Plan] = {}

    def run(self) -> None:
        """Work until SIGINT or SIGTERM, then end the calls that are up."""
        for number in (signal.SIGINT, signal.SIGTERM):
            ED2.regSignal(number, self._stop)
        desk = threading.Thread(target=self._needed(self._desk), name="sip-desk")
        writer = threading.Thread(target=self._needed(self._write), name="sip-writer")
        media = threading.Thread(target=self._needed(self._media.run), name="sip-media")
        pinger = threading.Thread(target=self._ping, name="sip-pings", daemon=True)
        for thread in (desk, writer, media, pinger):
            thread.start()
        Timeout(self._turn, TURN_EVERY, -1)
        probes = (
            Probes(settings.SIP_HEALTH_ADDRESS, self._is_up, self._is_ready) if settings.SIP_HEALTH_ADDRESS else None
        )
        log.info("sip_gateway_listening", address=self.gateway.address)
        ED2.loop()
        desk.join()
        if probes:
            probes.close()
        self._notes.put(None)
        writer.join()
        self._media.stop()
        media.join()
        self._prompts.close()
        self._errands.finish()
        records.stop(self.gateway, clocks.now())
        self.stack.shutdown()
        log.info("sip_gateway_stopped", calls=self._made, late_ms_p99=round(1000 * self._media.lateness_p99(), 2))

    def _is_up(self) -> bool:
        return time.monotonic() - self._turned_at <= MAX_STANDSTILL

    def _is_ready(self) -> bool:
        return self._is_up() and self._at_work_since is not None and not self._is_stopping.is_set()

    # What calls need of it -----------------------------------------------------------------------------------------

    def note(self, note: Note) -> None:
        self._notes.put(note)

    def in_writer(self, act: Callable[[], None]) -> None:
        """Run a function that asks the database, soon, in the thread that may."""
        self._notes.put(act)

    def converse(self, call: OutboundCall) -> Conversation | OtherEnd:
        if call.leg_of is not None:
            assert isinstance(call.leg_of.conversation, Conversation)  # a leg has none of its own
            return OtherEnd(call.leg_of.conversation, self._host, self._media)
        return Conversation(call, call.plan.document, self._host, self._media, self._prompts, call.plan.account_id)

    def ring_other(self, call: OutboundCall, connect: Connect) -> None:
        self._errands.begin_leg(call.plan, connect, partial(ED2.callFromThread, self._ring, call))

    def keep_recording(self, attempt_id: UUID, place: Place, recorder: Recorder) -> None:
        self._errands.keep_recording(attempt_id, place, recorder)

    def wishes(self, attempt_id: UUID, wish: str) -> None:
        self.in_writer(lambda: _store_wish(attempt_id, wish))

    def trunk_is_silent(self, trunk_id: int, reason: str) -> None:
        self.in_writer(lambda: trunk_health.took_no_call(trunk_id, reason, clocks.now()))

    def is_over(self, call: OutboundCall) -> None:
        self._calls.pop(call.plan.attempt_id, None)
        if call.leg_of is not None:
            call.leg_of.leg_over(call)

    # The desk ------------------------------------------------------------------------------------------------------

    def _desk(self) -> None:
        due = dict.fromkeys(("beat", "sweep", "tidy", "warm"), 0.0)
        is_listening = False
        while not self._is_stopping.is_set():
            try:
                if not is_listening:
                    self._listen()
                    is_listening = True
                is_busy = self._look(due)
                self._wait(LOOK_SOON if is_busy else LOOK_EVERY, for_news=not is_busy)
            except batches.TRANSIENT_ERRORS as error:
                log.warning("sip_record_not_read", error=type(error).__name__)
                self._at_work_since = None
                is_listening = False
                connection.close()
                time.sleep(TRY_AGAIN)
        connection.close()

    def _look(self, due: dict[str, float]) -> bool:
        """Look once at all that there may be to do. Returns whether more may be waiting."""
        if time.monotonic() - self._turned_at > MAX_STANDSTILL:
            raise StandsStill(f"sippy's loop, for {MAX_STANDSTILL:.0f} s")
        now = clocks.now()
        if _is_due(due, "beat", BEAT_EVERY):
            records.beat(self.gateway, now)
            self._at_work_since = self._at_work_since or time.monotonic()
        for attempt_id in records.to_hang_up(self.gateway.pk):
            ED2.callFromThread(self._hang_up, attempt_id)
        if _is_due(due, "sweep", SWEEP_EVERY):
            self._sweep()
        if _is_due(due, "tidy", TIDY_EVERY):
            self._prompts.tidy()
        if _is_due(due, "warm", SWEEP_EVERY):
            self._warm(now)
        room = min(settings.SIP_CHANNELS - len(self._calls) - len(self._unresolved), CLAIMED_AT_ONCE)
        claimed = records.claim(self.gateway.pk, room, now) if room > 0 else []
        failpoints.reached("sip-claimed")
        for plan in plans.plans_of(claimed):
            ED2.callFromThread(self._start, plan)
        return len(claimed) == room

    def _sweep(self) -> None:
        """End what dead gateways have left. One that was away itself can't tell who else is."""
        if self._at_work_since is None or time.monotonic() - self._at_work_since < records.DEAD_AFTER.total_seconds():
            return
        now = clocks.now()
        for note in self._lost.ends(now):
            self.note(note)
        for attempt_id in records.forgotten(self.gateway.pk, list(self._calls), now):
            self.note(records.end_of_forgotten(attempt_id, now))
        records.delete_old(now)

    def _warm(self, now: datetime) -> None:
        """Make what campaigns say that begin soon or have begun, before a person hears silence."""
        begun = plans.begun(now)
        for account_id, document in plans.documents_of(begun - self._warmed):
            self._prompts.warm(document, account_id)
        self._warmed = begun

    @staticmethod
    def _listen() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {records.CHANNEL}")

    @staticmethod
    def _wait(seconds: float, *, for_news: bool) -> None:
        if not for_news:
            time.sleep(seconds)
            return
        connection.ensure_connection()
        for _ in connection.connection.notifies(timeout=seconds, stop_after=1):
            break

    # Pings ---------------------------------------------------------------------------------------------------------

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

    # The writer ----------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while True:
            taken = [self._notes.get()]
            while len(taken) < MOST_NOTES and not self._notes.empty():
                taken.append(self._notes.get())
            notes = [item for item in taken if isinstance(item, Note)]
            if notes:
                self._store(notes)
            for act in taken:
                if act is not None and not isinstance(act, Note):
                    _run(act)
            if None in taken:
                connection.close()
                return

    @staticmethod
    def _store(notes: list[Note]) -> None:
        """Store notes, for as long as it takes. One that the database refuses holds up none of the others."""
        while True:
            try:
                batches.together("store notes", lambda: records.store(notes), otherwise=lambda: _store_each(notes))
            except batches.TRANSIENT_ERRORS as error:
                log.warning("sip_notes_not_stored", notes=len(notes), error=type(error).__name__)
                connection.close()
                time.sleep(TRY_AGAIN)
            else:
                return

    # In sippy's loop -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._turned_at = time.monotonic()

    def _start(self, plan: Plan | CantBeMade) -> None:
        if isinstance(plan, CantBeMade):
            ours = plan.is_our_fault
            outcome, code = (Outcome.FAILED, None) if ours else (Outcome.CANCELED, codes.NOT_SENT)
            self._end_unmade(plan.attempt_id, outcome, code, plan.reason)
        elif self._is_stopping.is_set():
            # It was claimed as the stop came: the loop may end before the call does.
            self._end_unmade(plan.attempt_id, Outcome.CANCELED, None, STOPPED)
        else:
            self._unresolved[plan.attempt_id] = plan
            self._names.resolve(plan.address.host, partial(ED2.callFromThread, self._make, plan))

    def _make(self, plan: Plan, ip: str) -> None:
        if self._unresolved.pop(plan.attempt_id, None) is None:
            return  # given back at the stop
        if not ip:
            reason = f"the host name {plan.address.host} can't be resolved"
            self._end_unmade(plan.attempt_id, Outcome.CANCELED, codes.NOT_SENT, reason)
            return
        self._made += 1
        call = self._calls[plan.attempt_id] = OutboundCall(replace(plan, ip=ip), self)
        call.start()

    def _ring(self, call: OutboundCall, begun: Plan | Begun) -> None:
        """Ring another number for a call, or let its flow go on without."""
        if isinstance(begun, Begun):
            assert isinstance(call.conversation, Conversation)
            call.conversation.connection_over(was_taken=begun.was_taken, may_try_others=begun.may_try_others)
            return
        leg = OutboundCall(begun, self, leg_of=call)
        if self._is_stopping.is_set() or not call.adopt(leg):
            self._end_unmade(begun.attempt_id, Outcome.CANCELED, None, "the call that it was for is over")
            return
        self._calls[begun.attempt_id] = leg
        leg.start()

    def _end_unmade(self, attempt_id: UUID, outcome: Outcome, code: int | None, reason: str) -> None:
        ending = {"outcome": outcome.value, "code": code, "reason": reason[:255]}
        self.note(Note(attempt_id, ending | {"status": SipCall.Status.ENDED, "ended_at": clocks.last_known_now()}))

    def _hang_up(self, attempt_id: UUID) -> None:
        if call := self._calls.get(attempt_id):
            call.hang_up()

    def _stop(self, *_: Any) -> None:
        """Take no more calls, cancel those that ring, and let conversations end for some seconds."""
        if self._is_stopping.is_set():
            return
        self._is_stopping.set()
        for attempt_id in self._unresolved:
            self._end_unmade(attempt_id, Outcome.CANCELED, None, STOPPED)
        self._unresolved.clear()
        for call in list(self._calls.values()):
            if call.status != SipCall.Status.TALKING:
                call.hang_up(STOPPED)
        deadline = time.monotonic() + STOPS_WITHIN

        def end_soon() -> None:
            if time.monotonic() > deadline:
                for call in list(self._calls.values()):
                    call.let_go(STOPPED)
            if not self._calls:
                # Once the last requests have left.
                Timeout(ED2.breakLoop, 0.3)
            else:
                Timeout(end_soon, 0.1)

        end_soon()

    def _needed(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return work without which this process is of no use."""

        def do() -> None:
            try:
                work()
            except BaseException:
                log.critical("sip_gateway_failed", thread=threading.current_thread().name, exc_info=True)
                os._exit(70)

        return do


def _is_due(due: dict[str, float], what: str, every: float) -> bool:
    if time.monotonic() < due[what]:
        return False
    due[what] = time.monotonic() + every
    return True


def _store_each(notes: list[Note]) -> None:
    batches.one_by_one(
        "store notes",
        range(len(notes)),
        lambda place: records.store([notes[place]]),
        give_up=lambda place, _: log.error("sip_note_lost", attempt=notes[place].attempt_id.hex),
    )


def _store_wish(attempt_id: UUID, wish: str) -> None:
    attempt = CallAttempt.objects.select_related("call", "campaign__account").get(pk=attempt_id)
    wishes.store(attempt.campaign.account, attempt, wish)


def _run(act: Callable[[], None]) -> None:
    """Run what a failure of costs little: a trunk's health is told again."""
    try:
        act()
    except batches.TRANSIENT_ERRORS:
        connection.close()
    except Exception:
        log.exception("sip_gateway_act_failed")
