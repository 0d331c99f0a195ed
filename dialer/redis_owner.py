"""Which installation a Redis belongs to, so that two systems at one Redis notice each other.

They would take each other's messages, and free each other's channels. The first one has it; another one dials nothing,
and its workers don't start. A copy of a database is another system, too. An owner that was not seen for a while has
gone, and its place is taken.
"""

from redis.exceptions import ResponseError

from core.redis_client import prefixed, redis_client

# Seconds after which an owner that was not seen has gone. Each process that dials tells of itself every five.
GONE_AFTER = 30

_TAKE = """
local now = tonumber(redis.call('TIME')[1])
local owner, seen = unpack(redis.call('HMGET', KEYS[1], 'owner', 'seen'))
if owner and owner ~= ARGV[1] and now - tonumber(seen) < tonumber(ARGV[2]) then
  return {owner, now - tonumber(seen)}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'seen', now)
return {}
"""


class OwnedByAnother(Exception):
    """The message is for the operator."""


def take(owner: str) -> None:
    """Take the Redis for this system, or tell that it still has it.

    A Redis that takes no writes is left as it is: it can't be dialed with anyway.

    Raises:
        OwnedByAnother: another system has it.
        redis.RedisError: Redis is away.
    """
    try:
        found = redis_client().eval(_TAKE, 1, prefixed("installation"), owner, GONE_AFTER)
    except ResponseError:
        return
    if found:
        other, seconds = found
        raise OwnedByAnother(
            f"another Trunkline uses this Redis (installation {str(other).partition('/')[0]}, seen {seconds} s ago):"
            " set REDIS_PREFIX to a name of its own for one of the two, or give it another Redis. If that one was"
            f" stopped, its place is free {GONE_AFTER} s after it was last seen"
        )
