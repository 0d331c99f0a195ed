"""`manage.py migrate`: Django's, one at a time, and only on a database that can take what follows."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate

from campaigns_project import alone, server_checks


class Command(migrate.Command):
    help = f"{migrate.Command.help} Waits while another machine does."

    def handle(self, *args: Any, **options: Any) -> None:
        if problems := server_checks.may_migrate():
            raise CommandError("\n".join(["Nothing was changed:", *(f"  {problem.text}." for problem in problems)]))
        with alone.preparing(lambda: self.stderr.write("Waiting for another process that migrates this database.")):
            super().handle(*args, **options)
