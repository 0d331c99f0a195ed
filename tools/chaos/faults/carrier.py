"""Faults 6: the carrier misbehaves, its events come late, or they are forged."""

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import requests

from core.signed_addresses import token
from dialer.models import CarrierEvent
from tools.chaos.faults.clock import HOUR
from tools.chaos.faults.table import Table
from tools.chaos.run import Run

table = Table()


def _carrier(number: str, title: str, *faults: dict[str, object], seconds: float = 4) -> None:
    """Add a fault: the carrier misbehaves while the campaigns are dialled, for so many seconds."""

    def fault(run: Run) -> Iterator[None]:
        run.order(*faults)
        yield
        run.strike(lambda: time.sleep(seconds))
        run.order()

    table.add(number, title, fault)


# A second of the script takes a tenth of a second: a hang of five seconds outlasts the two that the dialer waits.
_carrier("6a", "carrier's reply lost after the ring", {"name": "hang-after-ring", "rate": 0.3, "seconds": 50})
_carrier("6b", "carrier silent, no ring", {"name": "hang-before-ring", "rate": 0.3, "seconds": 50})
_carrier("6c", "carrier replies 429", {"name": "http-429", "rate": 0.5})
_carrier(
    "6d",
    "carrier replies 500 and 503, some after the ring",
    {"name": "http-503", "rate": 0.2},
    {"name": "http-500", "rate": 0.2},
    {"name": "error-after-ring", "rate": 0.3},
)
_carrier("6e", "carrier's replies malformed", {"name": "malformed-answer", "rate": 0.5})
_carrier("6f", "carrier down for a minute", {"name": "down"}, seconds=60)
_carrier("6g", "callbacks dropped", {"name": "drop-callbacks", "rate": 0.5}, seconds=8)
_carrier("6h", "callbacks tripled", {"name": "repeat-callbacks"}, seconds=8)
_carrier(
    "6i", "callbacks shuffled", {"name": "shuffle-callbacks"}, {"name": "repeat-callbacks", "rate": 0.3}, seconds=8
)


@table.row("6j", "callbacks an hour late")
def late_callbacks(run: Run) -> Iterator[None]:
    """Callbacks are late by the server's clock, which is set ahead while they are on their way."""
    run.order({"name": "delay-callbacks", "rate": 0.5, "seconds": 200})
    yield
    run.wait_a_moment(2, 3)
    run.strike(lambda: run.system.set_clock(HOUR))
    run.order()


@table.row("6k", "callbacks forged, and for unknown attempts")
def forged_callbacks(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: _forge(run))


def _forge(run: Run) -> None:
    """Send events with wrong tokens, which must be refused, and for an unknown attempt, which must change nothing."""
    for attempt_id in run.under_way():
        for forged in ("", "0" * 64, token("events", f"exotel/{uuid4().hex}")):
            response = _post_event(run, attempt_id, forged)
            if response.status_code != 403:
                run.notes.append(f"the response to a forged event was {response.status_code}")
        if CarrierEvent.objects.filter(attempt_id=attempt_id, payload__CallSid="forged").exists():
            run.notes.append("a forged event was stored")
    unknown = uuid4()
    if _post_event(run, unknown, token("events", f"exotel/{unknown.hex}")).status_code != 204:
        run.notes.append("an event for an unknown attempt was refused")


def _post_event(run: Run, attempt_id: UUID, event_token: str) -> requests.Response:
    address = f"{run.system.url}/carrier-events/exotel/{attempt_id.hex}?token={event_token}"
    return requests.post(address, data={"CallSid": "forged", "Status": "completed"}, timeout=30)
