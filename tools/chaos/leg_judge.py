"""What must hold of legs: calls that flows make to other numbers. Judged by the sandbox's log of them and the database.

A leg is known by its call's attempt and its number: no flow of a run comes to a number twice.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from dialer.models import CallAttempt, Transfer
from tools.chaos.limits import most_at_once
from tools.chaos.run import CHANNELS, Posted, Run

Leg = dict[str, Any]
Recorded = Mapping[tuple[UUID, str], Transfer]


def is_leg(ring: Mapping[str, Any]) -> bool:
    return "parent_call_sid" in ring


def key_of(leg: Mapping[str, Any]) -> tuple[UUID, str]:
    return UUID(leg["attempt_id"]), leg["number"]


def recorded_of(run: Run) -> dict[tuple[UUID, str], Transfer]:
    """Return the legs of the database, by their keys."""
    legs = Transfer.objects.filter(account_id=run.account.pk)
    return {(leg.attempt_id, leg.number): leg for leg in legs}


def judge_legs(
    run: Run,
    rings: Sequence[dict[str, Any]],
    legs: Sequence[Leg],
    attempts: Mapping[UUID, CallAttempt],
    recorded: Recorded,
) -> Iterator[str]:
    """Judge a run whose flows connect callees to people."""
    if not run.judges_legs:
        return
    yield from tried(legs, recorded)
    yield from rung_twice(legs)
    yield from differing(legs, recorded)
    yield from out_of_bounds(legs, attempts, run.campaigns)
    most = most_at_once([*rings, *legs])
    if most > CHANNELS:
        yield f"{most} calls and legs were up at once, and the account has {CHANNELS} channels"


def tried(legs: Sequence[Leg], recorded: Recorded) -> Iterator[str]:
    """A run in which no leg rang, or none was refused for a rule, has tried nothing."""
    if not legs:
        yield "nothing was tried: no leg rang"
    if not any(leg.rule for leg in recorded.values()):
        yield "nothing was tried: no leg was refused"


def rung_twice(legs: Sequence[Leg]) -> Iterator[str]:
    """Legs that rang more than once."""
    for (attempt_id, number), count in Counter(map(key_of, legs)).items():
        if count > 1:
            yield f"{number} was rung {count} times by the flow of attempt {attempt_id.hex}"


def differing(legs: Sequence[Leg], recorded: Recorded) -> Iterator[str]:
    """Legs that rang, and are recorded as not rung or as ended otherwise; and those that have not ended.

    One that ended with its call is canceled: the carrier did not tell whether it was taken.
    """
    for leg in legs:
        (attempt_id, number), found = key_of(leg), recorded.get(key_of(leg))
        name = f"the leg of attempt {attempt_id.hex} to {number}"
        if found is None or found.placing_at is None:
            yield f"{name} rang, and is not recorded"
        elif found.rule:
            yield f"{name} rang, and was refused for {found.rule}"
        elif found.outcome not in {leg["outcome"], "canceled"}:
            yield f"{name} is {found.outcome}, and its ring was {leg['outcome']}"
    for (attempt_id, number), found in recorded.items():
        if not found.outcome:
            yield f"the leg of attempt {attempt_id.hex} to {number} has not ended"


def out_of_bounds(
    legs: Sequence[Leg], attempts: Mapping[UUID, CallAttempt], campaigns: Mapping[str, Posted]
) -> Iterator[str]:
    """Legs that rang while the campaign of their call was paused, or after its end."""
    posted = {campaign.id: campaign for campaign in campaigns.values()}
    for leg in legs:
        attempt = attempts.get(UUID(leg["attempt_id"]))
        campaign = posted.get(attempt.campaign_id) if attempt else None
        if campaign is None:
            continue
        for since, until in campaign.silences:
            if since < leg["start"] < until:
                yield f"{campaign.name}: {leg['number']} was rung by a flow {leg['start'] - since:.1f} s too late"
