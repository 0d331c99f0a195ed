"""Whether Redis may evict keys that must not be lost."""

from core.redis_client import redis_client


def eviction() -> str:
    """Return a warning when Redis evicts keys once its memory is full, "" when it does not.

    Asks INFO and not CONFIG GET, which hosted servers refuse.

    Raises:
        RedisError
    """
    memory = redis_client().info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or not memory.get("maxmemory"):
        return ""
    return (
        f"Redis evicts keys when its memory is full (maxmemory-policy is {policy}). Leases would be lost, and until"
        " recovery has rebuilt them more calls be dialled at once than the limits allow. Set it to noeviction"
    )
