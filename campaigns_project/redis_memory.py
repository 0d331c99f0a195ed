"""Whether Redis may throw away what it was given to keep."""

from core.redis_client import redis_client


def eviction() -> str:
    """A sentence when Redis evicts keys once its memory is full; "" when it does not. Raises RedisError.

    INFO and not CONFIG GET, which hosted servers refuse.
    """
    memory = redis_client().info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or not memory.get("maxmemory"):
        return ""
    return (
        f"Redis evicts keys when its memory is full (maxmemory-policy is {policy}): leases would be lost, and more"
        " calls dialled at once than the limits allow, until recovery restores them. Set it to noeviction"
    )
