"""The peer: the dialer that tutorials build, in a hundred lines.

One Celery task per call, `countdown` for the retries, a counter in Redis as the semaphore of the channels, and a model
that Django saves at each step. It is at an advantage: the carrier replies at once and its event is handled in place, so
that it pays for no inbox, no history, no second task and no recovery. It loses calls and channels with its worker.

The table is this module's own and created by hand: the product has no such app and no migration for it.
"""

import uuid
from typing import ClassVar

from celery import Task, shared_task
from django.conf import settings
from django.db import connection, models
from django.utils import timezone
from redis import Redis

CHANNELS = 1000
CHANNELS_IN_USE = "plain:channels"
RETRIES = 3
RETRY_SECONDS = 600
# Seconds until the next try when no channel is free, as tutorials have it.
BUSY_SECONDS = 1

_redis: "Redis" = Redis.from_url(settings.REDIS_URL)


class PlainCall(models.Model):
    objects: ClassVar[models.Manager["PlainCall"]] = models.Manager()

    number = models.CharField(max_length=16)
    status = models.CharField(max_length=16, default="created")
    attempts = models.PositiveSmallIntegerField(default=0)
    carrier_ref = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "bench"
        managed = False
        db_table = "bench_plain_call"

    def __str__(self) -> str:
        return self.number


@shared_task(bind=True, name="bench.plain_dial", max_retries=None)
def plain_dial(self: "Task[[int], None]", call_id: int) -> None:
    """Dial one call."""
    if _redis.incr(CHANNELS_IN_USE) > CHANNELS:
        _redis.decr(CHANNELS_IN_USE)
        raise self.retry(countdown=BUSY_SECONDS)
    call = PlainCall.objects.get(pk=call_id)
    call.status = "in-progress"
    call.attempts += 1
    call.started_at = timezone.now()
    call.save()
    call.carrier_ref = _place(call.number)
    _take_event(call, "completed")


def _place(_number: str) -> str:
    """Stand in for the carrier, which takes the call at once, as the simulated one does."""
    return uuid.uuid4().hex


def _take_event(call: PlainCall, outcome: str) -> None:
    """Apply the carrier's only event; a retry is a task with a countdown."""
    _redis.decr(CHANNELS_IN_USE)
    if outcome != "completed" and call.attempts <= RETRIES:
        call.status = "retrying"
        call.save()
        plain_dial.apply_async((call.pk,), countdown=RETRY_SECONDS)
        return
    call.status = outcome
    call.ended_at = timezone.now()
    call.save()


def make_calls(count: int) -> list[int]:
    """Create the table with so many calls in it; returns their ids."""
    with connection.schema_editor() as editor:
        editor.create_model(PlainCall)
    calls = [PlainCall(number=f"+91{9_810_000_000 + position}") for position in range(count)]
    return [call.pk for call in PlainCall.objects.bulk_create(calls, batch_size=5000)]
