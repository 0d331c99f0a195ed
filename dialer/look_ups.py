"""Look-ups: which attempts a carrier is asked for, how many at once, and what its reply is worth.

A carrier that does not know our ids is asked for a call to a number since the dial. That is a guess. It is believed
only where no other attempt at the number over the same carrier account is in doubt, or where the carrier shows the call
to come from the caller ID of this attempt alone. Otherwise the attempt stays as it is, and is asked for again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Case, Q, QuerySet, When

from accounts import carriers as carrier_kinds
from accounts.carriers import FoundBy, UnknownCarrier
from accounts.models import CarrierAccount
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, carrier_refs, dialing, look_up_pace
from dialer.carrier_accounts import Place
from dialer.carriers.base import AnothersCall, CantTell, Carrier, Event, LookUp, NoSuchCall, Placed
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

Status = CallAttempt.Status

# Beyond the carrier's own time-out, for storing its reply.
SPARE = timedelta(seconds=5)
# A call that is up for longer than allowed is hung up; when that does not help for so long, the attempt is given up.
HANG_UP_GRACE = timedelta(minutes=5)
# The most that one sweep asks an account at a carrier for, so that a sweep takes seconds.
MOST_LOOK_UPS = 200
# How long before a dial a call that is listed as one of its time may have begun: drivers look ten minutes back, by the
# carrier's clock, which may be ten minutes off.
LISTED_BEFORE = timedelta(minutes=20)
NOT_ASKED = CantTell("the carrier can't be asked for a call without its id")

# Which attempts are looked up, and the question ---------------------------------------------------------------------


def believed_after() -> timedelta:
    """Return the time from the intent after which "no such call" is believed.

    By then the request can't be on its way any more, and a call that the carrier took is in its list.
    """
    replied = dialing.ASKED_WITHIN + timedelta(seconds=settings.CARRIER_TIMEOUT_SECONDS)
    return replied + timedelta(seconds=settings.CARRIER_LIST_LAG_SECONDS)


def longest_call() -> timedelta:
    """Return the time from the dial to the end of the longest possible call, and some spare."""
    return timedelta(seconds=settings.RING_TIMEOUT_SECONDS + settings.MAX_CALL_SECONDS) + 6 * SPARE


@dataclass
class ToLookUp:
    """Attempts of one place: those that its carrier is asked for, and those that there is no time left to ask for."""

    asked: list[CallAttempt] = field(default_factory=list)
    too_late: list[CallAttempt] = field(default_factory=list)


def to_look_up(now: datetime) -> dict[Place, ToLookUp]:
    """Return the attempts to look up, as many of each account at a carrier as its allowance has room for."""
    no_reply = now - timedelta(seconds=settings.CARRIER_TIMEOUT_SECONDS) - SPARE
    unheard = now - timedelta(seconds=settings.CARRIER_POLL_AFTER_SECONDS)
    waiting = CallAttempt.objects.filter(
        Q(status=Status.UNKNOWN)
        | Q(status=Status.PLACING, placing_at__lt=no_reply)
        | Q(status=Status.IN_PROGRESS, heard_at__lt=unheard)
    )
    by_place: dict[Place, ToLookUp] = defaultdict(ToLookUp)
    for account_id in waiting.order_by().values_list("carrier_account_id", flat=True).distinct():
        of_account = waiting.filter(carrier_account=account_id)
        asked = _most_urgent(of_account, min(look_up_pace.room(account_id, now), MOST_LOOK_UPS), now)
        for attempt in asked:
            by_place[_place_of(attempt)].asked.append(attempt)
        for attempt in _too_late(of_account, asked, now):
            by_place[_place_of(attempt)].too_late.append(attempt)
    return by_place


def _place_of(attempt: CallAttempt) -> Place:
    assert attempt.carrier_account is not None  # the database says so of every attempt that was placed
    return Place(attempt.trunk, attempt.carrier_account)


_LOADED = ("call", "trunk", "carrier_account", "campaign__caller_id")


def _most_urgent(waiting: "QuerySet[CallAttempt]", room: int, now: datetime) -> list[CallAttempt]:
    """Return at most `room` of the attempts: those in doubt, whose look-up settles them, then those longest unheard.

    Calls that are known to be up have a share: their channels wait for an end whose news was lost.
    """
    if room <= 0:
        return []
    is_young = Case(When(placing_at__gt=now - believed_after(), then=1), default=0)
    waiting = waiting.select_related(*_LOADED)
    in_doubt = list(waiting.exclude(status=Status.IN_PROGRESS).order_by(is_young, "heard_at", "id")[:room])
    up = list(waiting.filter(status=Status.IN_PROGRESS).order_by("heard_at", "id")[:room])
    share = min(len(up), _share_of_calls_up(room, now))
    chosen = in_doubt[: room - share]
    return chosen + up[: room - len(chosen)]


def _share_of_calls_up(room: int, now: datetime) -> int:
    """Return how many of the look-ups are for calls that are up: of single ones those of every fifth ten seconds."""
    if room == 1:
        return int(now.timestamp() // 10 % 5 == 0)
    return max(int(room * look_up_pace.SHARE_OF_CALLS_UP), 1)


def _too_late(waiting: "QuerySet[CallAttempt]", asked: Sequence[CallAttempt], now: datetime) -> list[CallAttempt]:
    """Return attempts that are older than any call, and that the carrier can't be asked for now: they end unasked."""
    over = waiting.filter(placing_at__lt=now - longest_call() - HANG_UP_GRACE)
    late = over.exclude(pk__in=[attempt.pk for attempt in asked]).select_related(*_LOADED)
    return list(late.order_by("placing_at", "id")[:MOST_LOOK_UPS])


