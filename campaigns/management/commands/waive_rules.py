"""`manage.py waive_rules CAMPAIGN RULE… --because "…"`: let rule sets of the account not hold for one campaign."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.command_kit import actor
from campaigns import waivers
from campaigns.models import Campaign
from core import ids
from core.errors import InvalidRequest


class Command(BaseCommand):
    help = "Lets rule sets of the account not hold for a campaign. Who did it, and why, stays in the audit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", help="the campaign's id")
        parser.add_argument("rules", nargs="*", help="rule sets of its account; none: all of them hold again")
        parser.add_argument("--because", default="", help="who decided it, and on what ground")

    def handle(self, *_: Any, **options: Any) -> None:
        campaign = Campaign.objects.filter(pk=ids.parse_or_nil(options["campaign"])).first()
        if campaign is None:
            raise CommandError(f"there is no campaign {options['campaign']}")
        try:
            waived = waivers.waive(campaign, options["rules"], because=options["because"], actor=actor())
        except InvalidRequest as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"waived: {', '.join(waived.waived_rules) or 'nothing'}")
