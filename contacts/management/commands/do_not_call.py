"""`manage.py do_not_call import FILE --kind ncpr --date 2030-01-31`: import the numbers of a registry."""

import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any, TextIO

import phonenumbers
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.command_kit import actor, find_account
from contacts import registry_import
from contacts.registry_import import Imported, Registry
from core.batches import TRANSIENT_ERRORS
from core.errors import Conflict

# Seconds between two lines of progress.
PROGRESS_SECONDS = 5.0
# What is read of a line at the most, in characters: a file that is no text may have a single one.
LONGEST_LINE = 65_536
# Without a region only numbers with a country code are read.
NO_REGION = "ZZ"


class Command(BaseCommand):
    help = (
        "Imports a registry's file into the do-not-call list of all accounts, or of one. The first cell of each line is"
        " the number. Lines that have none are counted, and the first of them shown."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        importing = actions.add_parser("import")
        importing.add_argument("file", help="text or CSV in UTF-8; - reads the standard input")
        importing.add_argument("--kind", required=True, help="the registry's name, such as ncpr")
        importing.add_argument("--date", required=True, type=_date, help="its as-of date, such as 2030-01-31")
        importing.add_argument("--account", metavar="SID", help="for this account alone")
        importing.add_argument("--region", help="the country of numbers without a country code, such as IN")
        importing.add_argument(
            "--replace", action="store_true", help="remove the numbers of this registry that the file does not have"
        )
        importing.add_argument(
            "--remove-most", action="store_true", help="do so even where these are more than the file has"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        account = find_account(options["account"]) if options["account"] else None
        region = options["region"] or (account.region if account else NO_REGION)
        if region not in {NO_REGION, *phonenumbers.SUPPORTED_REGIONS}:
            raise CommandError(f"--region {region} is no country with phone numbers: give a code such as IN, US or GB")
        if not 0 < len(options["kind"]) <= 64:
            raise CommandError("--kind must have 1 to 64 characters")
        registry = Registry(options["kind"], options["date"], region, account)
        with _opened(options["file"]) as file:
            done = self._import(_lines(file), registry)
        for line, why in done.unreadable:
            self.stderr.write(f"line {line:,}: {why}")
        if options["replace"] and done.read:
            self._remove_older(registry, done, even_most=options["remove_most"])
        self.stdout.write(_told(done))
        if not done.read:
            raise CommandError("no line has a number: is this the right file, and --region right?")

    def _import(self, lines: Iterable[str], registry: Registry) -> Imported:
        try:
            return registry_import.run(lines, registry, actor=actor(), tell=self._now_and_then())
        except TRANSIENT_ERRORS as error:
            raise CommandError(f"PostgreSQL failed: {error}. Run the command again: it goes on") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"the file is not UTF-8: {error.reason}. Convert it first") from error

    def _remove_older(self, registry: Registry, done: Imported, *, even_most: bool) -> None:
        try:
            registry_import.remove_older(registry, done, actor=actor(), tell=self._now_and_then(), even_most=even_most)
        except TRANSIENT_ERRORS as error:
            raise CommandError(f"PostgreSQL failed: {error}. Run the command again: it goes on") from error
        except Conflict as refused:
            self.stdout.write(_told(done))
            raise CommandError(str(refused)) from refused

    def _now_and_then(self) -> Callable[[Imported], None]:
        told_at = time.monotonic()

        def tell(done: Imported) -> None:
            nonlocal told_at
            if time.monotonic() >= told_at + PROGRESS_SECONDS:
                told_at = time.monotonic()
                self.stdout.write(_told(done))

        return tell


def _opened(name: str) -> AbstractContextManager[TextIO]:
    if name == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(name).open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}") from error


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines, each of them cut where it is far too long."""
    while line := file.readline(LONGEST_LINE):
        yield line
        while len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            line = file.readline(LONGEST_LINE)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a day, as in 2030-01-31, not {text!r}") from None


def _told(done: Imported) -> str:
    return (
        f"{done.lines:,} numbers read: {done.added:,} added, {done.renewed:,} renewed, {done.known:,} known,"
        f" {done.rejected:,} rejected, {done.removed:,} removed"
    )
