"""`manage.py check_trunk NAME`: say, step by step, whether a trunk can be dialled over. Rings nobody."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Trunk
from dialer import trunk_check


class Command(BaseCommand):
    help = "Checks a trunk: its settings, its carrier, and the way back to this server. Rings nobody."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--json", action="store_true", help="a list of steps, for programs")

    def handle(self, *_: Any, name: str, **options: Any) -> None:
        trunk = Trunk.objects.filter(name=name).first()
        if trunk is None:
            known = ", ".join(Trunk.objects.order_by("name").values_list("name", flat=True)) or "none"
            raise CommandError(f"there is no trunk {name}; there is: {known}")
        steps = []
        for step in trunk_check.check(trunk):
            steps.append(step)
            if not options["json"]:
                mark = self.style.SUCCESS("ok  ") if step.is_good else self.style.ERROR("BAD ")
                self.stdout.write(f"{mark} {step.name}: {step.said}")
        if options["json"]:
            self.stdout.write(json.dumps([asdict(step) for step in steps], indent=2))
        if bad := [step for step in steps if not step.is_good]:
            raise CommandError(f"{len(bad)} of {len(steps)} steps failed: {', '.join(step.name for step in bad)}")
