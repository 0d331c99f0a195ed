"""Channels: leases with a name on them, held in Redis, over account, trunk and caller ID together.

Redis is the gate, not the record. A lease is taken before its attempt is claimed and released after the attempt has
ended; `recovery` compares the two every few seconds. When Redis has lost its memory (it was flushed, restarted, or a
replica took over), the leases are rebuilt from the attempts in flight before anyone is let in:

- `channels:complete` goes with the data, so its absence tells of a flush;
- the script cache is not data, so an unknown script tells of a restart or a fail-over, where the data may be old.

Who takes leases holds a shared lock in PostgreSQL until the attempts are committed, and who mends or rebuilds holds it
alone: so a lease whose attempt is not committed yet is never taken for a leak.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from campaigns.models import Campaign
from core.redis_client import redis_client
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

SCRIPT = Path(__file__).with_name("channels.lua").read_text()
COMPLETE = "channels:complete"
PREFIX = "channels:held:"
# A number of our own, so that no other use of advisory locks in this database meets it.
LOCK = 0x7472756E6B
# A leak is dropped within seconds by recovery; this is for the day that recovery does not run.
SPARE_SECONDS = 300
# A cap that never binds, for scopes without one.
NO_CAP = 1_000_000_000

# The key of its scope, and its holder: an attempt's id in hex.
Lease = tuple[str, str]


@dataclass(frozen=True)
class Scope:
    """What a lease counts against: the account, trunk or caller ID, and its cap."""

    kind: str
    id: object
    cap: int

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.kind}:{self.id}"


@dataclass(frozen=True)
class Bucket:
    """Call starts per minute of an account or campaign.

    `burst` starts may come at once: a tenth of a second's worth, so that high rates need not be dispatched one by one.
    The interval is a little longer for it, so that no minute ever holds more than per_minute starts.
    """

    kind: str
    id: object
    per_minute: int

    @property
    def key(self) -> str:
        return f"channels:starts:{self.kind}:{self.id}"

    @property
    def burst(self) -> int:
        return max(1, self.per_minute // 600)

    @property
    def interval_us(self) -> int:
        return -(-60_000_000 // (self.per_minute - self.burst + 1))


@dataclass(frozen=True)
class Wish:
    """One attempt's wish for a channel in every one of its scopes and a start from every one of its buckets."""

    holder: UUID
    scopes: tuple[Scope, ...]
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True)
class Granted:
    """holders got their leases; wait_seconds until a bucket that refused has its next start, None if none refused."""

    holders: frozenset[UUID]
    wait_seconds: float | None


def scopes_of(campaign: Campaign) -> tuple[Scope, ...]:
    """campaign comes with its account, caller_id and caller_id.trunk loaded."""
    caller_id, account = campaign.caller_id, campaign.account
    return (
        Scope("account", account.pk, account.channels),
        Scope("trunk", caller_id.trunk_id, caller_id.trunk.channels or NO_CAP),
        Scope("caller-id", caller_id.pk, caller_id.channels or NO_CAP),
    )


def buckets_of(campaign: Campaign) -> tuple[Bucket, ...]:
    buckets = [Bucket("account", campaign.account_id, campaign.account.starts_per_minute)]
    if campaign.mode == Campaign.Mode.CUSTOM and campaign.throttle:
        buckets.append(Bucket("campaign", campaign.pk.hex, campaign.throttle))
    return tuple(buckets)


