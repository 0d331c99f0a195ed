"""End the calls of some campaigns that are up at this moment, because a person says so.

Each carrier is asked, and does what it can: events tell what became of the calls, and a call that it can't end goes on
to its own end. A call is left alone whose id at the carrier is a guess, or names another call too: somebody else's
conversation would end.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

import structlog

from accounts.carriers import UnknownCarrier
from accounts.models import CarrierAccount, Trunk
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, carrier_refs, inbox
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# Calls that one use ends, the oldest first: a carrier is asked for all of its calls at once.
MOST = 500


def hang_up(campaign_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """Ask for the end of these campaigns' calls. Waits for the carriers, so not inside a transaction.

    Returns:
        How many of each campaign were asked for.
    """
    up = CallAttempt.objects.filter(campaign__in=campaign_ids, status=CallAttempt.Status.IN_PROGRESS)
    certain = up.filter(ref_is_guess=False, ref_is_repeated=False).exclude(carrier_ref="")
    attempts = list(certain.select_related("trunk", "carrier_account").order_by("pk")[:MOST])
    others = carrier_refs.held_by_others({attempt.pk: attempt.carrier_ref for attempt in attempts})
    by_place: dict[tuple[Trunk, CarrierAccount], list[CallAttempt]] = defaultdict(list)
    for attempt in attempts:
        assert attempt.carrier_account is not None  # the database says so of every attempt that was placed
        if attempt.pk not in others:
            by_place[attempt.trunk, attempt.carrier_account].append(attempt)
    asked: Counter[UUID] = Counter()
    for (trunk, account), own in by_place.items():
        if _ask(trunk, account, own):
            asked.update(attempt.campaign_id for attempt in own)
    return asked


def _ask(trunk: Trunk, account: CarrierAccount, attempts: list[CallAttempt]) -> bool:
    try:
        events = carrier_accounts.carrier_of(account, trunk).hang_up([attempt.carrier_ref for attempt in attempts])
    except (UnreadableSecret, UnknownCarrier) as error:
        log.warning("carrier_not_asked", trunk=trunk.name, error=str(error))
        return False
    log.info("calls_hung_up", trunk=trunk.name, calls=len(attempts))
    inbox.append(account.carrier, events)
    return True
