"""End calls that are up: those of some campaigns because a person says so, and single ones that must not go on.

A carrier that ends no calls (`CarrierKind.hangs_up`) is not asked: its calls go on to their own end. Of another one
events tell what became of the calls. A call is left alone whose id at the carrier is a guess, or names another call
too: somebody else's conversation would end.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import structlog
from django.db.models import Count, QuerySet

from accounts import carriers as carrier_kinds
from accounts.carriers import UnknownCarrier
from core.encryption import UnreadableSecret
from dialer import carrier_accounts, carrier_refs, inbox
from dialer.carrier_accounts import Place
from dialer.carriers.base import Carrier
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# Calls that one use ends, the oldest first: a carrier is asked for all of its calls at once.
MOST = 500


def ask(carrier: Carrier, refs: Sequence[str]) -> bool:
    """Ask for the end of calls, and take what the carrier says of them. Returns False where it ends none."""
    if not carrier.kind.hangs_up:
        return False
    if refs:
        inbox.append(carrier.kind.name, carrier.hang_up(refs))
    return True


def hang_up(campaign_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """Ask for the end of these campaigns' calls. Waits for the carriers, so not inside a transaction.

    Returns:
        How many of each campaign were asked for.
    """
    up = CallAttempt.objects.filter(campaign__in=campaign_ids, status=CallAttempt.Status.IN_PROGRESS)
    certain = up.filter(ref_is_guess=False, ref_is_repeated=False).exclude(carrier_ref="")
    # Before the oldest are taken: calls that go on would stand in front of those that can be ended.
    certain = certain.exclude(carrier_account__carrier__in=_names_of_those_that_end_none())
    attempts = list(certain.select_related("trunk", "carrier_account").order_by("pk")[:MOST])
    others = carrier_refs.held_by_others({attempt.pk: attempt.carrier_ref for attempt in attempts})
    by_place: dict[Place, list[CallAttempt]] = defaultdict(list)
    for attempt in attempts:
        assert attempt.carrier_account is not None  # the database says so of every attempt that was placed
        if attempt.pk not in others:
            by_place[Place(attempt.trunk, attempt.carrier_account)].append(attempt)
    asked: Counter[UUID] = Counter()
    for place, own in by_place.items():
        if _ask(place, own):
            asked.update(attempt.campaign_id for attempt in own)
    return asked


def _names_of_those_that_end_none() -> list[str]:
    return [kind.name for kind in carrier_kinds.all_kinds() if not kind.hangs_up]


def _ask(place: Place, attempts: Sequence[CallAttempt]) -> bool:
    try:
        carrier = carrier_accounts.carrier_of(place.account, place.trunk)
    except (UnreadableSecret, UnknownCarrier) as error:
        log.warning("carrier_not_asked", trunk=place.trunk.name, error=str(error))
        return False
    is_asked = ask(carrier, [attempt.carrier_ref for attempt in attempts])
    if is_asked:
        log.info("calls_hung_up", trunk=place.trunk.name, calls=len(attempts))
    return is_asked


def that_go_on(attempts: "QuerySet[CallAttempt]") -> dict[str, int]:
    """Return how many of these calls no hang-up ends, by what their carriers are called."""
    up = attempts.exclude(carrier_account=None).order_by()
    by_carrier = dict(up.values_list("carrier_account__carrier").annotate(calls=Count("pk")))
    going_on = [kind for kind in carrier_kinds.all_kinds() if kind.name in by_carrier and not kind.hangs_up]
    return {kind.label: by_carrier[kind.name] for kind in going_on}
