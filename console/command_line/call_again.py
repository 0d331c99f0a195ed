"""`manage.py campaign again ID`: call some people of a campaign again, by a campaign of their own."""

from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from accounts.management.command_kit import actor
from campaigns import again
from campaigns.called_again import WHO, Selection
from console.command_line.common import add_campaign, as_json, find_campaign, told
from core import clocks, ids

HELP = "Calls those again who were not reached, or who pressed a key. The reached and the do-not-call list are skipped."


def add_arguments(parser: CommandParser) -> None:
    add_campaign(parser)
    parser.add_argument("--who", nargs="+", default=[], choices=WHO, help="those whose last try ended so")
    parser.add_argument("--pressed", nargs="+", default=[], metavar="KEYS", help="those who pressed exactly these keys")
    parser.add_argument("--name", help="of the new campaign (default: that of the first, with “(again)”)")
    parser.add_argument("--dry-run", action="store_true", help="only tell how many would be called")


def run(options: dict[str, Any], out: OutputWrapper) -> None:
    parent = find_campaign(options["campaign"])
    selection = Selection(tuple(options["who"]), tuple(options["pressed"]))
    if not selection.who and not selection.pressed:
        raise CommandError(f"say whom to call again: --who {' '.join(WHO)}, or --pressed KEYS")
    changes = {"name": options["name"]} if options["name"] else {}
    with told():
        if options["dry_run"]:
            found = again.find(parent, selection)
            result = {"calls": found.calls, "skipped": dict(found.skipped)}
            out.write(as_json(result) if options["json"] else str(found))
            return
        child = again.create(parent, selection, actor=actor(), now=clocks.now(), **changes)
    made = {"id": ids.wire_id(child.pk), "name": child.name, "status": str(child.status)}
    out.write(as_json(made) if options["json"] else f"{made['id']}  {made['status']}  {made['name']}")