def can_be_asked_for(account: CarrierAccount, attempt: Placed) -> bool:
    """Tell whether the carrier can be asked for a call, whose id there may be lost. Else only events tell of it."""
    known_by = FoundBy.ITS_ID if attempt.carrier_ref else FoundBy.NUMBER
    return not _found_by(account).isdisjoint({FoundBy.OUR_ID, known_by})


def _found_by(account: CarrierAccount) -> frozenset[FoundBy]:
    try:
        return carrier_kinds.get(account.carrier).found_by
    except UnknownCarrier:
        return frozenset(FoundBy)  # to ask says why it can't be asked


def carrier_of(place: Place) -> Carrier:
    return carrier_accounts.carrier_of(place.account, place.trunk)


def ask_at_our_pace(place: Place, placed: Sequence[Placed], now: datetime) -> Mapping[UUID, LookUp]:
    """Ask, and leave the carrier alone for a while where it replies that it takes no more requests."""
    not_asked: dict[UUID, LookUp] = {
        attempt.attempt_id: NOT_ASKED for attempt in placed if not can_be_asked_for(place.account, attempt)
    }
    placed = [attempt for attempt in placed if attempt.attempt_id not in not_asked]
    if not placed:
        return not_asked
    look_up_pace.take(place.account.pk, len(placed), now)
    found = _ask(place, placed)
    too_many = [look_up for look_up in found.values() if isinstance(look_up, CantTell) and look_up.is_too_many]
    if too_many:
        asked_for = [look_up.retry_after for look_up in too_many if look_up.retry_after is not None]
        look_up_pace.rest(place.account.pk, max(asked_for, default=None), now)
        log.warning("look_ups_paused", trunk=place.trunk.name, look_ups=len(too_many), reason=too_many[0].reason)
    return {**not_asked, **found}


def _ask(place: Place, placed: Sequence[Placed]) -> Mapping[UUID, LookUp]:
    """Ask what became of the attempts. A carrier that can't be asked can't tell, so that they end all the same."""
    try:
        return carrier_of(place).look_up(placed)
    except (UnreadableSecret, UnknownCarrier) as error:
        log.warning("carrier_not_asked", trunk=place.trunk.name, error=str(error))
        return {attempt.attempt_id: CantTell(str(error)) for attempt in placed}
    except Exception as error:
        # A mistake in a driver. Attempts that are too old to wait any longer end all the same.
        log.exception("look_up_failed", trunk=place.trunk.name)
        return {attempt.attempt_id: CantTell(f"a fault of this server: {type(error).__name__}") for attempt in placed}


# What the reply is worth ---------------------------------------------------------------------------------------------


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


def as_far_as_believed(
    attempt: CallAttempt, look_up: LookUp, asked_beside: Sequence[Neighbour], neighbours: Sequence[Neighbour]
) -> LookUp:
    """Return the carrier's reply, or that it can't tell where the reply may be about another attempt's call.

    Args:
        asked_beside: the neighbours when the carrier was asked.
        neighbours: the neighbours now.
    """
    if isinstance(look_up, AnothersCall):
        carrier_refs.refuse(attempt.pk, attempt.carrier_ref)
        return CantTell("the carrier has another number's call under the id of this one")
    # Where no neighbour has an id, no call was passed over as a neighbour's: then there is none at the number at all.
    # Two attempts in doubt that never rang would wait for each other otherwise, for as long as a call may last.
    passed_over = any(other.is_under_way and other.ref for other in [*asked_beside, *neighbours])
    if isinstance(look_up, NoSuchCall) and not attempt.carrier_ref and passed_over:
        return CantTell("another attempt at this number is under way: the call found for it may be this one's")
    if not isinstance(look_up, Event):
        return look_up
    if look_up.is_guess and any(other.may_be_of(look_up, attempt) for other in neighbours):
        return CantTell("another attempt at this number is in doubt: the call that was found may be that one's")
    if look_up.is_guess and carrier_refs.is_taken(attempt.pk, look_up.carrier_ref, _listed_since(attempt)):
        return CantTell("the call that was found has the id of another attempt's call")
    # News of a call that was found by its number is as uncertain as that was.
    return replace(look_up, is_guess=look_up.is_guess or attempt.ref_is_guess)


def neighbours(account: CarrierAccount, attempts: Sequence[CallAttempt]) -> dict[UUID, list[Neighbour]]:
    """Return the neighbours of those whose id at the carrier was lost. One that goes by our ids confuses none."""
    found: dict[UUID, list[Neighbour]] = defaultdict(list)
    lost = [attempt for attempt in attempts if not attempt.carrier_ref]
    if not lost or FoundBy.OUR_ID in _found_by(account):
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
