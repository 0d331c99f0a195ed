"""`manage.py campaign watch ID`: a live bar until the campaign has ended."""

import time
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser, OutputWrapper
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from campaigns.models import Campaign
from console.command_line.common import add_campaign, as_json, find_campaign, look, one_line
from core import clocks
from dialer import diagnosis

HELP = "Shows a campaign until it has ended; Ctrl-C ends the watching, not the campaign."


def add_arguments(parser: CommandParser) -> None:
    add_campaign(parser)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks (default: %(default)s)")


def run(options: dict[str, Any], out: OutputWrapper) -> None:
    """Print a line of JSON whenever something has changed, or draw a bar for people."""
    looks = _looks(find_campaign(options["campaign"]), max(0.1, options["interval"]))
    try:
        if options["json"]:
            _print_changes(looks, out)
        else:
            _draw(looks, out)
    except KeyboardInterrupt:
        out.write("the campaign goes on; `manage.py campaign pause` pauses it")


def _looks(campaign: Campaign, interval: float) -> Iterator[dict[str, Any]]:
    """Yield what there is to see, the last time once the campaign and its last call have ended."""
    while True:
        campaign.refresh_from_db()
        (described,) = look([campaign])
        yield described | {"why": diagnosis.of_campaign(campaign, clocks.now()).summary}
        if not campaign.is_open and not campaign.is_ending:
            return
        time.sleep(interval)


def _print_changes(looks: Iterator[dict[str, Any]], out: OutputWrapper) -> None:
    last: dict[str, Any] = {}
    for seen in looks:
        if seen != last:
            out.write(as_json(seen))
            out.flush()
        last = seen


def _draw(looks: Iterator[dict[str, Any]], out: OutputWrapper) -> None:
    seen: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[why]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=out)) as bars:  # type: ignore[arg-type] # it has all that is used
        bar = bars.add_task("", total=None, why="")
        for seen in looks:
            described = f"{seen['status']}, {seen['reached']:,} reached"
            bars.update(
                bar, description=described, total=seen["total"], completed=seen["total"] - seen["left"], why=seen["why"]
            )
    out.write(one_line(seen))
