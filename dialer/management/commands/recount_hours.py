"""`manage.py recount_hours`: compare the tally by hour with the attempts, and correct it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.command_kit import add_json_option, print_result
from campaigns.models import Campaign
from dialer import hour_tally

# Campaigns of one statement.
PAGE = 50


class Command(BaseCommand):
    help = "Counts the attempts of all campaigns again, and corrects the tally by hour. Calls may go on meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only tell how many attempts are counted wrongly")
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        ids = list(Campaign.objects.filter(is_purging=False).order_by("pk").values_list("pk", flat=True))
        wrong = 0
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            wrong += hour_tally.discrepancies(page)
            if not options["check"]:
                hour_tally.correct(page)
        result = {"campaigns": len(ids), "wrong": wrong, "corrected": bool(wrong) and not options["check"]}
        print_result(self.stdout, result, as_json=options["json"])
