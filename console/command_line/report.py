"""`manage.py campaign report ID`: the CSV that the report's link leads to."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from accounts import audit
from accounts.management.command_kit import actor
from console.command_line.common import add_campaign, as_json, find_campaign
from reports import csv_report

HELP = "Writes the report of a campaign: a line for every number."
TO_OUTPUT = "-"


def add_arguments(parser: CommandParser) -> None:
    add_campaign(parser)
    parser.add_argument("--output", metavar="FILE", default=TO_OUTPUT, help="default: -, the standard output")
    parser.add_argument("--format", choices=csv_report.FORMATS, default="csv", help="default: %(default)s")


def run(options: dict[str, Any], out: OutputWrapper) -> None:
    campaign = find_campaign(options["campaign"])
    to_file = options["output"] != TO_OUTPUT
    if options["json"] and not to_file:
        raise CommandError("--json tells what was written, so it needs --output FILE")
    audit.record(actor(), audit.Verb.DOWNLOADED, campaign, what="report")
    pieces = csv_report.stream(campaign, csv_report.FORMATS[options["format"]])
    if not to_file:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    written = _to_file(Path(options["output"]), pieces)
    result = {"file": options["output"], "bytes": written}
    out.write(as_json(result) if options["json"] else f"{written:,} bytes written to {options['output']}")


def _to_file(path: Path, pieces: Any) -> int:
    try:
        with path.open("wb") as file:
            return sum(file.write(piece) for piece in pieces)
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}") from error
