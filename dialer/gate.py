"""The gate: may this campaign's calls be dialled at this moment?

One function for first tries, retries and calls to other numbers (`dialer.transfers`), asked when they are claimed and
again just before each is placed. Its verdicts are also the explanation that people see. "Not now" costs no attempt.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, overload

from accounts import public_holidays
from accounts.calling_rules import rules_of
from accounts.models import Account, CallerId, Trunk
from campaigns.models import Campaign
from dialer import daily_limits, holds
from dialer.models import CallerIdHealth, Health, TrunkHealth


class Judged(Protocol):
    """What the gate reads of a campaign: a model instance, or a row of dispatch."""

    @property
    def status(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def is_loading(self) -> bool: ...
    @property
    def send_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def account(self) -> Account: ...
    @property
    def caller_id(self) -> CallerId: ...
    @property
    def rules(self) -> Sequence[str]: ...
    @property
    def waived_rules(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Open:
    """Yes. on_trial: the trunk or the caller ID has failed lately, so a single call may try it (`rests.may_try`)."""

    on_trial: bool = False


@dataclass(frozen=True)
class NotBefore:
    """Not now.

    Attributes:
        at: when to ask again; None: when something has changed.
        code: the rule, for programs.
        because: the sentence for people.
        detail: for the operator alone.
    """

    at: datetime | None
    code: str
    because: str
    detail: str = ""


@dataclass(frozen=True)
class Never:
    """Not any more. code and because are those of NotBefore."""

    code: str
    because: str


Verdict = Open | NotBefore | Never


def check(campaign: Judged, now: datetime) -> Verdict:
    """Tell whether the campaign's calls may be dialled at this moment.

    Makes no query, but for what an account with a daily limit has used and whether the server is held, where that was
    not loaded (`daily_limits.load`, `holds.load_into`).

    Args:
        campaign: with its account, caller_id, caller_id.health and caller_id.trunk.health loaded.
    """
    return _check(campaign, now, starts_by_itself=False)


def kind(campaign: Judged, now: datetime) -> Hashable:
    """Return what `check` goes by: at this moment the gate is open for all campaigns of an account and kind, or none.

    Judging a campaign costs ten times as much as this, and an account may have hundreds of one kind.
    """
    return (
        (campaign.status, campaign.is_open, campaign.is_loading, campaign.send_at <= now, campaign.expires_at <= now),
        (campaign.caller_id.pk, tuple(campaign.rules), tuple(campaign.waived_rules)),
    )


def account_may_dial(account: Account, now: datetime) -> bool:
    """Tell what `check` asks of the account alone: where it says no, the gate is shut for all of its campaigns."""
    if not account.is_active or holds.of(account) is not None or _unknown_calendars(account):
        return False
    return account.calling_hours.is_open(now) and not daily_limits.reached(account, now)


def next_open(campaign: Judged, at: datetime) -> "datetime | NotBefore | Never":
    """Return the first moment from `at` on at which the gate will be open, as far as is known now.

    Returns:
        The moment; or why there is none: NotBefore, where it takes a person; Never, where the campaign ends before.
    """
    moment = at
    while True:
        verdict = _check(campaign, moment, starts_by_itself=True)
        if isinstance(verdict, Open):
            return moment
        if isinstance(verdict, Never) and campaign.is_open:
            ends, dials = clock(campaign.expires_at, campaign), clock(moment, campaign)
            return Never(verdict.code, f"the campaign's end, {ends}, comes before the next moment to dial, {dials}")
        if isinstance(verdict, Never) or verdict.at is None:
            return verdict
        # Later than the moment each time: what is shut at a moment opens after it.
        moment = verdict.at


def check_for_people(campaign: Judged, now: datetime) -> Verdict:
    """Tell whether a call that is up may be connected to a person: all that `check` asks but the account's daily limit.

    Such calls don't count for it, and the last call of the day goes on with all that its flow does.
    """
    return _check(campaign, now, starts_by_itself=False, is_new_call=False)


def check_for_agents(campaign: Judged, now: datetime) -> Verdict:
    """Tell whether a call that is up may be connected to the account's own people (`Account.agent_numbers`).

    They are at work when they pick up: hours, pauses, the campaign's end and what the account may dial in a day are not
    asked, but carrier and server must take the call. Arguments and queries are those of `check`.
    """
    account, caller_id = campaign.account, campaign.caller_id
    return _check_server(account) or _check_caller_id(caller_id) or _check_health(campaign, now)


def _check(campaign: Judged, now: datetime, *, starts_by_itself: bool, is_new_call: bool = True) -> Verdict:
    """Check; with starts_by_itself a campaign that is not paused counts as started from its start on.

    The daily limit is asked for new calls alone.
    """
    account = campaign.account
    if not campaign.is_open:
        return Never("ended", f"the campaign is {campaign.status}")
    if now >= campaign.expires_at:
        return Never("past-its-end", f"the campaign's end was {clock(campaign.expires_at, campaign)}")
    if shut := _check_server(account):
        return shut
    if campaign.status == Campaign.Status.PAUSED:
        return NotBefore(None, "paused", "the campaign is paused")
    if campaign.status == Campaign.Status.CREATED and not (
        now >= campaign.send_at and (starts_by_itself or campaign.is_loading)
    ):
        starts = f"the campaign starts {clock(campaign.send_at, campaign)}"
        return NotBefore(campaign.send_at, "not-started", starts)
    if campaign.is_loading and not starts_by_itself:
        return NotBefore(now, "loading", "its calls are still being made from its lists")
    if shut := _check_caller_id(campaign.caller_id):
        return shut
    if unknown := rules_of(account, campaign).unknown:
        # An update took the set away: who may be called is not known any more.
        return NotBefore(None, "unknown-rules", f"this version has no rule set {', '.join(unknown)}: choose others")
    if is_new_call and (limit := daily_limits.reached(account, now)):
        reached, tomorrow = limit
        because = f"not before {clock(tomorrow, campaign)}, because the daily limit of {reached} was reached"
        return NotBefore(tomorrow, "daily-limit", because)
    if unknown := _unknown_calendars(account):
        because = f"this version knows no public holidays of {', '.join(unknown)}: choose other calendars"
        return NotBefore(None, "unknown-calendar", because)
    if not account.calling_hours.is_open(now):
        opens = account.calling_hours.next_open(now)
        hours = f"outside the calling hours {account.calling_hours} until {clock(opens, campaign)}"
        return NotBefore(opens, "outside-calling-hours", hours)
    return _check_health(campaign, now)


def _check_server(account: Account) -> NotBefore | None:
    if not account.is_active:
        return NotBefore(None, "account-inactive", f"the account {account.sid} is inactive")
    if (why := holds.of(account)) is not None:
        return NotBefore(None, "held", holds.SENTENCE, detail=why)
    return None


def _check_caller_id(caller_id: CallerId) -> NotBefore | None:
    if caller_id.is_active:
        return None
    return NotBefore(None, "caller-id-inactive", f"the caller ID {caller_id.number} is inactive")


def _unknown_calendars(account: Account) -> tuple[str, ...]:
    """Return the account's calendars of public holidays that an update took away: its hours are not known any more."""
    return tuple(calendar for calendar in account.holidays_of if not public_holidays.is_known(calendar))


