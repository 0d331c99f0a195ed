"""The tasks of CSV uploads. Each one calls a function, where the rules are."""

from uuid import UUID

from celery import shared_task

from contacts.csv_uploads import loading, upload_states
from core import clocks


@shared_task(name=upload_states.LOAD)
def load_csv(upload_id: str) -> None:
    loading.load(UUID(upload_id))


@shared_task(name="contacts.resume_csv_uploads")
def resume_csv_uploads() -> None:
    upload_states.resume(clocks.now())


@shared_task(name="contacts.loader_tick")
def loader_tick() -> None:
    """Do nothing. Taking this message shows that the loaders make progress, even when there is no upload for days."""
