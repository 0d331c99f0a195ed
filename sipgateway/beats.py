"""How gateways say every second that they are at work, and what the silence of one proves.

While the database is away all of them fall silent, and the first that is back must not take the others for dead. So a
silence counts for as long as gateways could write into the record meanwhile. What they wrote stays when they die: of
gateways that die one after another, each goes on where the one before it was.

All of that is by PostgreSQL's clock, which can be set, or be another one after a failover, and gateways notice that one
after another. So the times alone prove nothing: a gateway that hangs up calls has also seen itself, by its machine's
monotonic clock, that no beat comes.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from sipgateway.models import Gateway, SipCall

# A gateway that has not said for so long that it is at work has died. Longer than ask_before leaves for an INVITE, so
# that a gateway that was only held up sends none after that.
DEAD_AFTER = timedelta(seconds=15)
# A gateway that said nothing for so long was away itself (the database, a machine that was suspended, a clock that was
# set), and can't tell who else was. Less than DEAD_AFTER, so that it then waits for the others.
AWAY_AFTER = timedelta(seconds=5)
# Seconds for which a gateway must have seen the same beat of another one to take that one for dead: three beats, as one
# may be written late. A gateway that lives for less ends no calls of dead ones.
SAME_FOR = 3.0

Stretch = tuple[datetime, datetime]


class Watch:
    """What a gateway itself has seen of the others' beats, while it was at work without a gap.

    Begin another one after a gap: where the database was away for all, no beat could come.

    Attributes:
        since: since when it is at work, as `beat` returned it.
    """

    def __init__(self, since: datetime | None = None) -> None:
        self.since = since
        self._seen: dict[UUID, tuple[datetime, float]] = {}

    def unchanged(self, beats: Mapping[UUID, datetime]) -> set[UUID]:
        """Look once. Returns the gateways whose beat has been this one for long enough."""
        moment = time.monotonic()
        before, self._seen = self._seen, {}
        for pk, beat_at in beats.items():
            last = before.get(pk)
            self._seen[pk] = last if last and last[0] == beat_at else (beat_at, moment)
        return {pk for pk, (_, first_seen) in self._seen.items() if moment - first_seen >= SAME_FOR}


def beat(gateway: Gateway, since: datetime | None, now: datetime) -> datetime:
    """Say that the gateway is at work. Returns since when it has said so without a gap.

    Args:
        since: what this returned the last time; None where the record could not be used in between.
    """
    if since is None or abs(now - gateway.beat_at) > AWAY_AFTER:
        since = now
    gateway.beat_at = now
    values = {"at_work_since": since, "beat_at": now, "stopped_at": None}
    born = {"address": gateway.address, "started_at": gateway.started_at}
    Gateway.objects.update_or_create(pk=gateway.pk, defaults=values, create_defaults=values | born)
    return since


def stop(gateway: Gateway, now: datetime) -> None:
    """Say that the gateway has stopped: calls that it has left are nobody's."""
    Gateway.objects.filter(pk=gateway.pk).update(stopped_at=now)


def is_any_at_work(now: datetime) -> bool:
    """Tell whether there is a gateway to take calls."""
    return Gateway.objects.filter(stopped_at=None, beat_at__gt=now - DEAD_AFTER).exists()


def not_dead(now: datetime, watch: Watch | None = None) -> list[UUID]:
    """Return the gateways that are at work, and those with live calls that may be, as far as anybody can tell yet.

    Args:
        watch: of the gateway that asks; None for a caller that only wants to know, and does nothing to the calls.
    """
    live = SipCall.objects.filter(status__in=SipCall.LIVE)
    heard_lately = Q(beat_at__gt=now - DEAD_AFTER)
    gateways = Gateway.objects.filter(heard_lately | Q(pk__in=live.values("gateway_id")), stopped_at=None)
    beats = dict(gateways.values_list("pk", "beat_at"))
    unchanged = watch.unchanged(beats) if watch else set(beats)
    silent = {pk: beats[pk] for pk in unchanged if beats[pk] <= now - DEAD_AFTER}
    if not silent:
        return list(beats)
    others = Gateway.objects.filter(beat_at__gt=min(silent.values()))
    stretches = sorted(others.values_list("at_work_since", "beat_at"))
    dead = {pk for pk, beat_at in silent.items() if _length(stretches, after=beat_at, until=now) >= DEAD_AFTER}
    return [pk for pk in beats if pk not in dead]


def _length(stretches: Iterable[Stretch], after: datetime, until: datetime) -> timedelta:
    """Return how much of the time between two moments is in any of the stretches, which are ordered by their begin.

    A clock that was ahead for a while has left stretches in the future: nobody was at work there.
    """
    length = timedelta()
    for begin, end in stretches:
        begin, end = max(begin, after), min(end, until)
        if end > begin:
            length += end - begin
            after = end
    return length
