"""`manage.py hold`: let the server dial nothing, whatever campaigns run."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.command_kit import actor
from core import clocks
from dialer import holds
from dialer.models import CallAttempt


class Command(BaseCommand):
    help = "Holds the server: it dials nothing until `manage.py release`. Calls that are up go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--why", default="", help="a sentence for the other operators")

    def handle(self, *_: Any, why: str, **__: Any) -> None:
        person = actor()
        why = why.strip() or f"{person.name} holds it"
        if not holds.hold(holds.Because.OPERATOR, why, actor=person, now=clocks.now()):
            held = holds.current()
            self.stdout.write(f"held already: {held.held_why if held else why}")
            return
        up = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED).count()
        self.stdout.write(
            f"held: nothing is dialed until `manage.py release`. {up:,} calls are up or being placed, and go on"
        )
