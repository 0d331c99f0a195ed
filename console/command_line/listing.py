"""`manage.py campaign list`: campaigns with their people by what became of them, the newest first."""

from typing import Any

from django.core.management.base import CommandParser, OutputWrapper

from accounts.management.command_kit import find_account
from campaigns.models import Campaign
from console.command_line.common import as_json, look, one_line

HELP = "Lists campaigns, the newest first."
SHOWN = 50


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--account", metavar="SID", default="", help="only those of this account")
    parser.add_argument(
        "--status", nargs="+", default=[], choices=Campaign.Status.values, help="only those in one of these"
    )
    parser.add_argument("--limit", type=int, default=SHOWN, help="how many (default: %(default)s)")


def run(options: dict[str, Any], out: OutputWrapper) -> None:
    campaigns = Campaign.objects.filter(is_purging=False).exclude(status=Campaign.Status.DELETED)
    if options["account"]:
        campaigns = campaigns.filter(account=find_account(options["account"]))
    if options["status"]:
        campaigns = campaigns.filter(status__in=options["status"])
    shown = look(campaigns.select_related("account").order_by("-created_at", "-pk")[: max(0, options["limit"])])
    if options["json"]:
        out.write(as_json(shown))
        return
    for described in shown:
        out.write(one_line(described))
    if not shown:
        out.write("no campaigns")
