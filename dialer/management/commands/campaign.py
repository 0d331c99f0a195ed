"""`manage.py campaign rehearse ID`: how a campaign would go. Nothing is called, and nothing stored."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.models import Campaign
from core import clocks, ids
from dialer import rehearsal
from dialer.rehearsal import Rehearsal

# Widest bar of the chart of calls per hour.
BAR = 40


class Command(BaseCommand):
    help = "Rehearses a campaign that has not ended: when it finishes, calls per hour, who is left out and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["rehearse"])
        parser.add_argument("campaign", help="the campaign's id")
        parser.add_argument(
            "--callees", choices=["learnt", "default"], default="learnt", help="as the account's past says, or as usual"
        )
        parser.add_argument("--seed", type=int, default=1, help="of chance: the same seed, the same course")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        campaign = Campaign.objects.select_related("account").filter(pk=ids.parse_or_nil(options["campaign"])).first()
        if campaign is None:
            raise CommandError(f"there is no campaign {options['campaign']}")
        if not campaign.is_open:
            raise CommandError(f"the campaign is {campaign.status}: there is nothing left to rehearse")
        callees = rehearsal.learnt(campaign.account) if options["callees"] == "learnt" else rehearsal.DEFAULT
        found = rehearsal.rehearse(rehearsal.of_campaign(campaign, clocks.now()), callees, seed=options["seed"])
        self.stdout.write(json.dumps(_plain(found)) if options["json"] else _text(found, campaign))


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
