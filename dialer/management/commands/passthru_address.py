"""`manage.py passthru_address TRUNK`: the address to enter in the Passthru applet of a flow at Exotel."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Trunk
from dialer import links


class Command(BaseCommand):
    help = "Prints the address to enter in the Passthru applet of a flow at Exotel, so that keys come into the report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trunk", help="the name of a trunk over Exotel")

    def handle(self, *_: Any, trunk: str, **__: Any) -> None:
        found = Trunk.objects.defer("api_token").filter(name=trunk).first()
        if found is None:
            known = ", ".join(Trunk.objects.order_by("name").values_list("name", flat=True)) or "none"
            raise CommandError(f"there is no trunk {trunk}; there is: {known}")
        if found.kind.reports_keys:
            raise CommandError(f"{trunk} is a trunk over {found.kind.label}, which reports keys by itself")
        self.stdout.write(links.passthru_url(found.pk))
