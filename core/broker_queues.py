"""The queues of the broker: which one a task's messages go to, and how many wait there."""

from amqp.exceptions import ChannelError
from celery import current_app
from django.conf import settings


def queue_of(task: str) -> str:
    """Return the queue of the task of that name."""
    return str(settings.CELERY_TASK_ROUTES.get(task, {}).get("queue", settings.CELERY_TASK_DEFAULT_QUEUE))


def waiting(queue: str) -> int:
    """Return how many messages no worker has taken yet. Raises what the broker's client raises while it is away."""
    with current_app.connection_for_read() as connection:
        try:
            # Kombu looks for the queue of Redis without its prefix, and makes none there where it is told to.
            is_redis = connection.transport.driver_type == "redis"
            declared = connection.default_channel.queue_declare(queue, passive=not is_redis)  # type: ignore[attr-defined]
            return int(declared.message_count)
        except ChannelError:
            return 0  # there is no such queue; in Redis an empty one does not exist