def _check_health(campaign: Judged, now: datetime) -> Verdict:
    number, trunk, own = campaign.caller_id.number, campaign.caller_id.trunk, caller_id_health(campaign)
    is_failing = own is not None and own.is_failing
    refuses = f"the trunk takes no calls from {number}"
    parts: dict[str, tuple[Health | None, str]] = {
        "trunk-down": (trunk_health(campaign), f"the trunk of {number} is down"),
        "caller-id-down": (own, f"calls from {number} fail at once" if is_failing else refuses),
    }
    for code, (health, is_down) in parts.items():
        if health and health.resting_until and health.resting_until > now:
            down = f"{is_down} since {clock(health.down_since or now, campaign)}"
            return NotBefore(health.resting_until, code, down, detail=f"{trunk.name}: {health.last_error}")
    return Open(on_trial=any(health.failures > 0 for health, _ in parts.values() if health))


def trunk_health(campaign: Judged) -> Health | None:
    """Return the health of the campaign's trunk, as it was loaded; None for one that never failed."""
    return health_of(campaign.caller_id.trunk)


def caller_id_health(campaign: Judged) -> CallerIdHealth | None:
    """Return the health of the campaign's caller ID, as it was loaded; None for one that was never refused."""
    return health_of(campaign.caller_id)


@overload
def health_of(one: CallerId) -> CallerIdHealth | None: ...
@overload
def health_of(one: Trunk) -> TrunkHealth | None: ...
def health_of(one: CallerId | Trunk) -> CallerIdHealth | TrunkHealth | None:
    """Return the health of a caller ID or a trunk, as it was loaded; None for one that has none."""
    try:
        return one.health
    except (CallerIdHealth.DoesNotExist, TrunkHealth.DoesNotExist):
        return None


def clock(moment: datetime, campaign: Judged) -> str:
    """Write the moment by the wall clock of the campaign's account, for sentences about it."""
    return f"{moment.astimezone(campaign.account.zone):%Y-%m-%d %H:%M %Z}"
