"""`manage.py campaign pause | resume | complete | archive | delete`: what a person may do to campaigns."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from accounts.management.command_kit import actor
from campaigns import lifecycle
from campaigns.models import Campaign
from console.command_line.common import as_json, find_campaigns, look, one_line
from core.errors import InvalidRequest


def actions() -> dict[str, SimpleNamespace]:
    """Return an action for each verb of `lifecycle`."""
    return {name: _action(name) for name in lifecycle.VERBS}


def _action(name: str) -> SimpleNamespace:
    verb = lifecycle.VERBS[name]

    def run(options: dict[str, Any], out: OutputWrapper) -> None:
        """Act on each campaign that allows it. Raises CommandError at the end where some did not."""
        found = find_campaigns(options["campaigns"])
        acted, refusals = _each(found, lambda campaign: verb(campaign, actor=actor()))
        described = look(acted)
        if options["json"]:
            out.write(as_json({"campaigns": described, "refusals": refusals}))
        else:
            for one in described:
                out.write(one_line(one))
        if refusals:
            raise CommandError("; ".join(f"{campaign}: {sentence}" for campaign, sentence in refusals.items()))

    return SimpleNamespace(
        HELP=f"{name.capitalize()}s campaigns. {verb.consequence}".strip(), add_arguments=_arguments, run=run
    )


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("campaigns", nargs="+", metavar="campaign", help="the id of each campaign")


def _each(campaigns: list[Campaign], act: Callable[[Campaign], Campaign]) -> tuple[list[Campaign], dict[str, str]]:
    """Return those that were acted on as they are now, and by id why the others were not."""
    acted, refusals = [], {}
    for campaign in campaigns:
        try:
            acted.append(act(campaign))
        except InvalidRequest as refused:
            refusals[campaign.pk.hex] = str(refused)
    return acted, refusals
