"""The row of this installation: its id, whether it is held, and how far its database is known to be whole.

`dialer.holds`, `dialer.restores`, `dialer.unknown_calls`, `dialer.reconcile` and `dialer.sweep_lease` write it. There
is one at most; none is the same as one with the values of a new one, as tests and tools may empty the table.
"""

import uuid
from typing import ClassVar

from django.db import connection, models
from django.db.models import Q

from core.composed_once import ComposedOnce

# The primary key of the row.
ONLY = 1


class Installation(models.Model):
    """One row. A copy of the database is the same installation: `identity` tells the two apart."""

    class Because(models.TextChoices):
        """Why the server is held. All but OPERATOR need a reconciliation before they are released."""

        OPERATOR = "operator", "a person holds it"
        RESTORED = "restored", "the database is older than what was dialed from it"
        DOUBTFUL = "doubtful", "the database may be older than what was dialed from it"

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    uuid = models.UUIDField(default=uuid.uuid4, editable=False)
    # What PostgreSQL says of the database itself, when it was last known to be whole.
    identity = models.CharField(max_length=255, blank=True, db_default="", default="")
    # The last sweep of recovery that came to its end, and until when one that is at work has the turn.
    alive_at = models.DateTimeField(null=True, blank=True)
    sweep_until = models.DateTimeField(null=True, blank=True)
    # All intents up to this moment that Redis had noted were found in the database.
    whole_until = models.DateTimeField(null=True, blank=True)
    # The last look of a process that dials, and the last one before the last standstill. After one the carriers must be
    # asked for calls that the database lacks, before anything is dialed, by the process that has the turn until then.
    looked_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    must_ask = models.BooleanField(default=False, db_default=False)
    asking_until = models.DateTimeField(null=True, blank=True)
    held_since = models.DateTimeField(null=True, blank=True)
    held_because = models.CharField(max_length=16, choices=Because, blank=True, db_default="", default="")
    held_why = models.CharField(max_length=255, blank=True, db_default="", default="")
    # Since when calls may be missing; when the last reconciliation was complete, and what it could not ask.
    missing_since = models.DateTimeField(null=True, blank=True)
    reconciled_at = models.DateTimeField(null=True, blank=True)
    not_asked = models.JSONField(default=list, blank=True)
    # What was lost before the last release is settled, or accepted.
    settled_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="there_is_one_installation", condition=Q(id=ONLY)),
            models.CheckConstraint(
                name="installation_is_held_for_a_reason",
                condition=Q(held_since=None, held_because="") | (Q(held_since__isnull=False) & ~Q(held_because="")),
            ),
        ]

    def __str__(self) -> str:
        return f"installation {self.uuid}"


# Every process that dials reads it every few seconds.
_ROW = ComposedOnce(Installation.objects.all)


def load() -> Installation:
    """Return the row as it is now. A new database gets its row here."""
    found = next(iter(_ROW.of([ONLY])), None)
    return found or Installation.objects.get_or_create(pk=ONLY)[0]


def may_lack_calls() -> bool:
    """Tell whether the server is held because calls may be missing that were dialed: then no campaign ends by time."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {MAY_LACK_CALLS}")
        [[may_lack]] = cursor.fetchall()
    return bool(may_lack)


# The same in SQL. Code that dials asks it behind the lock of `dialer.holds`, with what else it looks up.
MAY_LACK_CALLS = (
    f"EXISTS (SELECT FROM accounts_installation WHERE id = {ONLY}"
    f" AND held_because IN ('{Installation.Because.RESTORED.value}', '{Installation.Because.DOUBTFUL.value}'))"
)
