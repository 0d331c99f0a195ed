"""What is wrong with a Redis that responds: it takes no writes or commands, or may evict keys that must not be lost."""

from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

from core.redis_client import prefixed, redis_client

ACL = "ACL SETUSER … ~* &* +@all -@dangerous +info"


def refusal() -> str:
    """Return why Redis does not do what is needed, "" when it does. It has to be tried: INFO does not say it.

    Raises:
        RedisError: it does not respond.
    """
    try:
        pipe = redis_client().pipeline(transaction=False)
        pipe.set(prefixed("takes-writes"), 1, ex=60)
        pipe.eval("return 1", 0)
        pipe.publish(prefixed("takes-writes"), "")
        pipe.execute()
    except OutOfMemoryError:
        return (
            "Redis is full, and nothing can be dialed: give it more memory (maxmemory), or find what fills it"
            " (redis-cli --bigkeys)"
        )
    except ReadOnlyError:
        return (
            "Redis is a replica that takes no writes, and nothing can be dialed: REDIS_URL must lead to the primary."
            " After a fail-over that is a matter of seconds"
        )
    except NoPermissionError as error:
        return (
            f"the user of REDIS_URL may not run all commands that are needed, so nothing can be dialed: {ACL} ({error})"
        )
    except ResponseError as error:
        return f"Redis takes no writes, and nothing can be dialed: {error}"
    return ""


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
