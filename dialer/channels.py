"""Channels: leases with a name on them, held in Redis, over account, trunk and caller ID together.

Redis is the gate, not the record. A lease is taken before its attempt is claimed and released after the attempt has
ended. `reconciliation` compares leases and attempts every few seconds, and rebuilds the leases when Redis has lost its
memory (it was flushed, restarted, or a replica took over). Until then nothing is leased:

- `channels:complete` goes with the data, so its absence tells of a flush;
- the script cache is not data, so an unknown script tells of a restart or a fail-over, where the data may be old.

Code that takes leases holds a lock in PostgreSQL shared until the attempts are committed; code that reconciles or
rebuilds them holds it exclusively. So a lease whose attempt is not committed yet is never taken for a leak.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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

from accounts.models import Account, CallerId
from campaigns.models import Campaign
from core import clocks
from core.redis_client import prefixed, redis_client

log = structlog.get_logger(__name__)

SCRIPT = Path(__file__).with_name("channels.lua").read_text()
COMPLETE = prefixed("channels:complete")
PREFIX = prefixed("channels:held:")
# A number of our own, so that no other use of advisory locks in this database meets it.
LOCK = 0x7472756E6B
# Reconciliation drops a leak within seconds; this is for the day that it does not run.
SPARE_SECONDS = 300
# A cap that never binds, for scopes without one.
NO_CAP = 1_000_000_000

# The key of its scope, and its holder: an attempt's id in hex.
Lease = tuple[str, str]


class LeasesLost(Exception):
    """Redis has lost its memory: rebuild the leases before any is taken."""


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

    `burst` starts may come at once: a tenth of a second's worth, so that high rates are not dispatched one by one. The
    interval is a little longer for it, so that no minute ever holds more than per_minute starts.
    """

    kind: str
    id: object
    per_minute: int

    @property
    def key(self) -> str:
        return prefixed(f"channels:starts:{self.kind}:{self.id}")

    @property
    def burst(self) -> int:
        return max(1, self.per_minute // 600)

    @property
    def interval_us(self) -> int:
        return -(-60_000_000 // (self.per_minute - self.burst + 1))


@dataclass(frozen=True)
class LeaseRequest:
    """One attempt's request for a channel in each of its scopes and a start from each of its buckets."""

    holder: UUID
    scopes: tuple[Scope, ...]
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True)
class Granted:
    """The holders that got their leases.

    wait_seconds: until a bucket that refused a request has its next start; None if no bucket refused one.
    """

    holders: frozenset[UUID]
    wait_seconds: float | None


def scopes_of(account: Account, caller_id: CallerId) -> tuple[Scope, ...]:
    """Return the scopes of a lease, the account's first. The caller ID comes with its trunk loaded."""
    return (account_scope(account), *scopes_of_caller_id(caller_id))


def scopes_of_caller_id(caller_id: CallerId) -> tuple[Scope, ...]:
    """Return the scopes that a lease of the caller ID has beside the account's. It comes with its trunk loaded."""
    return (
        Scope("trunk", caller_id.trunk_id, caller_id.trunk.channels or NO_CAP),
        Scope("caller-id", caller_id.pk, caller_id.channels or NO_CAP),
    )


def buckets_of(campaign: Campaign) -> tuple[Bucket, ...]:
    """Return the buckets of the campaign, which comes with its account loaded: the account's first."""
    return (account_bucket(campaign.account), *own_bucket(campaign.pk, campaign.mode, campaign.throttle))


def own_bucket(campaign_id: UUID, mode: str, throttle: int | None) -> tuple[Bucket, ...]:
    """Return the bucket of a campaign with a pace of its own; none for the others."""
    return (Bucket("campaign", campaign_id.hex, throttle),) if mode == Campaign.Mode.CUSTOM and throttle else ()


def account_scope(account: Account) -> Scope:
    return Scope("account", account.pk, account.channels)


def account_bucket(account: Account) -> Bucket:
    return Bucket("account", account.pk, account.starts_per_minute)


@lru_cache(maxsize=10_000)  # asked for each attempt of a batch, and batches have few caller IDs
def keys_of(*, account_id: int, trunk_id: int, caller_id_id: int) -> tuple[str, ...]:
    """Return the keys of the scopes that an attempt's lease counts against."""
    scopes = (("account", account_id), ("trunk", trunk_id), ("caller-id", caller_id_id))
    return tuple(Scope(kind, id_, 0).key for kind, id_ in scopes)


@lru_cache(maxsize=1_000)
def keys_of_transfer(*, account_id: int, trunk_id: int) -> tuple[str, ...]:
    """Return the keys of the scopes that the lease of a call to another number counts against."""
    return tuple(Scope(kind, id_, 0).key for kind, id_ in (("account", account_id), ("trunk", trunk_id)))


# The lock ------------------------------------------------------------------------------------------------------------


def hold_shared() -> None:
    """Keep reconciliation from judging leases halfway. Call it before leasing, in the transaction that claims."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])


@contextmanager
def held_exclusively() -> Iterator[None]:
    """Let no other process lease or claim within. Raises OperationalError after two seconds of waiting for that."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Leasing queues behind this wait, so it is short. The next sweep tries again.
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield


# Taking and giving back ----------------------------------------------------------------------------------------------


def lease(requests: Sequence[LeaseRequest]) -> Granted:
    """Take what there is room for, request by request in their order.

    Raises:
        LeasesLost: nothing was taken.
        redis.RedisError: Redis is away.
    """
    if not requests:
        return Granted(frozenset(), None)
    try:
        reply = client().evalsha(script_sha(), 1, COMPLETE, _argument(requests))
    except NoScriptError:
        raise LeasesLost("the script is unknown") from None
    if reply[1] == -1:
        raise LeasesLost("the leases are gone")
    wait_us, flags = reply[0], reply[1:]
    holders = frozenset(request.holder for request, flag in zip(requests, flags, strict=True) if flag)
    return Granted(holders, wait_us / 1e6 if wait_us else None)


def release(leases: Iterable[tuple[UUID, Sequence[str]]]) -> None:
    """Give up the leases of these holders (with the keys of their scopes), and of no others.

    With Redis away they stay until recovery finds them without an attempt in flight.
    """
    holders_by_key = by_key((key, holder.hex) for holder, keys in leases for key in keys)
    if not holders_by_key:
        return
    pipe = client().pipeline(transaction=False)
    for key, holders in holders_by_key.items():
        pipe.zrem(key, *holders)
    try:
        pipe.execute()
    except RedisError as error:
        log.warning("leases_not_released", keys=len(holders_by_key), error=str(error))


def give_back(requests: Sequence[LeaseRequest]) -> None:
    """Undo leases that no attempt was claimed for: their channels are free, and so are their starts.

    A start that was not made must not slow the account down. With Redis away the channels stay until recovery finds
    them without an attempt in flight, and the starts are lost.
    """
    release((request.holder, [scope.key for scope in request.scopes]) for request in requests)
    starts = Counter(bucket for request in requests for bucket in request.buckets)
    try:
        for bucket, count in starts.items():
            client().eval(_RETURN_STARTS, 1, bucket.key, bucket.interval_us * count)
    except RedisError as error:
        log.warning("starts_not_given_back", starts=sum(starts.values()), error=str(error))


# A bucket's moment moves back by these starts, and the key goes once it lies in the past.
_RETURN_STARTS = """
local due = redis.call('GET', KEYS[1])
if due then
  local time = redis.call('TIME')
  local left_us = tonumber(due) - tonumber(ARGV[1]) - (time[1] * 1000000 + time[2])
  if left_us > 0 then
    local moved = string.format('%.0f', tonumber(due) - tonumber(ARGV[1]))
    redis.call('SET', KEYS[1], moved, 'PX', math.ceil(left_us / 1000))
  else
    redis.call('DEL', KEYS[1])
  end
end
return 1
"""


def _argument(requests: Sequence[LeaseRequest]) -> str:
    """Return the script's argument. Lua counts from 1."""
    scopes: dict[Scope, int] = {}
    buckets: dict[Bucket, int] = {}
    rows = [
        [
            request.holder.hex,
            [scopes.setdefault(scope, len(scopes) + 1) for scope in request.scopes],
            [buckets.setdefault(bucket, len(buckets) + 1) for bucket in request.buckets],
        ]
        for request in requests
    ]
    return json.dumps(
        {
            "ttl_ms": ttl_ms(),
            "scopes": [[scope.key, scope.cap] for scope in scopes],
            "buckets": [[bucket.key, bucket.interval_us, bucket.burst] for bucket in buckets],
            "requests": rows,
        }
    )


# Reading -------------------------------------------------------------------------------------------------------------


def held(scopes: Iterable[Scope]) -> dict[Scope, int]:
    """Return how many leases each of these scopes has at the moment. Raises redis.RedisError when Redis is away."""
    redis, wanted = client(), list(scopes)
    now = now_ms(redis)
    pipe = redis.pipeline(transaction=False)
    for scope in wanted:
        pipe.zcount(scope.key, f"({now}", "+inf")
    return dict(zip(wanted, pipe.execute(), strict=True))


@dataclass(frozen=True)
class Pace:
    """A bucket at the moment at which it was read: how far its next start lies in the future, in microseconds."""

    bucket: Bucket
    ahead_us: float

    @property
    def starts(self) -> int:
        """How many starts it allows at once."""
        return max(0, self.bucket.burst - math.ceil(self.ahead_us / self.bucket.interval_us))

    def wait_after(self, starts: int) -> float:
        """Return the seconds until it allows one more start after so many, as `wait_for` of the script counts."""
        ahead_us = self.ahead_us + (starts - self.bucket.burst + 1) * self.bucket.interval_us
        return max(0.0, ahead_us / 1e6)


@dataclass(frozen=True)
class Room:
    """What leases would find at this moment: free channels by scope, and the paces of the buckets."""

    free: dict[Scope, int]
    paces: dict[Bucket, Pace]


def room(scopes: Iterable[Scope], buckets: Iterable[Bucket]) -> Room:
    """Look without taking anything, by one question to Redis. Raises redis.RedisError when Redis is away."""
    scopes, buckets = list(scopes), list(buckets)
    if not scopes and not buckets:
        return Room({}, {})
    pipe = client().pipeline(transaction=False)
    pipe.time()
    for scope in scopes:
        # Not by Redis's clock, which would take a question of its own. The script goes by it.
        pipe.zcount(scope.key, f"({int(clocks.last_known_now().timestamp() * 1000)}", "+inf")
    for bucket in buckets:
        pipe.get(bucket.key)
    (seconds, microseconds), *replies = pipe.execute()
    now_us = seconds * 1_000_000 + microseconds
    free = {scope: scope.cap - held for scope, held in zip(scopes, replies[: len(scopes)], strict=True)}
    due = dict(zip(buckets, replies[len(scopes) :], strict=True))
    return Room(free, {bucket: Pace(bucket, max(0.0, float(due[bucket] or now_us) - now_us)) for bucket in buckets})


def next_starts(buckets: Iterable[Bucket]) -> dict[Bucket, float]:
    """Return the seconds until each bucket allows one more start; 0 for now."""
    return {bucket: pace.wait_after(0) for bucket, pace in room([], buckets).paces.items()}


# Shared with reconciliation ------------------------------------------------------------------------------------------


def by_key(leases: Iterable[Lease]) -> dict[str, list[str]]:
    """Return the holders by the key of their scope."""
    holders: dict[str, list[str]] = {}
    for key, holder in leases:
        holders.setdefault(key, []).append(holder)
    return holders


def ttl_ms() -> int:
    """Return the milliseconds after which a lease expires: longer than any call."""
    return 1000 * int(settings.RING_TIMEOUT_SECONDS + settings.MAX_CALL_SECONDS + SPARE_SECONDS)


def now_ms(redis: Redis) -> int:
    """Return Redis's own time, so that the clocks of many machines can't disagree."""
    seconds, microseconds = redis.time()
    return int(seconds * 1000 + microseconds // 1000)


@cache
def script_sha() -> str:
    return hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


def client() -> Redis:
    return redis_client()
