"""The tasks of CSV uploads. Each one calls a function, where the rules are."""

from celery import shared_task

from contacts.csv_uploads import loading, upload_states
from core import clocks
from core.task_queue import taken


@shared_task(name=upload_states.LOAD)
def load_csv() -> None:
    """Take a turn, and enqueue this task again while there are more. What else the loader does comes between them."""
    taken(upload_states.LOAD)
    if loading.take_turn(loading.TURN_SECONDS):
        upload_states.enqueue_turn()


@shared_task(name="contacts.resume_csv_uploads")
def resume_csv_uploads() -> None:
    upload_states.resume(clocks.now())


@shared_task(name="contacts.loader_tick")
def loader_tick() -> None:
    """Do nothing. Taking this message shows that the loaders make progress, even when there is no upload for days."""
