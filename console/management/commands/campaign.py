"""`manage.py campaign ACTION …`: create, watch, list and change campaigns, as the API and the console do."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandParser, OutputWrapper

from accounts.management.command_kit import add_json_option
from console.command_line import acts, call_again, create, listing, rehearse, report, watch


class Action(Protocol):
    """What an action of this command is: a module, or something like one."""

    HELP: str

    def add_arguments(self, parser: CommandParser) -> None: ...

    def run(self, options: dict[str, Any], out: OutputWrapper) -> None: ...


class Command(BaseCommand):
    help = "Creates, watches, lists and changes campaigns. `manage.py campaign ACTION --help` has the arguments."

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, action in ACTIONS.items():
            of_action = parsers.add_parser(name, help=action.HELP, description=action.HELP)
            action.add_arguments(of_action)
            add_json_option(of_action)

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        ACTIONS[action].run(options, self.stdout)


ACTIONS: Mapping[str, Action] = {
    "create": create,
    "list": listing,
    "watch": watch,
    **acts.actions(),
    "report": report,
    "again": call_again,
    "rehearse": rehearse,
}
