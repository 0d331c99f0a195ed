"""Counts of a campaign's numbers in the terms of its API: `stats`, by the state of each number, and `summary`."""

from campaigns.models import Call, Campaign
from campaigns.progress import Progress

Status = Call.Status

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
    """Return a count for each of KEYS. All but `pending`, the numbers that have not ended, add up to the total.

    `paused` counts the numbers that wait in a paused campaign. Canceled numbers count as `failed-no-attempt`, because
    Exotel's API has no key for them. `failed-dnd` counts those that failed for being on the do-not-call list. `invalid`
    stays zero: such numbers are refused at creation.
    """
    counts = dict.fromkeys(KEYS, 0)
    counts["created"] = progress.count(Status.CREATED)
    counts["retry"] = progress.count(Status.RETRYING)
    if campaign.status == Campaign.Status.PAUSED:
        counts["paused"] = counts["created"] + counts["retry"]
        counts["created"] = counts["retry"] = 0
    counts["retrying"] = progress.retrying_live
    counts["in-progress"] = progress.count(Status.IN_PROGRESS) - progress.retrying_live
    counts["completed"] = progress.count(Status.COMPLETED)
    counts["failed-dnd"] = progress.listed
    counts["failed-no-attempt"] = progress.untried
    counts["failed"] = progress.count(Status.FAILED, Status.CANCELED) - progress.untried - progress.listed
    counts["pending"] = progress.total - progress.ended
    return counts


def summary(progress: Progress, at_the_carrier: int) -> dict[str, int]:
    """Return the counts of the API's `summary`. call_initialized counts attempts, all other keys count numbers.

    at_the_carrier: attempts that were offered to a carrier and have not ended.
    """
    return {
        "call_scheduled": progress.total,
        "call_initialized": progress.attempts + at_the_carrier,
        "call_completed": progress.count(Status.COMPLETED),
        "call_failed": progress.count(Status.FAILED, Status.CANCELED),
        "call_inprogress": progress.count(Status.IN_PROGRESS),
    }