def hold_shared() -> None:
    """Call before leasing, in the transaction that claims: keeps recovery from judging leases halfway."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])


def lease(wishes: Sequence[Wish]) -> Granted:
    """Takes what there is room for, wish by wish in their order. Raises redis.RedisError when Redis is away."""
    if not wishes:
        return Granted(frozenset(), None)
    request = _request(wishes)
    try:
        answer = _client().evalsha(_sha(), 1, COMPLETE, request)
    except NoScriptError:
        raise LeasesLost("the script is unknown") from None
    if answer[1] == -1:
        raise LeasesLost("the leases are gone")
    wait_us, flags = answer[0], answer[1:]
    holders = frozenset(wish.holder for wish, flag in zip(wishes, flags, strict=True) if flag)
    return Granted(holders, wait_us / 1e6 if wait_us else None)


class LeasesLost(Exception):
    """Redis has lost its memory: `restore` before anyone leases again."""


def release(leases: Iterable[tuple[UUID, Sequence[str]]]) -> None:
    """Gives up the leases of these holders (with the keys of their scopes), and of no others.

    With Redis away they stay until recovery finds them without an attempt in flight.
    """
    by_key = _by_key((key, holder.hex) for holder, keys in leases for key in keys)
    if not by_key:
        return
    pipe = _client().pipeline(transaction=False)
    for key, holders in by_key.items():
        pipe.zrem(key, *holders)
    try:
        pipe.execute()
    except RedisError as error:
        log.warning("leases_not_released", keys=len(by_key), error=str(error))


@dataclass(frozen=True)
class Repaired:
    """leaked: leases without an attempt in flight, dropped. missing: attempts in flight that were leased again."""

    leaked: int
    missing: int


def restore() -> Repaired:
    """Makes the leases exactly those of the attempts in flight, and lets everyone in again: Redis had lost its memory.

    Nothing is leased or claimed meanwhile. Raises OperationalError when the lock is not to be had within two seconds.
    """
    client = _client()
    with _alone():
        held, wanted = _leases_held(client), _leases_in_flight()
        _renew(client, held & wanted)
        repaired = _set_right(client, held, wanted)
        client.set(COMPLETE, 1)
        # Last: from the moment that the script is known, leases are taken.
        client.script_load(SCRIPT)
    return repaired


def mend() -> Repaired:
    """Drops leases without an attempt in flight, leases again for attempts without one, and renews old leases.

    What seems astray at first is mostly what was leased or has ended between two looks, and is not at the second. Only
    for what still is the lock is taken, and it is looked at once more, alone: so nobody waits while all is well,
    however many calls are up. Raises OperationalError as `restore` does.
    """
    client = _client()
    if not (client.exists(COMPLETE) and client.script_exists(_sha())[0]):
        return restore()
    held, wanted = _leases_held(client), _leases_in_flight()
    _renew(client, held & wanted)
    if astray := held ^ wanted:
        astray = _still_held(client, astray) ^ _leases_in_flight(astray)
    if not astray:
        return Repaired(0, 0)
    with _alone():
        return _set_right(client, _still_held(client, astray), _leases_in_flight(astray))


@contextmanager
def _alone() -> Iterator[None]:
    """Nothing is leased or claimed within."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Not for long: whoever wants to lease queues behind this wait. The next sweep tries again.
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield


def _set_right(client: Redis, held: set[Lease], wanted: set[Lease]) -> Repaired:
    """held was read first, wanted second: an attempt that ended in between has given its lease back for good."""
    leaked, missing = held - wanted, wanted - held
    expires = _now_ms(client) + _ttl_ms()
    pipe = client.pipeline(transaction=True)
    for key, holders in _by_key(leaked).items():
        pipe.zrem(key, *holders)
    for key, holders in _by_key(missing).items():
        pipe.zadd(key, dict.fromkeys(holders, expires))
    pipe.execute()
    return Repaired(len({holder for _, holder in leaked}), len({holder for _, holder in missing}))


