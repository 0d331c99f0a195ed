"""The gate: may this campaign's calls be dialled at this moment?

One function for first tries and retries, asked when calls are claimed and again just before each is placed. Its answers
are also the explanation that people see. "Not now" costs no attempt.
"""

from dataclasses import dataclass
from datetime import datetime

from campaigns.models import Campaign
from dialer.models import TrunkHealth


@dataclass(frozen=True)
class Open:
    """Yes. on_trial: the trunk has failed lately, so that a single call may try it (trunk_health.may_try)."""

    on_trial: bool = False


@dataclass(frozen=True)
class NotBefore:
    """Not now; ask again at `at`, or when something has changed where `at` is None."""

    at: datetime | None
    because: str


@dataclass(frozen=True)
class Never:
    because: str


Verdict = Open | NotBefore | Never


def check(campaign: Campaign, now: datetime) -> Verdict:
    """campaign comes with its account, caller_id and caller_id.trunk.health loaded: the gate makes no query."""
    account = campaign.account
    if not campaign.is_open:
        return Never(f"the campaign is {campaign.status}")
    if now >= campaign.expires_at:
        return Never(f"the campaign's end was {_clock(campaign.expires_at, campaign)}")
    if not account.is_active:
        return NotBefore(None, f"the account {account.sid} is inactive")
    if campaign.status == Campaign.Status.PAUSED:
        return NotBefore(None, "the campaign is paused")
    if campaign.status == Campaign.Status.CREATED:
        return NotBefore(campaign.send_at, f"the campaign starts {_clock(campaign.send_at, campaign)}")
    if not campaign.caller_id.is_active:
        return NotBefore(None, f"the caller ID {campaign.caller_id.number} is inactive")
    if not account.calling_hours.is_open(now):
        opens = account.calling_hours.next_open(now)
        return NotBefore(opens, f"outside the calling hours {account.calling_hours} until {_clock(opens, campaign)}")
    return _check_trunk(campaign, now)


def _check_trunk(campaign: Campaign, now: datetime) -> Verdict:
    trunk = campaign.caller_id.trunk
    try:
        health = trunk.health
    except TrunkHealth.DoesNotExist:
        return Open()
    if health.resting_until and health.resting_until > now:
        since = _clock(health.down_since or now, campaign)
        return NotBefore(health.resting_until, f"the trunk {trunk.name} is down since {since}: {health.last_error}")
    return Open(on_trial=health.failures > 0)


def _clock(moment: datetime, campaign: Campaign) -> str:
    return f"{moment.astimezone(campaign.account.zone):%Y-%m-%d %H:%M %Z}"
