"""`manage.py rotate_key KEY`: create a new API key beside an old one, which ends soon."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import credentials
from accounts.management.command_kit import actor, add_json_option, find_key, print_result
from accounts.models import ApiKey
from core import clocks


class Command(BaseCommand):
    help = "Creates a new API key of the same account and name, and revokes the old one when the overlap is over."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the key to replace, or the start of it")
        hours = credentials.OVERLAP / timedelta(hours=1)
        parser.add_argument(
            "--overlap-hours", type=float, default=hours, help=f"the old key works so much longer ({hours:g})"
        )
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        old = find_key(options["key"])
        if not 0 <= options["overlap_hours"] <= 24 * 365:
            raise CommandError("the overlap is from 0 hours to a year")
        overlap = timedelta(hours=options["overlap_hours"])
        try:
            made = credentials.rotate(old, actor=actor(), now=clocks.now(), overlap=overlap)
        except credentials.Revoked as error:
            raise CommandError(str(error)) from error
        ends = ApiKey.objects.get(pk=old.pk).revoked_at
        assert ends is not None
        result = {"api_key": made.key, "api_token": made.token, "old_key": old.key, "old_key_ends": ends.isoformat()}
        print_result(self.stdout, result, as_json=options["json"])
