"""Ask the carriers what was dialed since a backup, and record what the restored database lacks.

A carrier's list shows numbers, caller IDs and outcomes, but not our ids: those were lost with the attempts. Each call
whose carrier's id is unknown here is recorded as the next attempt at its number, in the order of the calls, of a
campaign that dials from its caller ID. So nobody is rung again for it, and its retries follow from its end.

Run again, it finds the calls that it has recorded by their ids. It is complete when nothing is in doubt any more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from uuid_utils.compat import uuid7

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.carriers import UnknownCarrier
from accounts.installation import ONLY, Installation, load
from accounts.models import CallerId, CarrierAccount
from campaigns import call_states, campaign_lock
from campaigns.models import Call, Campaign
from core.encryption import UnreadableSecret
from core.errors import WrongState
from core.state_machine import Move
from dialer import attempt_states, carrier_accounts, carrier_refs, look_ups, outcomes
from dialer.attempt_states import Claim
from dialer.carrier_accounts import Place
from dialer.carriers.base import CantList, Listed
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

# Calls that one transaction records.
BATCH = 500
FOUND = "found at the carrier after a restore"


@dataclass
class Reconciled:
    """What the carriers told.

    Attributes:
        listed: calls that they list since the backup.
        known: of those, calls that the database had, or that an earlier run has recorded.
        recorded: calls that are recorded now; up: of those, calls that have not ended.
        elsewhere: calls to numbers for which no call waits here: their campaigns were made after the backup, or have
            ended. Nobody is called again for these.
        in_doubt: attempts or numbers whose calls are not settled yet: run it again.
        not_asked: by carrier account, why its calls could not be listed.
    """

    since: datetime
    listed: int = 0
    known: int = 0
    recorded: int = 0
    up: int = 0
    elsewhere: int = 0
    in_doubt: int = 0
    seconds_to_wait: float = 0
    not_asked: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is left to find where the carriers could be asked."""
        return not self.in_doubt and not self.seconds_to_wait


@dataclass(frozen=True)
class _Missing:
    """A call that the database lacks, and the account at the carrier that shows it."""

    call: Listed
    account: CarrierAccount


def reconcile(now: datetime, *, actor: Actor, since: datetime | None = None) -> Reconciled:
    """Ask every carrier for its calls, and record those that are missing. The server must be held.

    Args:
        since: when the backup was made; None: as the hold says.

    Raises:
        WrongState: the server is not held, or nothing says since when calls are missing.
    """
    row = load()
    if row.held_since is None:
        raise WrongState("The server is not held, so calls are dialed meanwhile: run `manage.py hold` first")
    since = since or row.missing_since
    if since is None:
        raise WrongState("Nothing says since when calls are missing: give the moment of the backup with --since")
    done = Reconciled(since)
    missing: list[_Missing] = []
    for place in carrier_accounts.places(since):
        account = place.account
        try:
            missing += _missing(place, since, done)
        except (CantList, UnreadableSecret, UnknownCarrier) as error:
            done.not_asked[f"{account.carrier} {account}".strip()] = str(error)
    for batch in _rounds(missing):
        _record(batch, done, now)
    settled = row.held_since + look_ups.believed_after()
    done.seconds_to_wait = max(0.0, (settled - now).total_seconds())
    _store(row, done, actor, now)
    return done


def _missing(place: Place, since: datetime, done: Reconciled) -> Iterator[_Missing]:
    for page in carrier_accounts.list_calls(place, since):
        refs = [call.event.carrier_ref for call in page]
        has = carrier_refs.known(place.account, refs)
        done.listed += len(page)
        done.known += sum(ref in has for ref in refs)
        yield from (_Missing(call, place.account) for call in page if call.event.carrier_ref not in has)


def _rounds(missing: Sequence[_Missing]) -> Iterator[list[_Missing]]:
    """Yield batches with a call of each number at the most, the earliest first: a retry follows its first try."""
    by_number: dict[str, list[_Missing]] = defaultdict(list)
    for one in sorted(missing, key=lambda one: one.call.created_at):
        by_number[one.call.number].append(one)
    for turn in range(max(map(len, by_number.values()), default=0)):
        batch = [of_one[turn] for of_one in by_number.values() if len(of_one) > turn]
        for begin in range(0, len(batch), BATCH):
            yield batch[begin : begin + BATCH]


