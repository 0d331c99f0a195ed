"""`manage.py sync_periodic_tasks`: adds beat's ticks to django-celery-beat's table, where they are missing.

What an operator has changed in the admin stays as it is.
"""

from typing import Any

from django.core.management.base import BaseCommand
from django_celery_beat.models import IntervalSchedule, PeriodicTask

# (name in the admin, task, every so many seconds)
TICKS = [
    ("Start campaigns whose time has come", "campaigns.start_due", 1),
    ("End campaigns whose end has come", "campaigns.end_due", 1),
    ("Dial what is due", "dialer.dispatch_due", 1),
    ("Settle carriers' events", "dialer.settle", 1),
    ("Deliver webhooks", "webhooks.deliver", 1),
    ("Repair what crashes left behind", "dialer.recover", 5),
    ("Get on with CSV uploads that have stopped", "contacts.resume_csv_uploads", 10),
    ("See whether the loaders take their tasks", "contacts.loader_tick", 5),
    ("Add up the counts of calls", "campaigns.compact_tally", 5),
    ("Delete old carrier events", "dialer.purge_inbox", 3600),
    ("Delete old webhooks", "webhooks.purge", 3600),
    ("Delete old idempotency keys", "api.purge_idempotency_keys", 3600),
]


class Command(BaseCommand):
    help = "Adds the periodic tasks that are missing from beat's table."

    def handle(self, *_: Any, **__: Any) -> None:
        for name, task, seconds in TICKS:
            every, _created = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
            # A tick that could not run in time is worth nothing: the next one does its work.
            defaults = {"task": task, "interval": every, "expire_seconds": max(5, seconds)}
            _task, added = PeriodicTask.objects.get_or_create(name=name, defaults=defaults)
            if added:
                self.stdout.write(f"added: {name}, every {seconds} s")
