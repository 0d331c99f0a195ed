"""What the commands for API keys share."""

import json
from collections.abc import Mapping

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from accounts.models import ApiKey


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def say(out: OutputWrapper, answer: Mapping[str, str], *, as_json: bool) -> None:
    out.write(json.dumps(answer) if as_json else "\n".join(f"{name:12} {value}" for name, value in answer.items()))


def find(start: str) -> ApiKey:
    """The key that is, or begins, so. Raises CommandError where there is none, or more than one."""
    exact = ApiKey.objects.filter(key=start).first()
    matching = [exact] if exact else list(ApiKey.objects.filter(key__startswith=start)[:2] if start else [])
    if not matching:
        raise CommandError(f"there is no key {start}: list_keys shows them")
    if len(matching) > 1:
        raise CommandError(f"more than one key begins with {start}: give more of it")
    return matching[0]
