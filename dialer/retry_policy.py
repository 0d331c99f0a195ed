"""Decide whether and when a call is dialled again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from campaigns.models import Campaign


@dataclass(frozen=True)
class RetryPolicy:
    """A campaign's retry settings.

    Attributes:
        interval: the campaign's `interval_mins`.
        on_status: the outcomes after which another attempt is made.
        not_after: the campaign's end.
    """

    retries: int
    interval: timedelta
    exponential: bool
    on_status: frozenset[str]
    not_after: datetime

    @classmethod
    def of(cls, campaign: Campaign, minute: timedelta) -> "RetryPolicy":
        """Return the campaign's policy. minute: how long one of its minutes is; shorter in tests."""
        return cls(
            retries=campaign.number_of_retries,
            interval=(campaign.retry_interval_mins or 0) * minute,
            exponential=campaign.retry_mechanism == Campaign.Mechanism.EXPONENTIAL,
            on_status=frozenset(campaign.retry_on_status),
            not_after=campaign.expires_at,
        )


def next_attempt_at(outcome: str, attempt: int, policy: RetryPolicy, ended_at: datetime) -> datetime | None:
    """Return the moment to dial again, counted from the end of the attempt, or None to give up.

    With an interval of 10 minutes the waits are 10, 10, 10 (linear) or 10, 20, 40 (exponential: interval x 2^(n-1)
    before retry n, as Exotel's Campaigns API documentation defines it). The moment may fall outside the calling hours:
    the gate holds the call back until they open. A moment at or after the campaign's end is None, too.

    Args:
        attempt: the number of the attempt that ended, from 1: retries = 3 allows attempts 2, 3 and 4.
    """
    if outcome not in policy.on_status or attempt > policy.retries:
        return None
    factor = 2 ** (attempt - 1) if policy.exponential else 1
    moment = ended_at + policy.interval * factor
    return moment if moment < policy.not_after else None
