"""`manage.py prepare`: migrate, add missing ticks and collect static files. May be repeated at will.

In one process: to load the program takes longer than what each of the three does.
"""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Makes the database and the static files ready, before the first start and after each update."

    def handle(self, *_: Any, verbosity: int, **__: Any) -> None:
        call_command("migrate", interactive=False, verbosity=verbosity)
        call_command("sync_periodic_tasks", verbosity=verbosity)
        call_command("collectstatic", interactive=False, verbosity=verbosity)