def _record(batch: Sequence[_Missing], done: Reconciled, now: datetime) -> None:
    """Record each call as the next attempt at its number, and settle those that have ended."""
    with transaction.atomic():
        numbers = [one.call.number for one in batch]
        campaign_lock.hold_shared("SELECT campaign_id FROM campaigns_call WHERE number = ANY(%s)", numbers)
        made = _adopt(batch, now)
        left = [one for one in batch if one not in made.values()]
        chosen = _choose(left)
        made |= _claim(left, chosen, now)
        outcomes.store_accepted({pk: one.call.event.carrier_ref for pk, one in made.items()}, now)
        # In this transaction, so that a call that ended long ago is never seen as one that is up.
        ended = [(pk, one.call.event) for pk, one in made.items() if one.call.event.status != Status.IN_PROGRESS]
        outcomes.settle(ended, now)
    done.recorded += len(made)
    done.up += len(made) - len(ended)
    numbers = [one.call.number for one in left if one.call.number not in chosen]
    under_way = CallAttempt.objects.filter(callee__in=numbers, status__in=CallAttempt.UNFINISHED)
    busy = set(under_way.values_list("callee", flat=True))
    done.in_doubt += len(batch) - len(made) - len(numbers) + len(busy)
    done.elsewhere += len(numbers) - len(busy)


def _adopt(batch: Sequence[_Missing], now: datetime) -> dict[UUID, _Missing]:
    """Let attempts that the backup has as claimed be those calls: they were dialed after it."""
    by_number = {one.call.number: one for one in batch}
    claimed = CallAttempt.objects.filter(callee__in=list(by_number), status=Status.CLAIMED)
    made = {
        pk: by_number[number]
        for pk, number, caller_id in claimed.values_list("pk", "callee", "campaign__caller_id__number")
        if by_number[number].call.caller_id in {"", caller_id}
    }
    moves = [Move(pk, Status.PLACING, FOUND, _placed(one, now)) for pk, one in made.items()]
    moved = attempt_states.move(moves, at=now)
    return {pk: one for pk, one in made.items() if pk in moved}


def _choose(batch: Sequence[_Missing]) -> dict[str, Call]:
    """Return the call that each one is recorded for, by its number, locked.

    Of several campaigns that call the number: one that dials from the caller ID that the carrier shows, then one that
    runs, then the one that has waited longest. A caller ID that the carrier does not show in full names no account.
    """
    shown = {one.call.number: one.call.caller_id for one in batch}
    own = set(CallerId.objects.filter(number__in=set(shown.values())).values_list("number", flat=True))
    calls = Call.objects.filter(
        number__in=list(shown),
        status__in=(Call.Status.CREATED, Call.Status.RETRYING),
        campaign__status__in=Campaign.OPEN,
    )
    found: dict[str, tuple[tuple[object, ...], Call]] = {}
    for call in calls.select_related("campaign__caller_id").select_for_update(of=("self",)).order_by("pk"):
        is_from = call.campaign.caller_id.number == shown[call.number]
        if shown[call.number] in own and not is_from:
            continue
        runs = call.campaign.status == Campaign.Status.IN_PROGRESS
        rank = (not is_from, not runs, call.campaign.send_at, call.pk)
        if call.number not in found or rank < found[call.number][0]:
            found[call.number] = rank, call
    return {number: call for number, (_, call) in found.items()}


def _claim(batch: Iterable[_Missing], chosen: Mapping[str, Call], now: datetime) -> dict[UUID, _Missing]:
    """Insert an attempt for each call that was chosen, as one that was placed when the carrier began it."""
    given = {uuid7(): one for one in batch if one.call.number in chosen}
    claims = []
    for pk, one in given.items():
        call = chosen[one.call.number]
        claims.append(
            Claim(
                attempt_id=pk,
                call_id=call.pk,
                campaign_id=call.campaign_id,
                account_id=call.campaign.account_id,
                callee=call.number,
                trunk_id=call.campaign.caller_id.trunk_id,
                number=call.attempts_made + 1,
            )
        )
    stored = attempt_states.claim(claims, at=now)
    made = {pk: one for pk, one in given.items() if pk in stored}
    columns = {"next_attempt_at": None, "rule": ""}
    calls = [Move(chosen[one.call.number].pk, Call.Status.IN_PROGRESS, FOUND, columns) for one in made.values()]
    call_states.move(calls, at=now)
    attempt_states.move([Move(pk, Status.PLACING, FOUND, _placed(one, now)) for pk, one in made.items()], at=now)
    return made


def _placed(one: _Missing, now: datetime) -> dict[str, Any]:
    began = min(one.call.created_at, now)
    return {"placing_at": began, "heard_at": now, "carrier_account": one.account.pk}


def _store(row: Installation, done: Reconciled, actor: Actor, now: datetime) -> None:
    """Store what `release` asks for, and who has reconciled."""
    told = f"{done.listed} listed since {done.since:%Y-%m-%d %H:%M:%S}, {done.recorded} recorded"
    with transaction.atomic():
        if done.is_complete:
            Installation.objects.filter(pk=ONLY).update(reconciled_at=now, not_asked=sorted(done.not_asked))
        if done.recorded or done.is_complete:
            audit.record(actor, Verb.RECONCILED, Subject(Installation, "the server"), what=told, at=now)
    log.warning("reconciled", listed=done.listed, recorded=done.recorded, in_doubt=done.in_doubt)
