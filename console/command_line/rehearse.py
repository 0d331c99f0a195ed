"""`manage.py campaign rehearse ID`: how a campaign would go. Nothing is called, and nothing stored."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from campaigns.models import Campaign
from console.command_line.common import add_campaign, as_json, find_campaign
from core import clocks
from dialer import rehearsal
from dialer.rehearsal import Rehearsal

HELP = "Rehearses a campaign that has not ended: when it finishes, calls per hour, who is left out and why."
# Widest bar of the chart of calls per hour.
BAR = 40


def add_arguments(parser: CommandParser) -> None:
    add_campaign(parser)
    parser.add_argument(
        "--callees", choices=["learnt", "default"], default="learnt", help="as the account's past says, or as usual"
    )
    parser.add_argument("--seed", type=int, default=1, help="of chance: the same seed, the same course")


def run(options: dict[str, Any], out: OutputWrapper) -> None:
    campaign = find_campaign(options["campaign"])
    if not campaign.is_open:
        raise CommandError(f"the campaign is {campaign.status}: there is nothing left to rehearse")
    callees = rehearsal.learnt(campaign.account) if options["callees"] == "learnt" else rehearsal.DEFAULT
    found = rehearsal.rehearse(rehearsal.of_campaign(campaign, clocks.now()), callees, seed=options["seed"])
    out.write(as_json(_plain(found)) if options["json"] else _text(found, campaign))


def _plain(found: Rehearsal) -> dict[str, Any]:
    expected = found.forecast
    moments = {"finishes_at": expected.finishes_at, "earliest": found.earliest, "latest": found.latest}
    return {
        "summary": expected.summary,
        "numbers": expected.numbers,
        "fits": expected.fits,
        "ends_at": expected.ends_at.isoformat(),
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
        "attempts": dict(found.attempts),
        "kept": {one.code: one.count for one in expected.kept},
        "hours": [asdict(hour) | {"begins_at": hour.begins_at.isoformat()} for hour in found.hours],
        "days": {day.isoformat(): starts for day, starts in found.days.items()},
        "spills_to": found.spills_to.isoformat() if found.spills_to else None,
        "learnt_from": found.callees.learnt_from,
    }


def _text(found: Rehearsal, campaign: Campaign) -> str:
    zone, expected = campaign.account.zone, found.forecast
    lines = [expected.summary]
    if found.earliest and expected.finishes_at:
        until = f"{found.latest.astimezone(zone):%Y-%m-%d %H:%M}" if found.latest else "never"
        lines.append(f"finishes between {found.earliest.astimezone(zone):%Y-%m-%d %H:%M} and {until}")
    lines += [f"{one.count:>9,} kept by {one.code}" for one in expected.kept]
    if found.spills_to:
        lines.append(f"calls would be left for {found.spills_to}")
    most = max((hour.starts for hour in found.hours), default=1)
    for hour in found.hours:
        if hour.starts:
            bar = "#" * max(1, round(hour.starts / most * BAR))
            at = f"{hour.begins_at.astimezone(zone):%Y-%m-%d %H:%M}"
            lines.append(f"{at} {hour.starts:>7,} calls {hour.channels:>7} channels (at most {hour.peak}) {bar}")
    learnt = found.callees.learnt_from
    lines.append(f"people: learnt from {learnt:,} attempts" if learnt else "people: as in most campaigns")
    return "\n".join(lines)
