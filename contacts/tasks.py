"""The tasks of CSV uploads. Each calls one function, and the rules live there."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from contacts import csv_upload


@shared_task(name=csv_upload.LOAD)
def load_csv(upload_id: str) -> None:
    csv_upload.load(UUID(upload_id))


@shared_task(name="contacts.resume_csv_uploads")
def resume_csv_uploads() -> None:
    csv_upload.resume(timezone.now())


@shared_task(name="contacts.loader_tick")
def loader_tick() -> None:
    """Beat's tick for the loaders, which have nothing to do for days: that it was taken is their progress."""
