"""`manage.py create_key SID`: another API key of an account."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import credentials
from accounts.management.key_commands import add_json, say
from accounts.models import Account


class Command(BaseCommand):
    help = "Creates an API key and prints its token, which can't be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sid", help="the account")
        parser.add_argument("--name", default="", help="what the key is for; shown in lists")
        add_json(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        account = Account.objects.filter(sid=options["sid"]).first()
        if account is None:
            raise CommandError(f"there is no account {options['sid']}")
        if len(options["name"]) > 64:
            raise CommandError("a name has at most 64 characters")
        made = credentials.create_key(account, name=options["name"])
        say(self.stdout, {"api_key": made.key, "api_token": made.token}, as_json=options["json"])
