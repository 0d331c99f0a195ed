"""What is to be expected of a campaign that is not stored yet, in sentences."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import Account
from campaigns.models import Campaign
from console.new_campaign.people import People
from dialer import rehearsal
from dialer.rehearsal import Forecast

# People that a look rehearses with; of more, one of so many.
MOST_PEOPLE = 2_000


@dataclass(frozen=True)
class Outlook:
    """said: one sentence. is_late: whether some won't be called before the end. kept: by rules, in words."""

    said: str
    is_late: bool
    kept: list[str]


def of(campaign: Campaign, people: People, now: datetime) -> Outlook | None:
    """Look ahead. None where nobody is called, or nobody knows yet who."""
    if not people.count or (people.again and people.at_most):
        return None
    if people.again:
        setting = rehearsal.of_numbers(campaign, people.called_again, now)
    else:
        setting = rehearsal.of_draft(campaign, people.numbers or (), now, most=MOST_PEOPLE)
    found = rehearsal.forecast(setting, rehearsal.learnt(campaign.account))
    kept = [f"{one.count:,} are kept by {one.code.replace('-', ' ')}" for one in found.kept]
    return Outlook(_sentence(campaign, people, found, now), found.canceled > 0, kept)


def _sentence(campaign: Campaign, people: People, found: Forecast, now: datetime) -> str:
    """Say it: `300 people, about 12 min at 40 channels; done by 11:05`."""
    account = campaign.account
    begins = max(campaign.send_at, now)
    if found.canceled:
        ends = _clock(campaign.expires_at, account, begins)
        if found.canceled == found.numbers:
            return f"Nobody can be called before {ends}"
        return f"{found.canceled:,} of {found.numbers:,} won't fit before {ends}"
    if found.finishes_at is None:
        return f"{people.count:,} people; when the last of them is called can't be told"
    takes = _length(found.finishes_at - begins)
    done = _clock(found.finishes_at, account, begins)
    return f"{people.count:,} people, about {takes} at {channels(campaign):,} channels; done by {done}"


def channels(campaign: Campaign) -> int:
    """Return how many calls can be up at once: the least of what account, caller ID and trunk allow."""
    caller_id = campaign.caller_id
    limits = (campaign.account.channels, caller_id.channels, caller_id.trunk.channels)
    return min(limit for limit in limits if limit)


def _length(time: timedelta) -> str:
    minutes = max(1, round(time.total_seconds() / 60))
    if minutes < 120:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} days"


def _clock(moment: datetime, account: Account, begins: datetime) -> str:
    wall, first = moment.astimezone(account.zone), begins.astimezone(account.zone)
    return f"{wall:%H:%M}" if wall.date() == first.date() else f"{wall:%a %d %b %H:%M}"
