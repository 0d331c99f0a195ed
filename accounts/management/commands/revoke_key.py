"""`manage.py revoke_key KEY`: end an API key now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import credentials
from accounts.management.command_kit import actor, find_key
from core import clocks


class Command(BaseCommand):
    help = "Revokes an API key at once. Its row is kept, as it says until when the key worked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the key, or the start of it")

    def handle(self, *_: Any, **options: Any) -> None:
        key = find_key(options["key"])
        if not credentials.revoke(key, actor=actor(), now=clocks.now()):
            raise CommandError(f"the key {key.key} is revoked already")
        self.stdout.write(f"revoked: {key.key}")
