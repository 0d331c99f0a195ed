"""Calls of ours that carriers know and the database does not: the one trace of some restores.

A disk of PostgreSQL that was put back to a snapshot looks like a restart, where Redis was emptied, or put back too. So
after a standstill, and where Redis was emptied, the carriers are asked for the calls since, before anything is dialed.
And a carrier that sends an event of an attempt which was never placed, as far as the database knows, has placed it.

Others may call over the same carrier account. So a call of a list counts only where it would be made again: from a
caller ID of ours, to a number that waits for a call from there. An event's address was signed for its attempt here.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Q

from accounts import audit
from accounts.carriers import UnknownCarrier
from accounts.installation import ONLY, Installation, load
from accounts.models import CallerId, CarrierAccount
from campaigns.models import Call, Campaign
from core import clocks
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, carrier_refs, holds
from dialer.carrier_accounts import Place
from dialer.carriers.base import CantList, Listed, NoReply
from dialer.holds import Because
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# Seconds before each time that a carrier is asked which did not reply the last time, and for how long all are asked.
# Then those that did reply have to do: a carrier that is away takes no calls either.
PAUSES: tuple[float, ...] = (0.0, 2.0, 5.0)
ASKED_FOR = 30.0
# How long the process that asks has the turn, from each carrier on. Where it takes longer, another one asks as well.
TURN = timedelta(seconds=30)
# Pages of a list that are read. Ours are among the newest calls, as nothing was dialed meanwhile.
MOST_PAGES = 20
# By how much a carrier's clock may be behind, for a call to count as younger than the database.
TOLERATED = timedelta(seconds=10)
# A call whose reply was lost has no id here. It is taken to be any call to its number from about its time.
ABOUT = timedelta(hours=1)
# Beyond the longest call, for an event that comes late. No attempt is deleted that early.
LATE = timedelta(minutes=15)
# How old a backup may be of which nothing else tells.
A_DAY = timedelta(days=1)


# Lists of calls ------------------------------------------------------------------------------------------------------


def are_ruled_out(now: datetime) -> bool:
    """Ask the carriers, if that is due. Returns whether that is done; False while another process does it.

    Where they know such calls, the server is held.
    """
    row = load()
    if not row.must_ask or row.stopped_at is None:
        return True
    turn = Q(asking_until=None) | Q(asking_until__lte=now) | Q(asking_until__gt=now + 2 * TURN)
    of_this = Installation.objects.filter(pk=ONLY, must_ask=True, stopped_at=row.stopped_at)
    if not of_this.filter(turn).update(asking_until=now + TURN):
        return False
    if row.held_because in {"", Because.OPERATOR}:  # after a restore `reconcile` asks, and for more
        _ask(row.stopped_at, now)
    of_this.update(must_ask=False, asking_until=None)
    return True


def _ask(since: datetime, now: datetime) -> None:
    silent = asked = list(carrier_accounts.places(since))
    deadline = time.monotonic() + ASKED_FOR
    for pause in PAUSES:
        if not silent:
            break
        time.sleep(pause)
        again = []
        for place in silent:
            calls = _would_be_made_again(place, since) if time.monotonic() < deadline else None
            if calls is None:
                again.append(place)
            elif calls:
                _hold(place.account, calls, since, now)
                return
        silent = again
    for place in silent:
        log.warning("calls_not_ruled_out", carrier=place.account.carrier, trunk=place.trunk.name)
    log.info("carriers_asked", since=since.isoformat(), accounts=len(asked), silent=len(silent))


def _hold(account: CarrierAccount, calls: int, since: datetime, now: datetime) -> None:
    why = (
        f"{account.carrier} has made {calls} calls or more since {since:%Y-%m-%d %H:%M:%S} UTC that the database lacks,"
        " to people who wait for them: it was restored from a backup, unless another system calls them"
    )
    holds.hold(Because.RESTORED, why, actor=audit.SYSTEM, now=now, missing_since=since - holds.BEFORE)


def _would_be_made_again(place: Place, since: datetime) -> int | None:
    """Return how many calls of its list the database lacks and would make again, of the first page that has some.

    Returns None where the carrier does not reply. One that keeps no list, or lets us read none, knows no such call.
    """
    Installation.objects.filter(pk=ONLY).update(asking_until=clocks.now() + TURN)
    others = 0
    try:
        for page in islice(carrier_accounts.list_calls(place, since), MOST_PAGES):
            unknown = _unknown(place.account, [call for call in page if call.created_at >= since - TOLERATED])
            if again := _waited_for(unknown):
                return again
            others += len(unknown)
    except NoReply:
        return None
    except (CantList, UnreadableSecret, UnknownCarrier) as error:
        log.info("calls_not_listed", carrier=place.account.carrier, trunk=place.trunk.name, error=str(error))
    if others:
        log.warning("calls_of_others_listed", carrier=place.account.carrier, trunk=place.trunk.name, calls=others)
    return 0


def _unknown(account: CarrierAccount, calls: Sequence[Listed]) -> list[Listed]:
    """Return those from our caller IDs that no attempt of this account is, as far as is known."""
    shown = {call.caller_id for call in calls}
    ours = {"", *CallerId.objects.filter(number__in=shown).values_list("number", flat=True)}
    calls = [call for call in calls if call.caller_id in ours]
    if not calls:
        return []
    # Before the ids: one that is stored in between would be missed.
    lost_replies = CallAttempt.objects.filter(
        carrier_account=account,
        call__number__in=[call.number for call in calls],
        carrier_ref="",
        placing_at__gte=min(call.created_at for call in calls) - ABOUT,
    )
    doubts = list(lost_replies.values_list("callee", "placing_at"))
    known = carrier_refs.known(account, [call.event.carrier_ref for call in calls])
    unknown = (call for call in calls if call.event.carrier_ref not in known)
    return [call for call in unknown if not any(_may_be(call, *doubt) for doubt in doubts)]


def _may_be(call: Listed, callee: str, placing_at: datetime | None) -> bool:
    return placing_at is not None and call.number == callee and abs(call.created_at - placing_at) <= ABOUT


def _waited_for(calls: Iterable[Listed]) -> int:
    """Return how many of them go to numbers that wait for a call from their caller ID."""
    calls = list(calls)
    numbers = [call.number for call in calls]
    if not numbers:
        return 0
    waiting = Call.objects.filter(
        number__in=numbers,
        status__in=(Call.Status.CREATED, Call.Status.RETRYING),
        campaign__status__in=Campaign.OPEN,
    )
    claimed = CallAttempt.objects.filter(callee__in=numbers, status=CallAttempt.Status.CLAIMED)
    pairs = {*waiting.values_list("number", "campaign__caller_id__number")}
    pairs |= {*claimed.values_list("callee", "campaign__caller_id__number")}
    anywhere = {number for number, _ in pairs}
    return sum(
        (call.number, call.caller_id) in pairs or (not call.caller_id and call.number in anywhere) for call in calls
    )


# Events --------------------------------------------------------------------------------------------------------------


def told(attempt_ids: Collection[UUID], now: datetime) -> None:
    """Hold the server where events have come of these attempts, which it has never placed.

    Only of young ones: older ones may have been deleted, and their events be repeated. What was lost before the last
    release is settled.
    """
    times = {pk: made_at for pk in attempt_ids if (made_at := _made_at(pk)) and now - _oldest() < made_at < now + LATE}
    if not times:
        return
    row = load()
    if row.held_because not in {"", Because.OPERATOR}:
        return
    lost = sorted(pk for pk, made_at in times.items() if row.settled_until is None or made_at > row.settled_until)
    if not lost:
        return
    since = _backup_made_at(lost[0], row)
    why = (
        f"carriers tell of {len(lost)} calls or more that the database has never asked them for: it was restored from"
        " a backup"
    )
    holds.hold(Because.RESTORED, why, actor=audit.SYSTEM, now=now, missing_since=since - holds.BEFORE)


def _backup_made_at(lost: UUID, row: Installation) -> datetime:
    """Return the last moment known to be before the backup, which lacks all since: its last attempt, or look."""
    last = CallAttempt.objects.filter(pk__lt=lost).order_by("-pk").values_list("pk", flat=True).first()
    made_at = _made_at(lost)
    assert made_at is not None
    before = [moment for moment in (last and _made_at(last), row.stopped_at) if moment and moment < made_at]
    return max(before, default=made_at - A_DAY)


def _oldest() -> timedelta:
    return timedelta(seconds=settings.RING_TIMEOUT_SECONDS + settings.MAX_CALL_SECONDS) + LATE


def _made_at(attempt_id: UUID) -> datetime | None:
    """Return when the id was made, which a UUIDv7 begins with; None for another one."""
    return datetime.fromtimestamp((attempt_id.int >> 80) / 1000, UTC) if attempt_id.version == 7 else None
