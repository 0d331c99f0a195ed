"""`manage.py stop_calling`: pause every running campaign at once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.command_kit import actor, add_json_option, find_account, print_result
from console import stops
from core import clocks


class Command(BaseCommand):
    help = "Pauses every running campaign, of all accounts or of one. resume_calling resumes the same ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="SID", default="", help="only the campaigns of this account")
        parser.add_argument(
            "--hang-up", action="store_true", help="end the calls that are up, too, as far as the carriers can"
        )
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        accounts = {find_account(options["account"]).pk} if options["account"] else None
        done = stops.stop(accounts, actor=actor(), now=clocks.now(), hang_up=options["hang_up"])
        result: dict[str, Any] = {
            "stop": done.stop.pk if done.stop else None,
            "paused": done.done,
            "hung_up": done.hung_up,
            "refusals": done.refusals,
        }
        if done.go_on:
            result["go_on"] = dict(done.go_on)  # by carriers that end no calls
        print_result(self.stdout, result, as_json=options["json"])
