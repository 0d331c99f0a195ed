"""`manage.py ready`: what `/readyz` says, with the names and numbers that it keeps from strangers."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns_project import readiness


class Command(BaseCommand):
    help = "Says what is wrong where /readyz is not ready or warns. Ends with status 1 when it is not ready."

    def handle(self, *_: Any, **__: Any) -> None:
        parts = readiness.parts()
        for name, found in parts.items():
            self.stdout.write(f"{name}: {found}")
        for warning in readiness.warnings():
            self.stdout.write(f"warning: {warning.text}")
        if wrong := [name for name, found in parts.items() if found != readiness.OK]:
            raise CommandError(f"not ready: {', '.join(wrong)}")
