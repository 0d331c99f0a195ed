"""Numbers that must not be dialed, whatever the gate says of their campaign.

Asked just before the carrier is: the account's settings may have changed since the number came in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from accounts.models import Account
from campaigns.models import Campaign
from contacts import destinations


class Dialed(Protocol):
    """An attempt that may be placed."""

    @property
    def attempt_id(self) -> UUID: ...
    @property
    def campaign_id(self) -> UUID: ...
    @property
    def number(self) -> str: ...


def refused(attempts: Iterable[Dialed], campaigns: Mapping[UUID, Campaign]) -> dict[UUID, str]:
    """Return why some of the attempts must never be placed, by their ids.

    Makes a query only where a number is not of the countries that the campaigns themselves tell.

    Args:
        campaigns: of the attempts, with account and caller_id loaded.
    """
    of_account: dict[Account, list[Dialed]] = defaultdict(list)
    caller_ids: dict[Account, set[str]] = defaultdict(set)
    for attempt in attempts:
        campaign = campaigns[attempt.campaign_id]
        of_account[campaign.account].append(attempt)
        caller_ids[campaign.account].add(campaign.caller_id.number)
    found: dict[UUID, str] = {}
    for account, dialed in of_account.items():
        known = destinations.of(account, caller_ids[account])
        doubtful = [attempt for attempt in dialed if known.why_not(attempt.number)]
        called = destinations.of_account(account) if doubtful else known
        found |= {attempt.attempt_id: why for attempt in doubtful if (why := called.why_not(attempt.number))}
    return found