def _renew(client: Redis, leases: set[Lease]) -> None:
    """Those that have half their time left or less. One that is released meanwhile stays released (XX)."""
    now = _now_ms(client)
    keys = list({key for key, _ in leases})
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.zrangebyscore(key, "-inf", now + _ttl_ms() // 2)
    old = {(key, holder) for key, holders in zip(keys, pipe.execute(), strict=True) for holder in holders}
    for key, holders in _by_key(old & leases).items():
        pipe.zadd(key, dict.fromkeys(holders, now + _ttl_ms()), xx=True)
    pipe.execute()


@lru_cache(maxsize=10_000)  # asked for each attempt of a batch, which are of few caller IDs
def keys_of(*, account_id: int, trunk_id: int, caller_id_id: int) -> tuple[str, ...]:
    """The keys that an attempt's lease stands under."""
    scopes = (("account", account_id), ("trunk", trunk_id), ("caller-id", caller_id_id))
    return tuple(Scope(kind, id_, 0).key for kind, id_ in scopes)


# What only looks -----------------------------------------------------------------------------------------------------


def held(scopes: Iterable[Scope]) -> dict[Scope, int]:
    """How many leases each of these scopes has at the moment. Raises redis.RedisError when Redis is away."""
    client, wanted = _client(), list(scopes)
    now = _now_ms(client)
    pipe = client.pipeline(transaction=False)
    for scope in wanted:
        pipe.zcount(scope.key, f"({now}", "+inf")
    return dict(zip(wanted, pipe.execute(), strict=True))


def next_starts(buckets: Iterable[Bucket]) -> dict[Bucket, float]:
    """Seconds until each bucket lets one more start through, as the script has it (`wait_for`); 0 when it would now."""
    wanted = list(buckets)
    pipe = _client().pipeline(transaction=False)
    pipe.time()
    for bucket in wanted:
        pipe.get(bucket.key)
    (seconds, microseconds), *due = pipe.execute()
    now_us = seconds * 1_000_000 + microseconds
    waits = {}
    for bucket, due_us in zip(wanted, due, strict=True):
        wait_us = float(due_us or now_us) - (bucket.burst - 1) * bucket.interval_us - now_us
        waits[bucket] = max(0.0, wait_us / 1e6)
    return waits


def astray(settled_seconds: float) -> Repaired:
    """What `mend` would mend, if it has been so for settled_seconds; without the lock, and without mending it.

    Younger leases are left out: their attempts may not be committed yet.
    """
    client = _client()
    taken = _leases_held(client)
    wanted = _leases_in_flight()
    leaked, missing = taken - wanted, wanted - taken
    if leaked:
        leaked &= _leases_held(client)  # the others' attempts have ended between the two looks
    settled_ms = _now_ms(client) - 1000 * settled_seconds
    old = [{holder for _, holder in each if _taken_ms(holder) <= settled_ms} for each in (leaked, missing)]
    return Repaired(*map(len, old))


def _taken_ms(holder: str) -> int:
    """When the lease was taken: an attempt's id is a UUIDv7, which begins with the milliseconds of its making."""
    return int(holder[:12], 16)


def _leases_in_flight(among: Collection[Lease] | None = None) -> set[Lease]:
    """The leases that attempts ought to hold; of all attempts in flight, or `among` these."""
    attempts = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED)
    if among is not None:
        attempts = attempts.filter(pk__in={UUID(holder) for _, holder in among})
    rows = attempts.values_list("id", "campaign__account_id", "trunk_id", "campaign__caller_id_id")
    leases = {
        (key, attempt_id.hex)
        for attempt_id, account_id, trunk_id, caller_id_id in rows
        for key in keys_of(account_id=account_id, trunk_id=trunk_id, caller_id_id=caller_id_id)
    }
    return leases if among is None else leases.intersection(among)


def _by_key(leases: Iterable[Lease]) -> dict[str, list[str]]:
    holders: dict[str, list[str]] = {}
    for key, holder in leases:
        holders.setdefault(key, []).append(holder)
    return holders


def _leases_held(client: Redis) -> set[Lease]:
    keys = list(client.scan_iter(match=f"{PREFIX}*", count=1000))
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.zrange(key, 0, -1)
    return {(key, holder) for key, holders in zip(keys, pipe.execute(), strict=True) for holder in holders}


def _still_held(client: Redis, leases: Collection[Lease]) -> set[Lease]:
    pipe = client.pipeline(transaction=False)
    for key, holder in leases:
        pipe.zscore(key, holder)
    return {lease for lease, score in zip(leases, pipe.execute(), strict=True) if score is not None}


def _request(wishes: Sequence[Wish]) -> str:
    """The script's argument. Lua counts from 1."""
    scopes: dict[Scope, int] = {}
    buckets: dict[Bucket, int] = {}
    rows = [
        [
            wish.holder.hex,
            [scopes.setdefault(scope, len(scopes) + 1) for scope in wish.scopes],
            [buckets.setdefault(bucket, len(buckets) + 1) for bucket in wish.buckets],
        ]
        for wish in wishes
    ]
    return json.dumps(
        {
            "ttl_ms": _ttl_ms(),
            "scopes": [[scope.key, scope.cap] for scope in scopes],
            "buckets": [[bucket.key, bucket.interval_us, bucket.burst] for bucket in buckets],
            "wishes": rows,
        }
    )


def _ttl_ms() -> int:
    return 1000 * int(settings.RING_TIMEOUT_SECONDS + settings.MAX_CALL_SECONDS + SPARE_SECONDS)


def _now_ms(client: Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds * 1000 + microseconds // 1000)


@cache
def _sha() -> str:
    return hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


def _client() -> Redis:
    return redis_client()
