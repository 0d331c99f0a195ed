"""`manage.py create_trunk NAME`: create a way out to the telephone network."""

import getpass
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit, carriers
from accounts.management.command_kit import actor
from accounts.models import Trunk


class Command(BaseCommand):
    help = "Creates a trunk. The carrier's API token is asked for, or read from standard input, never an argument."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        kinds = carriers.all_kinds()
        offered = ", ".join(kind.name for kind in kinds if not kind.is_for_tests)
        for_tests = ", ".join(kind.name for kind in kinds if kind.is_for_tests)
        parser.add_argument(
            "--carrier",
            choices=[kind.name for kind in kinds],
            default="exotel",
            metavar="CARRIER",
            help=f"{offered} (default: exotel); for tests and benchmarks: {for_tests}",
        )
        parser.add_argument(
            "--base-url",
            default="",
            help="the carrier's API, such as https://host, or a SIP trunk: sip:host:5060",
        )
        parser.add_argument("--account-sid", default="", help="the operator's account at the carrier")
        parser.add_argument("--api-key", default="")
        parser.add_argument(
            "--signing-key",
            action="store_true",
            help="also ask for the key of the carrier's signatures; on standard input it is the second line",
        )
        parser.add_argument("--channels", type=int, default=None, help="the most calls at once over this trunk")

    def handle(self, *_: Any, **options: Any) -> None:
        needs_token = carriers.get(options["carrier"]).needs_credentials or options["api_key"]
        token = _asked_for("API token") if needs_token else ""
        signing_key = _asked_for("Signing key") if options["signing_key"] else ""
        trunk = Trunk(
            name=options["name"],
            carrier=options["carrier"],
            base_url=options["base_url"].rstrip("/"),
            account_sid=options["account_sid"],
            api_key=options["api_key"],
            api_token=token,
            signing_key=signing_key,
            channels=options["channels"],
        )
        try:
            trunk.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        with transaction.atomic():
            trunk.save()
            audit.record(actor(), audit.Verb.CREATED, trunk)
        self.stdout.write(f"{trunk.name}: {trunk.get_carrier_display()}")


def _asked_for(name: str) -> str:
    """Return a secret that is typed, or the next line of standard input. It never stands among the arguments."""
    return getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
