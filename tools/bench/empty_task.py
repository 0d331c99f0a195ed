"""The limit of everything that is built from Celery tasks: a task that does nothing."""

from celery import shared_task


@shared_task(name="bench.empty")
def empty(_number: int) -> None:
    """Take an argument, as every useful task does."""
