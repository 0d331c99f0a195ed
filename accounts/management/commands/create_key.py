"""`manage.py create_key SID`: create another API key of an account."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import credentials
from accounts.address_ranges import validate_range
from accounts.management.command_kit import actor, add_json_option, find_account, print_result


class Command(BaseCommand):
    help = "Creates an API key and prints its token, which can't be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sid", help="the account")
        parser.add_argument("--name", default="", help="what the key is for; shown in lists")
        parser.add_argument(
            "--from",
            nargs="+",
            action="extend",
            default=[],
            metavar="NETWORK",
            help="the only networks it works from",
        )
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        account = find_account(options["sid"])
        if len(options["name"]) > 64:
            raise CommandError("a name has at most 64 characters")
        try:
            for network in options["from"]:
                validate_range(network)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        made = credentials.create_key(account, actor=actor(), name=options["name"], address_ranges=options["from"])
        print_result(self.stdout, {"api_key": made.key, "api_token": made.token}, as_json=options["json"])
