"""What a carrier's reply to a look-up is worth: whose call it is, where that has to be found out by the number.

A carrier that does not know our ids is asked for a call to a number since the dial. That is a guess. It is believed
only where no other attempt at the number over the same carrier account is in doubt, or where the carrier shows the call
to come from the caller ID of this attempt alone. Otherwise the attempt stays as it is, and is asked for again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from accounts.models import CarrierAccount
from dialer import carrier_refs
from dialer.carriers.base import AnothersCall, CantTell, Event, LookUp, NoSuchCall, Placed
from dialer.models import CallAttempt

Status = CallAttempt.Status

# How long before a dial a call that is listed as one of its time may have begun: drivers look ten minutes back, by the
# carrier's clock, which may be ten minutes off.
LISTED_BEFORE = timedelta(minutes=20)


@dataclass(frozen=True)
class Neighbour:
    """Another attempt at the number of one that is asked for by its number, over the same carrier account.

    ref, caller_id: the carrier's id, and the number that it calls from.
    placing_at: when the carrier was asked for it.
    is_in_doubt: its call was never identified, so that a call that is found at the number may be this one's.
    """

    ref: str
    caller_id: str
    placing_at: datetime
    is_under_way: bool
    is_in_doubt: bool

    def may_be_of(self, found: Event, attempt: CallAttempt) -> bool:
        """Tell whether the call found for the attempt may be this one's. Calls of two caller IDs are told apart."""
        own = attempt.campaign.caller_id.number
        return self.is_in_doubt and (found.caller_id != own or self.caller_id == own)


def as_far_as_believed(attempt: CallAttempt, look_up: LookUp, neighbours: Sequence[Neighbour]) -> LookUp:
    """Return the carrier's reply, or that it can't tell where the reply may be about another attempt's call."""
    if isinstance(look_up, AnothersCall):
        carrier_refs.refuse(attempt.pk, attempt.carrier_ref)
        return CantTell("the carrier has another number's call under the id of this one")
    if isinstance(look_up, NoSuchCall) and not attempt.carrier_ref and any(other.is_under_way for other in neighbours):
        return CantTell("another attempt at this number is under way: the call found for it may be this one's")
    if not isinstance(look_up, Event):
        return look_up
    if look_up.is_guess and any(other.may_be_of(look_up, attempt) for other in neighbours):
        return CantTell("another attempt at this number is in doubt: the call that was found may be that one's")
    if look_up.is_guess and carrier_refs.is_taken(attempt.pk, look_up.carrier_ref):
        return CantTell("the call that was found has the id of another attempt's call")
    # News of a call that was found by its number is as uncertain as that was.
    return replace(look_up, is_guess=look_up.is_guess or attempt.ref_is_guess)


def neighbours(account: CarrierAccount, attempts: Sequence[CallAttempt]) -> dict[UUID, list[Neighbour]]:
    """Return the neighbours of those attempts whose id at the carrier was lost."""
    found: dict[UUID, list[Neighbour]] = defaultdict(list)
    lost = [attempt for attempt in attempts if not attempt.carrier_ref]
    if not lost:
        return found
    by_number: dict[str, list[CallAttempt]] = defaultdict(list)
    for attempt in lost:
        by_number[attempt.call.number].append(attempt)
    others = CallAttempt.objects.filter(
        Q(status__in=CallAttempt.UNFINISHED) | Q(ended_at__gte=min(map(_listed_since, lost))),
        carrier_account=account,
        call__number__in=list(by_number),
        placing_at__isnull=False,
    )
    for other in others.select_related("call", "campaign__caller_id"):
        for attempt in by_number[other.call.number]:
            if other.pk != attempt.pk and (other.ended_at is None or other.ended_at >= _listed_since(attempt)):
                found[attempt.pk].append(_neighbour(other))
    return found


def _neighbour(other: CallAttempt) -> Neighbour:
    assert other.placing_at is not None
    is_under_way = other.status in CallAttempt.UNFINISHED
    # One that was given back, or refused, never rang.
    may_have_rung = is_under_way or (other.status != Status.CANCELED and other.http_status is None)
    return Neighbour(
        ref=other.carrier_ref,
        caller_id=other.campaign.caller_id.number,
        placing_at=other.placing_at,
        is_under_way=is_under_way,
        is_in_doubt=may_have_rung and not other.carrier_ref,
    )


def _listed_since(attempt: CallAttempt) -> datetime:
    """Return since when calls are in the list that the attempt is looked for in, whatever clock the carrier has."""
    assert attempt.placing_at is not None
    return attempt.placing_at - LISTED_BEFORE


def placed(attempt: CallAttempt, neighbours: Sequence[Neighbour]) -> Placed:
    """Return what the carrier is asked with. The id of an older call that is listed now has been given again."""
    assert attempt.placing_at is not None
    since = _listed_since(attempt)
    known = frozenset(other.ref for other in neighbours if other.ref and other.placing_at >= since)
    caller_id = attempt.campaign.caller_id.number
    return Placed(attempt.pk, attempt.call.number, caller_id, attempt.placing_at, attempt.carrier_ref, known)
