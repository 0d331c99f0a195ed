"""`manage.py check_trunk NAME`: say, step by step, whether a trunk can be dialled over. Rings nobody but for --call."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.command_kit import actor
from accounts.models import Trunk
from dialer import check_calls, trunk_check

BETWEEN_LOOKS = 0.5  # seconds


class Command(BaseCommand):
    help = "Checks a trunk: its settings, its carrier, and the way back to this server. Rings nobody without --call."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--call", default="", metavar="NUMBER", help="also call this number, as a campaign would")
        parser.add_argument("--flow-url", default="", help="with --call, over a carrier that runs flows of its own")
        parser.add_argument("--json", action="store_true", help="a list of steps, for programs")

    def handle(self, *_: Any, name: str, **options: Any) -> None:
        trunk = Trunk.objects.filter(name=name).first()
        if trunk is None:
            known = ", ".join(Trunk.objects.order_by("name").values_list("name", flat=True)) or "none"
            raise CommandError(f"there is no trunk {name}; there is: {known}")
        steps = []
        for step in self._steps(trunk, options["call"], options["flow_url"]):
            steps.append(step)
            if not options["json"]:
                mark = self.style.SUCCESS("ok  ") if step.is_good else self.style.ERROR("BAD ")
                self.stdout.write(f"{mark} {step.name}: {step.said}")
        if options["json"]:
            self.stdout.write(json.dumps([asdict(step) for step in steps], indent=2))
        if bad := [step for step in steps if not step.is_good]:
            raise CommandError(f"{len(bad)} of {len(steps)} steps failed: {', '.join(step.name for step in bad)}")

    def _steps(self, trunk: Trunk, number: str, flow_url: str) -> Iterator[trunk_check.Step]:
        yield from trunk_check.check(trunk)
        if number:
            yield from check_calls.call(
                trunk, number, flow_url=flow_url, actor=actor(), wait=lambda: time.sleep(BETWEEN_LOOKS)
            )
