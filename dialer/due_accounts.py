"""Which accounts have a call to dial: asked once a second, for all of them at once.

An account costs nothing here while it is outside its calling hours or all its calls wait for later: the hours of all
accounts are a few, and each campaign knows until when it is idle (`campaigns.idle`). Nothing else is kept that could be
out of date: hours, time zone and activity count from the next second on.
"""

from datetime import datetime

import structlog

from accounts.models import Account
from dialer import channels
from dialer.due_campaigns import CAMPAIGNS, NOT_SURELY_SHUT

log = structlog.get_logger(__name__)


def due(now: datetime) -> list[int]:
    """Return the ids of the active accounts inside their calling hours that seem to have a call to dial."""
    return [account.pk for account in _due(now)]


def startable(now: datetime) -> tuple[list[int], list[tuple[int, float]]]:
    """Return those of them that have a free channel and may start a call now.

    Returns:
        Their ids; and ids with the seconds until their pace allows a start, of those for which that is below one.
    """
    accounts = _due(now)
    room = channels.room(map(channels.account_scope, accounts), map(channels.account_bucket, accounts))
    at_once, soon = [], []
    for account in accounts:
        wait = room.paces[channels.account_bucket(account)].wait_after(0)
        if room.free[channels.account_scope(account)] <= 0:
            continue  # the end of a call dispatches it
        if wait == 0:
            at_once.append(account.pk)
        elif wait < 1:
            soon.append((account.pk, wait))
    return at_once, soon


def _due(now: datetime) -> list[Account]:
    open_hours = _open_hours(now)
    if not open_hours:
        return []
    return list(Account.objects.raw(_DUE, {"now": now, "open": open_hours}))


# What the calling hours of an account are made of, as one text to compare.
_HOURS = "(opens_at, closes_at, time_zone, weekly_hours, holidays_of, closed_on)::text"
_DUE = f"""
    SELECT account.id, account.channels, account.starts_per_minute FROM accounts_account AS account
    WHERE account.is_active AND {_HOURS} = ANY(%(open)s::text[]) AND EXISTS (
        SELECT FROM {CAMPAIGNS} WHERE campaign.account_id = account.id AND {NOT_SURELY_SHUT}
    ) ORDER BY account.id
"""  # noqa: S608 -- made of constants, and every value is a parameter
_DIFFERENT = f"""
    SELECT DISTINCT ON (hours) {_HOURS} AS hours, id, opens_at, closes_at, time_zone, weekly_hours, holidays_of,
        closed_on
    FROM accounts_account WHERE is_active ORDER BY hours
"""  # noqa: S608 -- made of constants


def _open_hours(now: datetime) -> list[str]:
    """Return the different calling hours of active accounts that are open now."""
    accounts = Account.objects.raw(_DIFFERENT)
    return [account.hours for account in accounts if _is_open(account, now)]  # type: ignore[attr-defined]


def _is_open(account: Account, now: datetime) -> bool:
    try:
        return account.calling_hours.is_open(now)
    except (KeyError, ValueError, OSError):
        # One account's row must not stop the others. Its own dispatch says what is wrong with it.
        log.warning("time_zone_unknown", time_zone=account.time_zone)
        return True
