"""How many calls each campaign of an account has up, kept in Redis so that no dispatch counts them.

Fair shares go by it and nothing else, so it may be a little wrong: a crash, or a call that ends while the counts are
being made, leaves a difference for as long as they are kept. Then the next dispatch that shares channels counts again.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from uuid import UUID

import structlog
from django.db.models import Count
from redis.exceptions import RedisError

from core.redis_client import prefixed, redis_client
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

KEPT_SECONDS = 5
# A field of the hash beside those of the campaigns: an account without calls has counts, too.
_MARK = "counted"

# Campaigns go to Redis and counts come back as one text: of five hundred, each as a value of its own, the client made
# a tenth of a dispatch. ARGV[1] is a list of campaigns.
_READ = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
return cjson.encode(redis.call('HMGET', KEYS[1], unpack(cjson.decode(ARGV[1]))))
"""
# ARGV[1] is changes by campaign. Counts that are not kept at the moment are not begun: they would lack the calls that
# are up already.
_ADD = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  for campaign, change in pairs(cjson.decode(ARGV[1])) do
    redis.call('HINCRBY', KEYS[1], campaign, change)
  end
end
return 1
"""


def of(account_id: int, campaign_ids: Collection[UUID]) -> Counter[UUID]:
    """Return how many calls these campaigns of the account have up. Raises redis.RedisError when Redis is away."""
    wanted = json.dumps([campaign_id.hex for campaign_id in campaign_ids])
    kept = redis_client().eval(_READ, 1, _key(account_id), wanted)
    if not kept:
        return _count(account_id)
    counts = zip(campaign_ids, json.loads(str(kept)), strict=True)
    return Counter({campaign_id: max(0, int(up)) for campaign_id, up in counts if up})


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
    by_account: dict[int, dict[str, int]] = {}
    for (account_id, campaign_id), change in changes.items():
        by_account.setdefault(account_id, {})[campaign_id.hex] = change
    try:
        for account_id, own in by_account.items():
            redis_client().eval(_ADD, 1, _key(account_id), json.dumps(own))
    except RedisError as error:
        log.warning("calls_up_not_counted", error=str(error))


def _key(account_id: int) -> str:
    return prefixed(f"dispatch:up:{account_id}")
