"""Look at the attempts under way while a run is being made: at no moment may there be more than a cap allows.

The ring log can't tell of a channel that is given away before the end of its call is committed: the phone was put down
before. The database can, where the two moments lie apart.
"""

import threading
from collections.abc import Mapping

from django.db import DatabaseError, connection

from tools.chaos.run import Run

EVERY_SECONDS = 0.02

_UNDER_WAY = """
    SELECT campaign.caller_id_id, count(*)
    FROM dialer_callattempt AS attempt JOIN campaigns_campaign AS campaign ON campaign.id = attempt.campaign_id
    WHERE campaign.account_id = %s AND attempt.status IN ('claimed', 'placing', 'in-progress', 'unknown')
    GROUP BY campaign.caller_id_id
"""


class Watch:
    """Counts the most attempts under way at once for each of the run's caps."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._most: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def violations(self) -> list[str]:
        """Return a sentence for each cap that the attempts exceeded."""
        return [
            f"{self._most[cap.name]} attempts were under way at once over {cap.name}, which has {cap.channels} channels"
            for cap in self._run.caps
            if self._most.get(cap.name, 0) > cap.channels
        ]

    def _look(self) -> None:
        try:
            while not self._stopping.wait(EVERY_SECONDS):
                try:
                    self._note(_under_way(self._run.account.pk))
                except DatabaseError:
                    connection.close()  # the run's fault; the next look opens another
        finally:
            connection.close()

    def _note(self, under_way: Mapping[int, int]) -> None:
        for cap in list(self._run.caps):
            up = sum(under_way.get(caller_id.pk, 0) for caller_id in list(cap.caller_ids))
            self._most[cap.name] = max(up, self._most.get(cap.name, 0))


def _under_way(account_id: int) -> dict[int, int]:
    """Return the attempts under way by caller ID, all as of one moment."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDER_WAY, [account_id])
        return dict(cursor.fetchall())
