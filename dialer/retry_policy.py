"""Whether and when a call is dialled again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from campaigns.models import Campaign


@dataclass(frozen=True)
class RetryPolicy:
    """A campaign's retry settings. interval is one `interval_mins`; on_status holds outcomes worth another try."""

    retries: int
    interval: timedelta
    exponential: bool
    on_status: frozenset[str]
    not_after: datetime

    @classmethod
    def of(cls, campaign: Campaign, minute: timedelta) -> "RetryPolicy":
        return cls(
            retries=campaign.number_of_retries,
            interval=(campaign.retry_interval_mins or 0) * minute,
            exponential=campaign.retry_mechanism == Campaign.Mechanism.EXPONENTIAL,
            on_status=frozenset(campaign.retry_on_status),
            not_after=campaign.expires_at,
        )


def next_attempt_at(outcome: str, attempt: int, policy: RetryPolicy, ended_at: datetime) -> datetime | None:
    """The moment to dial again, counted from the end of the attempt, or None to give up.

    attempt counts from 1, so that retries = 3 allows attempts 2, 3 and 4. With an interval of 10 minutes the waits are
    10, 10, 10 (linear) or 10, 20, 40 (exponential, interval x 2^(n-1) before retry n: reference, section 3.3). The
    moment may fall outside the calling hours: the gate holds the call until they open. None too when the moment is not
    before the campaign's end.
    """
    if outcome not in policy.on_status or attempt > policy.retries:
        return None
    factor = 2 ** (attempt - 1) if policy.exponential else 1
    moment = ended_at + policy.interval * factor
    return moment if moment < policy.not_after else None
