"""The writer of a gateway: stores notes, and does whatever else asks the database and may wait a moment.

All notes that come during one commit share the next. While the database is away they wait in memory, and the calls go
on.
"""

import queue
import time
from collections.abc import Callable

import structlog
from django.db import connection

from core import batches
from sipgateway import records
from sipgateway.records import Note

log = structlog.get_logger(__name__)

MOST_NOTES = 500
TRY_AGAIN = 0.2


class NoteWriter:
    """Takes notes from any thread, and stores them in one of its own, in their order."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Note | Callable[[], None] | None] = queue.SimpleQueue()

    def note(self, note: Note) -> None:
        """Store news of a call, soon."""
        self._waiting.put(note)

    def act(self, act: Callable[[], None]) -> None:
        """Run a function that asks the database, soon."""
        self._waiting.put(act)

    def stop(self) -> None:
        """Let `run` return, once all is stored that was given before."""
        self._waiting.put(None)

    def run(self) -> None:
        """Store until `stop`."""
        while True:
            taken = [self._waiting.get()]
            while len(taken) < MOST_NOTES and not self._waiting.empty():
                taken.append(self._waiting.get())
            notes = [item for item in taken if isinstance(item, Note)]
            if notes:
                _store(notes)
            for act in taken:
                if act is not None and not isinstance(act, Note):
                    _run(act)
            if None in taken:
                connection.close()
                return


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


def _store_each(notes: list[Note]) -> None:
    batches.one_by_one(
        "store notes",
        range(len(notes)),
        lambda place: records.store([notes[place]]),
        give_up=lambda place, _: log.error("sip_note_lost", attempt=notes[place].attempt_id.hex),
    )


def _run(act: Callable[[], None]) -> None:
    """Run what a failure of costs little: a trunk's health is told again."""
    try:
        act()
    except batches.TRANSIENT_ERRORS:
        connection.close()
    except Exception:
        log.exception("sip_gateway_act_failed")
