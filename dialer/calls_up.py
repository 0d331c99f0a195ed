"""How many calls each campaign of an account has up, kept in Redis so that no dispatch counts them.

Fair shares go by it and nothing else, so it may be a little wrong: a crash, or a call that ends while the counts are
being made, leaves a difference for as long as they are kept. Then the next dispatch that shares channels counts anew.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from uuid import UUID

import structlog
from django.db.models import Count
from redis.exceptions import RedisError

from core.redis_client import redis_client
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

KEPT_SECONDS = 5
# A field of the hash beside those of the campaigns: an account without calls has counts, too.
_MARK = "counted"

# Counts that are not kept at the moment are not begun: they would lack the calls that are up already.
_ADD = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  for position = 1, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[1], ARGV[position], ARGV[position + 1])
  end
end
return 1
"""


def of(account_id: int, campaign_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """Return how many calls these campaigns of the account have up. Raises redis.RedisError when Redis is away."""
    key = _key(account_id)
    mark, *kept = redis_client().hmget(key, [_MARK, *(campaign_id.hex for campaign_id in campaign_ids)])
    if mark is None:
        return _count(account_id)
    return Counter({pk: max(0, int(up)) for pk, up in zip(campaign_ids, kept, strict=True) if up})


def _count(account_id: int) -> Counter[UUID]:
    attempts = CallAttempt.objects.filter(account=account_id, status__in=CallAttempt.UNFINISHED)
    counts = Counter(dict(attempts.order_by().values_list("campaign").annotate(Count("id"))))
    pipe = redis_client().pipeline()
    pipe.delete(_key(account_id))
    pipe.hset(_key(account_id), mapping={_MARK: 1} | {campaign_id.hex: up for campaign_id, up in counts.items()})
    pipe.expire(_key(account_id), KEPT_SECONDS)
    pipe.execute()
    return counts


def add(changes: Mapping[tuple[int, UUID], int]) -> None:
    """Add to the counts that are kept. An absent Redis is logged, never raised.

    Args:
        changes: calls that are up now, or with a minus that are not any more, by account and campaign.
    """
    arguments: dict[int, list[str | int]] = {}
    for (account_id, campaign_id), change in changes.items():
        arguments.setdefault(account_id, []).extend((campaign_id.hex, change))
    try:
        for account_id, fields in arguments.items():
            redis_client().eval(_ADD, 1, _key(account_id), *fields)
    except RedisError as error:
        log.warning("calls_up_not_counted", error=str(error))


def _key(account_id: int) -> str:
    return f"dispatch:up:{account_id}"
