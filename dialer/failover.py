"""Let the calls of a caller ID leave over the first of its trunks that takes calls.

A caller ID may have several trunks, in an order (`accounts.models.Route`). `CallerId.trunk` is the one in use, and all
that dials goes by it. It changes here alone: when that trunk rests, when the caller ID rests over it (refusals that
concern our account there, calls that fail at once), and when an earlier one may be tried again. Then a single call
tries it, as after any rest. An attempt stays with the trunk that it was claimed for, so a call goes to the next trunk
only after its attempt was given back: nobody was rung.

What is known of a caller ID is about one trunk. It is set aside with the trunk (`RouteHealth`), and taken up again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from accounts.models import CallerId, Route, Trunk
from dialer import messages, rests
from dialer.models import CallerIdHealth, Health, LineHealth, RouteHealth

log = structlog.get_logger(__name__)

# The columns of what is known of a line.
COLUMNS = tuple(field.name for field in LineHealth._meta.get_fields())
UNKNOWN: dict[str, Any] = rests.AWAKE | {
    "refused_numbers": [],
    "refused_since": None,
    "failing_numbers": [],
    "failing_since": None,
}


def choose(now: datetime, trunk: Trunk | None = None) -> int:
    """Change the trunks of caller IDs whose present one rests, or that may go back. Returns how many changed.

    Args:
        trunk: look at those alone that use this one.
    """
    to_look_at = _to_look_at(now)
    if trunk is not None:
        to_look_at = to_look_at.filter(trunk=trunk)
    changed = 0
    for caller_id in to_look_at.select_related("trunk__health", "health").order_by("pk"):
        routes = list(caller_id.routes.select_related("trunk__health", "health"))
        best = _best(caller_id, routes, now)
        if best and best.trunk_id != caller_id.trunk_id:
            changed += _change(caller_id, best)
    return changed


def _to_look_at(now: datetime) -> "QuerySet[CallerId]":
    places = Route.objects.filter(caller_id=OuterRef("pk")).order_by("place").values("place")
    with_places = CallerId.objects.annotate(
        first_place=Subquery(places[:1]), used_place=Subquery(places.filter(trunk=OuterRef("trunk"))[:1])
    ).filter(first_place__isnull=False)
    rests_now = Q(trunk__health__resting_until__gt=now) | Q(health__resting_until__gt=now)
    return with_places.filter(rests_now | Q(used_place=None) | Q(first_place__lt=F("used_place")))


def _best(caller_id: CallerId, routes: Sequence[Route], now: datetime) -> Route | None:
    """Return the first route that takes calls, as far as is known; None where none does."""
    for route in routes:
        own: CallerId | Route = caller_id if route.trunk_id == caller_id.trunk_id else route
        if not any(_rests(health, now) for health in (_health(own), _health(route.trunk))):
            return route
    return None


def _health(one: CallerId | Route | Trunk) -> Health | None:
    health: Health | None = getattr(one, "health", None)
    return health


def _rests(health: Health | None, now: datetime) -> bool:
    return health is not None and health.resting_until is not None and health.resting_until > now


def _change(seen: CallerId, route: Route) -> bool:
    """Let calls leave over this trunk, unless the caller ID's was changed since it was looked at."""
    with transaction.atomic():
        caller_id = CallerId.objects.select_for_update().get(pk=seen.pk)
        if caller_id.trunk_id != seen.trunk_id:
            return False
        CallerIdHealth.objects.get_or_create(pk=caller_id.pk)
        health = CallerIdHealth.objects.select_for_update().get(pk=caller_id.pk)
        known = {name: getattr(health, name) for name in COLUMNS}
        for left in Route.objects.filter(caller_id=caller_id, trunk=seen.trunk_id):
            RouteHealth.objects.update_or_create(route=left, defaults=known)
        earlier = RouteHealth.objects.filter(route=route).values(*COLUMNS).first() or UNKNOWN
        CallerIdHealth.objects.filter(pk=caller_id.pk).update(**earlier)
        CallerId.objects.filter(pk=caller_id.pk).update(trunk=route.trunk_id)
        transaction.on_commit(lambda: messages.enqueue_dispatch([caller_id.account_id]))
    log.warning("caller_id_changed_trunk", caller_id=seen.number, was=seen.trunk.name, now=route.trunk.name)
    return True
