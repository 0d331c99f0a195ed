"""The limit of anything that is built of Celery tasks: one that does nothing."""

from celery import shared_task


@shared_task(name="bench.empty")
def empty(_number: int) -> None:
    """Takes an argument, as every task of use does."""
