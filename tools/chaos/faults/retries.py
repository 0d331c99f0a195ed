"""Faults 6, continued: a carrier that takes or reaches nobody for a while, and one whose times are wrong.

They must cost nobody an attempt beyond what is promised, nor the time between two rings.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from django.conf import settings

from campaigns.models import Call, Outcome
from dialer.models import CallAttempt
from tools.chaos.faults.table import Table
from tools.chaos.run import CALLER_ID_CHANNELS, RETRIES, Run

Status = CallAttempt.Status

ANSWERED = [{"outcome": "completed", "talk": 7}]
# Seconds. The caller ID is tried after rests of 1, 2, 4, 8 and 16 s: each refusal meets one of the tries.
REFUSALS = {"http-403": 10, "http-404": 13, "http-400": 22}
FAILING_SECONDS = 40
# Rings of seconds: an interval that counts from their start, and not from their end, is too short by as much. Few
# numbers, so that each is rung again as soon as it may be.
SELDOM_ANSWERED = [
    {"outcome": "no-answer", "ring": 30, "weight": 3},
    {"outcome": "busy", "ring": 20, "weight": 2},
    {"outcome": "completed", "talk": 7, "weight": 2},
]
FEW = {"main": 20, "held": 4, "ending": 4}
INTERVAL_MINUTES = 8
WRONG_SECONDS = 15
# Two numbers in three are not reached at their first ring.
LEAST_RETRIED = 6

table = Table()


@table.row("6o", "every call refused with 403, 404 and 400")
def refused(run: Run) -> Iterator[None]:
    """Nobody's attempt may be spent, and everybody is rung once when calls are taken again."""
    first, *others = REFUSALS
    run.order({"name": first}, default=ANSWERED)
    run.at_end.append(lambda: _check_refused(run))
    yield
    run.strike(lambda: time.sleep(REFUSALS[first]))
    for name in others:
        run.order({"name": name})
        time.sleep(REFUSALS[name])
    run.order()


def _check_refused(run: Run) -> None:
    attempts = CallAttempt.objects.filter(account=run.account)
    met = {f"http-{status}" for status in attempts.exclude(http_status=None).values_list("http_status", flat=True)}
    if missed := REFUSALS.keys() - met:
        run.notes.append(f"nothing was tried: no call met {', '.join(sorted(missed))}")
    if spent := attempts.exclude(status__in=[Status.CANCELED, Outcome.COMPLETED]).count():
        run.notes.append(f"{spent} attempts were spent on calls that the carrier refused")
    _check_completed(run, {})
    rings = Counter(ring["number"] for ring in run.system.rings(caller_id=run.caller_id.number)["rings"])
    for name in ("main", "held"):
        if wrong := [number for number in run.campaigns[name].numbers if rings[number] != 1]:
            times = rings[wrong[0]]
            run.notes.append(f"{name}: {len(wrong)} numbers were not rung once, such as {wrong[0]} {times} times")


@table.row("6p", "every call taken, and failed at once")
def fail_at_once(run: Run) -> Iterator[None]:
    """Spent are the attempts of the run, those placed at the same moment, and one for each try (decision 0025)."""
    run.order(default=[{"outcome": "failed"}])
    run.at_end.append(lambda: _check_spent(run))
    yield
    run.strike(lambda: time.sleep(FAILING_SECONDS))
    run.order(default=ANSWERED)


def _check_spent(run: Run) -> None:
    failed = CallAttempt.objects.filter(account=run.account, status=Status.FAILED)
    spent = Counter(failed.values_list("call__number", flat=True))
    least = settings.INSTANT_FAILURES_BEFORE_REST
    # The rests are doubled from one second on.
    tries = int(math.log2(FAILING_SECONDS + 1))
    most = least + CALLER_ID_CHANNELS + tries
    if spent.total() < least:
        run.notes.append(f"nothing was tried: {spent.total()} calls failed at once")
    if spent.total() > most:
        run.notes.append(f"{spent.total()} attempts were spent on calls that failed at once, where {most} may be")
    _check_completed(run, spent)


def _check_completed(run: Run, spent: Mapping[str, int]) -> None:
    """Everybody must have been reached who had an attempt left: `spent` are those that the fault has cost."""
    campaigns = [run.campaigns[name].id for name in ("main", "held")]
    unreached = Call.objects.filter(campaign__in=campaigns).exclude(status=Call.Status.COMPLETED)
    if wrong := [call for call in unreached if spent.get(call.number, 0) <= RETRIES]:
        one = f"{wrong[0].number}, which is {wrong[0].status}"
        run.notes.append(f"{len(wrong)} numbers with an attempt left were not reached, such as {one}")


@table.row("6q", "callbacks whose times are an hour ahead or behind")
def times_off(run: Run) -> Iterator[None]:
    """A time ahead that is believed delays a retry by an hour, which is more than the run's patience."""
    run.numbers |= FEW
    run.parameters["main"] = {
        "retries": {"number_of_retries": RETRIES, "interval_mins": INTERVAL_MINUTES, "mechanism": "Linear"}
    }
    faults = [{"name": "callbacks-ahead", "rate": 0.4}, {"name": "callbacks-behind", "rate": 0.7}]
    run.order(*faults, default=SELDOM_ANSWERED)
    run.at_end.append(lambda: _check_intervals(run))
    yield
    run.strike(lambda: time.sleep(WRONG_SECONDS))
    run.order()


def _check_intervals(run: Run) -> None:
    """Two rings of a number must be the interval apart, from the real end of the first."""
    rings: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for ring in run.system.rings(caller_id=run.caller_id.number)["rings"]:
        rings[ring["number"]].append(ring)
    own = [sorted(rings[number], key=lambda ring: ring["start"]) for number in run.campaigns["main"].numbers]
    retried = [pair for of_number in own for pair in pairwise(of_number)]
    if len(retried) < LEAST_RETRIED:
        run.notes.append(f"nothing was tried: {len(retried)} numbers were rung again")
    least = INTERVAL_MINUTES * settings.RETRY_MINUTE_SECONDS
    for earlier, later in retried:
        if later["start"] - earlier["end"] < least:
            apart = later["start"] - earlier["end"]
            run.notes.append(f"{later['number']} was rung again after {apart:.1f} s, where {least:g} s had to pass")
