"""Make the leases in Redis agree with the attempts in flight in PostgreSQL, which is the record.

They differ after a crash between a lease and its attempt, or between an attempt's end and the release of its lease.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from redis import Redis

from dialer import channels
from dialer.channels import Lease
from dialer.models import CallAttempt, Transfer


@dataclass(frozen=True)
class Discrepancies:
    """How many leases are held without an attempt in flight, and how many attempts in flight hold no lease."""

    leaked: int
    missing: int


def rebuild() -> Discrepancies:
    """Make the leases those of the attempts in flight, and allow leasing again, after Redis has lost its memory.

    Nothing is leased or claimed meanwhile. Returns what was corrected.

    Raises:
        OperationalError: the lock was not free within two seconds.
    """
    redis = channels.client()
    with channels.held_exclusively():
        held, wanted = _leases_held(redis), _leases_in_flight()
        _renew(redis, held & wanted)
        corrected = _correct(redis, held, wanted)
        redis.set(channels.COMPLETE, 1)
        # Last: from the moment that the script is known, leases are taken.
        redis.script_load(channels.SCRIPT)
    return corrected


def reconcile() -> Discrepancies:
    """Drop leases without an attempt in flight, lease again for attempts without one, and renew old leases.

    Most of what differs at first was leased or has ended between two looks, and agrees at the second. The lock is taken
    only for what still differs, which is then compared once more: so no dispatch waits while all is well, however many
    calls are up. Returns what was corrected.

    Raises:
        OperationalError: as `rebuild` does.
    """
    redis = channels.client()
    if not (redis.exists(channels.COMPLETE) and redis.script_exists(channels.script_sha())[0]):
        return rebuild()
    held, wanted = _leases_held(redis), _leases_in_flight()
    _renew(redis, held & wanted)
    if differing := held ^ wanted:
        differing = _still_held(redis, differing) ^ _leases_in_flight(differing)
    if not differing:
        return Discrepancies(0, 0)
    with channels.held_exclusively():
        return _correct(redis, _still_held(redis, differing), _leases_in_flight(differing))


def discrepancies(older_than_seconds: float) -> Discrepancies:
    """Count what `reconcile` would correct, without the lock and without correcting it.

    Args:
        older_than_seconds: leases and attempts younger than that are left out: an attempt may not be committed yet.
    """
    redis = channels.client()
    held = _leases_held(redis)
    wanted = _leases_in_flight()
    leaked, missing = held - wanted, wanted - held
    if leaked:
        leaked &= _leases_held(redis)  # the attempts of the others have ended between the two looks
    latest_ms = channels.now_ms(redis) - 1000 * older_than_seconds
    old = [{holder for _, holder in leases if _taken_ms(holder) <= latest_ms} for leases in (leaked, missing)]
    return Discrepancies(*map(len, old))


def _correct(redis: Redis, held: set[Lease], wanted: set[Lease]) -> Discrepancies:
    """held was read first, wanted second: an attempt that ended in between has given its lease back for good."""
    leaked, missing = held - wanted, wanted - held
    expires = channels.now_ms(redis) + channels.ttl_ms()
    pipe = redis.pipeline(transaction=True)
    for key, holders in channels.by_key(leaked).items():
        pipe.zrem(key, *holders)
    for key, holders in channels.by_key(missing).items():
        pipe.zadd(key, dict.fromkeys(holders, expires))
    pipe.execute()
    return Discrepancies(len({holder for _, holder in leaked}), len({holder for _, holder in missing}))


def _renew(redis: Redis, leases: set[Lease]) -> None:
    """Renew those that have half their time left or less. One that is released meanwhile stays released (XX)."""
    now = channels.now_ms(redis)
    keys = list({key for key, _ in leases})
    pipe = redis.pipeline(transaction=False)
    for key in keys:
        pipe.zrangebyscore(key, "-inf", now + channels.ttl_ms() // 2)
    old = {(key, holder) for key, holders in zip(keys, pipe.execute(), strict=True) for holder in holders}
    for key, holders in channels.by_key(old & leases).items():
        pipe.zadd(key, dict.fromkeys(holders, now + channels.ttl_ms()), xx=True)
    pipe.execute()


def _leases_held(redis: Redis) -> set[Lease]:
    keys = list(redis.scan_iter(match=f"{channels.PREFIX}*", count=1000))
    pipe = redis.pipeline(transaction=False)
    for key in keys:
        pipe.zrange(key, 0, -1)
    return {(key, holder) for key, holders in zip(keys, pipe.execute(), strict=True) for holder in holders}


def _still_held(redis: Redis, leases: Collection[Lease]) -> set[Lease]:
    pipe = redis.pipeline(transaction=False)
    for key, holder in leases:
        pipe.zscore(key, holder)
    return {lease for lease, score in zip(leases, pipe.execute(), strict=True) if score is not None}


def _leases_in_flight(among: Collection[Lease] | None = None) -> set[Lease]:
    """Return the leases that attempts ought to hold: those of all attempts in flight, or of these leases alone."""
    attempts = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED)
    if among is not None:
        attempts = attempts.filter(pk__in={UUID(holder) for _, holder in among})
    rows = attempts.values_list("id", "campaign__account_id", "trunk_id", "campaign__caller_id_id")
    leases = {
        (key, attempt_id.hex)
        for attempt_id, account_id, trunk_id, caller_id_id in rows
        for key in channels.keys_of(account_id=account_id, trunk_id=trunk_id, caller_id_id=caller_id_id)
    }
    leases |= _leases_of_transfers()
    return leases if among is None else leases.intersection(among)


def _leases_of_transfers() -> set[Lease]:
    """Return the leases of calls to other numbers that are up. There are few."""
    legs = Transfer.objects.filter(ended_at=None).values_list("id", "attempt__account_id", "attempt__trunk_id")
    return {
        (key, leg_id.hex)
        for leg_id, account_id, trunk_id in legs
        for key in channels.keys_of_transfer(account_id=account_id, trunk_id=trunk_id)
    }


def _taken_ms(holder: str) -> int:
    """Return when the lease was taken: an attempt's id is a UUIDv7, which begins with its milliseconds."""
    return int(holder[:12], 16)
