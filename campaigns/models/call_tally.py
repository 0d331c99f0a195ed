"""The calls of each campaign, counted by a trigger in the database."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class CallTally(models.Model):
    """A change in the number of calls of one campaign and status.

    A campaign of a million calls is too large to count for every page that shows its progress. So a trigger adds rows
    with the differences for each statement that inserts, updates or deletes calls, and the sum over a campaign's rows
    is its state. `progress.compact` replaces them by their sums from time to time. Statements only insert rows, so they
    never wait for each other.
    """

    # Not a foreign key: the rows of a deleted campaign add up to zero, and the next compaction removes them.
    campaign_id = models.UUIDField()
    status = models.CharField(max_length=16, help_text="Of these calls; failed-dnd: failed, as they must not be made.")
    tried = models.BooleanField(help_text="Whether these calls had an attempt that counted.")
    calls = models.BigIntegerField()
    attempts = models.BigIntegerField(help_text="The attempts of these calls that counted.")
    is_sum = models.BooleanField(default=False, db_default=False, help_text="Whether the row replaced others.")

    class Meta:
        indexes: ClassVar = [
            # Read by progress.of.
            models.Index(fields=["campaign_id"], name="tally_of_campaign"),
            # Read by progress.compact: the rows since its last run.
            models.Index(fields=["id"], name="tally_to_add_up", condition=Q(is_sum=False)),
        ]

    def __str__(self) -> str:
        return f"{self.calls:+} {self.status}"
