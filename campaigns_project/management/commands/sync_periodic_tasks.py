"""`manage.py sync_periodic_tasks`: add the ticks that are missing from django-celery-beat's table.

What an operator has changed in the admin stays as it is.
"""

from typing import Any

from django.core.management.base import BaseCommand
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from campaigns_project import alone
from campaigns_project.periodic_tasks import TICKS


class Command(BaseCommand):
    help = "Adds the periodic tasks that are missing from beat's table."

    def handle(self, *_: Any, **__: Any) -> None:
        with alone.preparing():  # nothing in these tables keeps two processes from adding one twice
            self._add()

    def _add(self) -> None:
        for name, task, seconds in TICKS:
            every, _created = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
            # A tick that could not run in time is worth nothing: the next one does its work.
            defaults = {"task": task, "interval": every, "expire_seconds": max(5, seconds)}
            _task, added = PeriodicTask.objects.get_or_create(name=name, defaults=defaults)
            if added:
                self.stdout.write(f"added: {name}, every {seconds} s")
