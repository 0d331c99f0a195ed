"""What the management commands share: look up accounts and keys, and print results for people or for programs."""

import json
import os
import pwd
from collections.abc import Mapping

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from accounts.audit import Actor, Kind
from accounts.models import Account, ApiKey


def actor() -> Actor:
    """Return the operating system's user who runs the command; behind sudo also who that was before."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that has no name
        name = f"user {os.getuid()}"
    before = os.environ.get("SUDO_USER", "")
    return Actor(Kind.SYSTEM, str(os.getuid()), f"{name} ({before})" if before else name)


def find_account(sid: str) -> Account:
    """Return the account with this SID. Raises CommandError where there is none."""
    try:
        return Account.objects.get(sid=sid)
    except Account.DoesNotExist as error:
        raise CommandError(f"there is no account {sid}: create_account makes one") from error


def find_key(start: str) -> ApiKey:
    """Return the key that is `start`, or the only one that begins with it.

    Raises:
        CommandError: there is no such key, or more than one.
    """
    exact = ApiKey.objects.filter(key=start).first()
    matching = [exact] if exact else list(ApiKey.objects.filter(key__startswith=start)[:2] if start else [])
    if not matching:
        raise CommandError(f"there is no key {start}: list_keys shows them")
    if len(matching) > 1:
        raise CommandError(f"more than one key begins with {start}: give more of it")
    return matching[0]


def add_json_option(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def print_result(out: OutputWrapper, result: Mapping[str, object], *, as_json: bool) -> None:
    """Print the result as one JSON object, or as aligned lines of name and value."""
    out.write(json.dumps(result) if as_json else "\n".join(f"{name:12} {value}" for name, value in result.items()))
