"""`manage.py release`: let a server that is held dial again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.command_kit import actor
from core import clocks
from core.errors import WrongState
from dialer import holds


class Command(BaseCommand):
    help = "Ends the hold of the server. After a restore it needs `manage.py reconcile` first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--accept-unknown",
            action="store_true",
            help="also where some carriers could not be asked: people whom they have called may be called again",
        )
        parser.add_argument("--force", default="", metavar="REASON", help="also without a reconciliation, because …")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            was_held = holds.release(
                actor=actor(),
                now=clocks.now(),
                accept_unknown=options["accept_unknown"],
                force=options["force"].strip(),
            )
        except WrongState as error:
            raise CommandError(str(error)) from error
        self.stdout.write("released: calls are dialed again" if was_held else "it was not held")
