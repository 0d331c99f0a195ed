"""A campaign's numbers in the terms of its API: stats (by what has become of each number) and summary."""

from campaigns.models import Call, Campaign
from campaigns.progress import Progress

S = Call.Status

KEYS = (
    "created",
    "in-progress",
    "retry",
    "retrying",
    "completed",
    "failed",
    "failed-dnd",
    "invalid",
    "paused",
    "failed-no-attempt",
    "pending",
)


def stats(campaign: Campaign, progress: Progress) -> dict[str, int]:
    """Counts of numbers in every one of KEYS; all but `pending`, everything not yet ended, add up to the total.

    `paused` holds what waits in a paused campaign. Numbers that were canceled count as `failed-no-attempt`: the wire
    has no key of their own. `failed-dnd` and `invalid` stay zero: such numbers are refused at creation.
    """
    counts = dict.fromkeys(KEYS, 0)
    counts["created"] = progress.count(S.CREATED)
    counts["retry"] = progress.count(S.RETRYING)
    if campaign.status == Campaign.Status.PAUSED:
        counts["paused"] = counts["created"] + counts["retry"]
        counts["created"] = counts["retry"] = 0
    counts["retrying"] = progress.retrying_live
    counts["in-progress"] = progress.count(S.IN_PROGRESS) - progress.retrying_live
    counts["completed"] = progress.count(S.COMPLETED)
    counts["failed-no-attempt"] = progress.untried
    counts["failed"] = progress.count(S.FAILED, S.CANCELED) - progress.untried
    counts["pending"] = progress.total - progress.ended
    return counts


def summary(progress: Progress, at_the_carrier: int) -> dict[str, int]:
    """call_initialized counts attempts that were started, everything else numbers. at_the_carrier: those without an
    end.
    """
    return {
        "call_scheduled": progress.total,
        "call_initialized": progress.attempts + at_the_carrier,
        "call_completed": progress.count(S.COMPLETED),
        "call_failed": progress.count(S.FAILED, S.CANCELED),
        "call_inprogress": progress.count(S.IN_PROGRESS),
    }
