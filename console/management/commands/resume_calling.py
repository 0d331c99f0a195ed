"""`manage.py resume_calling`: resume the campaigns that a stop paused."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.command_kit import actor, add_json_option, print_result
from console import stops
from core import clocks


class Command(BaseCommand):
    help = "Resumes the campaigns that stop_calling, or a person in the console, has paused and nobody touched since."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stop", type=int, nargs="?", help="the number of the stop; without it the latest one")
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        now = clocks.now()
        offered = [stop for stop, _ in stops.offered(None, now) if options["stop"] in {None, stop.pk}]
        if not offered:
            raise CommandError("there is no such stop of the last week with campaigns that are still paused by it")
        done = stops.resume(offered[0], None, actor=actor(), now=now)
        result = {"stop": offered[0].pk, "resumed": done.done, "refusals": done.refusals}
        print_result(self.stdout, result, as_json=options["json"])
