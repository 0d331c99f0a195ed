"""Calls of one campaign that end together: half a million when a large campaign is stopped."""

from collections.abc import Collection, Iterator

from campaigns.models import Call, Campaign

SLICE = 1000


class EndedCalls:
    """Iterate over the calls with these ids, in the order of the ids, as they are in the database.

    They are loaded in slices during the iteration. So they cost nothing where no receiver needs them, as in a campaign
    without a callback address, and never fill the memory.
    """

    def __init__(self, campaign: Campaign, ids: Collection[int]) -> None:
        self._campaign = campaign
        self._ids = ids

    def __iter__(self) -> Iterator[Call]:
        ids = sorted(self._ids)
        for start in range(0, len(ids), SLICE):
            # Without the values of a dynamic campaign's row, which are the largest part of a call.
            calls = Call.objects.filter(pk__in=ids[start : start + SLICE]).defer("variables")
            for call in calls.order_by("pk"):
                call.campaign = self._campaign
                yield call
