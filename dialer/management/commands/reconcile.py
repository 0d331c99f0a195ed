"""`manage.py reconcile`: after a restore, ask the carriers what was dialed since the backup, and record it."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from accounts.management.command_kit import actor, add_json_option
from core import clocks
from core.errors import WrongState
from dialer import reconcile
from dialer.reconcile import Reconciled

# Seconds between two tries.
AGAIN = 5.0


class Command(BaseCommand):
    help = "Asks the carriers for the calls that a restored database lacks, and records them. The server must be held."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=_moment, metavar="TIME", help="when the backup was made, in UTC")
        parser.add_argument(
            "--wait", type=float, default=120.0, metavar="SECONDS", help="try again for so long until it is complete"
        )
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        deadline = time.monotonic() + options["wait"]
        recorded = 0
        while True:
            try:
                done = reconcile.reconcile(clocks.now(), actor=actor(), since=options["since"])
            except WrongState as error:
                raise CommandError(str(error)) from error
            recorded += done.recorded
            if done.is_complete or time.monotonic() > deadline:
                break
            time.sleep(AGAIN)
        done.recorded = recorded
        self.stdout.write(json.dumps(_plain(done)) if options["json"] else _text(done))
        if not done.is_complete:
            raise CommandError("not complete: run it again, with the server's processes started")


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(done: Reconciled) -> dict[str, Any]:
    return {**asdict(done), "since": done.since.isoformat(), "is_complete": done.is_complete}


def _text(done: Reconciled) -> str:
    lines = [
        f"{done.listed:>9,} calls are listed by the carriers since {done.since:%Y-%m-%d %H:%M:%S} UTC",
        f"{done.known:>9,} of them are known here",
        f"{done.recorded:>9,} were missing and are recorded now, {done.up:,} of them still up",
        f"{done.elsewhere:>9,} were to numbers for which no call waits here: nobody is called again for them",
    ]
    if done.in_doubt:
        lines.append(f"{done.in_doubt:>9,} are in doubt: recovery is asking for them")
    if done.seconds_to_wait:
        lines.append(f"wait {done.seconds_to_wait:.0f} s more: the carriers' lists lag behind their calls")
    for account, why in done.not_asked.items():
        lines.append(f"NOT ASKED {account}: {why}")
    if done.not_asked:
        lines.append("People who were called over these may be called again: see manage.py release --help")
    elif done.is_complete:
        lines.append("complete: manage.py release lets the server dial again")
    return "\n".join(lines)
