"""The calls of a campaign that calls some people of another one again: its parent.

People who were reached, or wait to be, in another campaign made from the same parent are skipped, and so are those on
the do-not-call list and those who were taken out. The keys that people pressed are in the attempts. The dialer owns
that table, above this app: it is read here by its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from campaigns.models import Call, Campaign, Outcome
from campaigns.progress import Progress
from campaigns.removal import REASONS

UNTRIED = "untried"
# The ends of calls that may be made again.
WHO = (Outcome.NO_ANSWER.value, Outcome.BUSY.value, Outcome.FAILED.value, UNTRIED)


@dataclass(frozen=True)
class Selection:
    """Whom to call again.

    Attributes:
        who: of WHO: those whose last attempt ended so, or who were never tried.
        pressed: those who pressed exactly these keys.
    """

    who: tuple[str, ...] = ()
    pressed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join([*self.who, *(f"pressed {keys}" for keys in self.pressed)])

    def as_json(self) -> dict[str, list[str]]:
        return {"who": list(self.who), "pressed": list(self.pressed)}

    @classmethod
    def of(cls, campaign: Campaign) -> "Selection":
        stored = campaign.again or {}
        return cls(tuple(stored.get("who", ())), tuple(stored.get("pressed", ())))

    def at_most(self, counted: Progress) -> int:
        """Return how many people it can have, of a campaign with this progress."""
        calls = counted.untried if self.who == (UNTRIED,) else 0
        if set(self.who) - {UNTRIED}:
            calls = counted.count(Call.Status.FAILED, Call.Status.CANCELED)
        return calls + (counted.count(Call.Status.COMPLETED) if self.pressed else 0)


class Made(NamedTuple):
    """Calls of the parent that were looked at, the last of them, and how many calls were made."""

    looked_at: int
    last: int | None
    made: int


def make(campaign: Campaign, *, after: int = 0, most: int | None = None) -> Made:
    """Make the calls of a campaign from the next calls of its parent, in their order. One statement.

    Args:
        after: the last call of the parent that was looked at.
        most: how many to look at; None: all.
    """
    selection = Selection.of(campaign)
    params: dict[str, Any] = {
        "campaign": campaign.pk,
        "account": campaign.account_id,
        "parent": campaign.parent_id,
        "family": _family(campaign),
        "outcomes": [word for word in selection.who if word != UNTRIED],
        "untried": UNTRIED in selection.who,
        "pressed": list(selection.pressed),
        "taken_out": list(REASONS),
        "after": after,
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, params)
        [row] = cursor.fetchall()
    return Made(*row)


def _family(campaign: Campaign) -> Sequence[UUID]:
    """Return the other campaigns that call people of the parent again, and those that call people of those."""
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, {"campaign": campaign.pk, "parent": campaign.parent_id})
        return [pk for (pk,) in cursor.fetchall()]


_FAMILY = """
    WITH RECURSIVE family AS (
        SELECT id FROM campaigns_campaign WHERE parent_id = %(parent)s
        UNION SELECT child.id FROM campaigns_campaign AS child JOIN family ON child.parent_id = family.id
    )
    SELECT id FROM family WHERE id <> %(campaign)s
"""

# A number that is open or was answered elsewhere is looked for by its index. OFFSET 0 keeps it so.
_MAKE = """
    WITH slice AS MATERIALIZED (
        SELECT id, number, name, variables, status, attempts_made, last_outcome, rule FROM campaigns_call
        WHERE campaign_id = %(parent)s AND id > %(after)s ORDER BY id LIMIT %(most)s
    ), made AS (
        INSERT INTO campaigns_call (campaign_id, number, name, variables)
        SELECT %(campaign)s, number, name, variables FROM slice
        WHERE rule <> ALL(%(taken_out)s::text[]) AND (
            (status = 'failed' AND attempts_made > 0 AND last_outcome = ANY(%(outcomes)s::text[]))
            OR (%(untried)s AND status IN ('failed', 'canceled') AND attempts_made = 0)
            OR (status = 'completed' AND cardinality(%(pressed)s::text[]) > 0 AND EXISTS (
                SELECT FROM dialer_callattempt AS attempt
                WHERE attempt.call_id = slice.id AND attempt.status = 'completed'
                    AND attempt.digits = ANY(%(pressed)s::text[])
            ))
        ) AND NOT EXISTS (
            SELECT FROM (
                SELECT id, campaign_id FROM campaigns_call
                WHERE number = slice.number AND status NOT IN ('failed', 'canceled') OFFSET 0
            ) AS other
            WHERE other.campaign_id = ANY(%(family)s::uuid[])
                OR (other.campaign_id = %(parent)s AND slice.status <> 'completed')
        ) AND NOT EXISTS (
            SELECT FROM contacts_donotcall AS own WHERE own.number = slice.number AND own.account_id = %(account)s
        ) AND NOT EXISTS (
            SELECT FROM contacts_donotcall AS of_all WHERE of_all.number = slice.number AND of_all.account_id IS NULL
        )
        ORDER BY id RETURNING id
    )
    SELECT (SELECT count(*) FROM slice), (SELECT max(id) FROM slice), (SELECT count(*) FROM made)
"""
