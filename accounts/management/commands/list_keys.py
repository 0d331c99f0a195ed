"""`manage.py list_keys`: show API keys with their last use."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.models import ApiKey
from core import clocks

COLUMNS = "{:20} {:20} {:32} {:18} {}"


class Command(BaseCommand):
    help = "Lists API keys, of all accounts or of one. Times in UTC."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sid", nargs="?", default="", help="only those of this account")

    def handle(self, *_: Any, **options: Any) -> None:
        keys = ApiKey.objects.select_related("account").order_by("account__sid", "created_at", "id")
        if options["sid"]:
            keys = keys.filter(account__sid=options["sid"])
        now = clocks.now()
        self.stdout.write(COLUMNS.format("account", "name", "key", "last used", "state"))
        for key in keys:
            row = (key.account.sid, key.name, key.key, _minute(key.last_used_at) or "never", _state(key, now))
            self.stdout.write(COLUMNS.format(*row))


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is None:
        return "in use"
    return f"{'in use until' if key.works(now) else 'revoked'} {_minute(key.revoked_at)}"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
