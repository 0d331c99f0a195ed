"""The calls of a campaign that calls some people of another one again: its parent.

All campaigns that come from the same first one by calling people again are a family. People are skipped who were taken
out by hand, of any campaign of the family, also if they were reached; who were reached, or wait to be, in any of them
but those that the parent comes from; who are on the do-not-call list; and, where the parent was made from lists, whose
number no contact has any more.
The keys that people pressed are in the attempts. The dialer owns that table, above this app: it is read here by its
name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from campaigns.call_states import DO_NOT_CALL
from campaigns.models import Call, Campaign, Outcome
from campaigns.progress import Progress
from campaigns.removal import CONTACT_DELETED, REASONS, TAKEN_OUT

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


# Why people of the selection are skipped, by a code for programs.
REACHED = "reached"
SKIPPED: Mapping[str, str] = {
    DO_NOT_CALL: "on the do-not-call list",
    CONTACT_DELETED: "of no contact any more",
    TAKEN_OUT: "taken out of the campaign",
    REACHED: "reached or waiting elsewhere",
}


@dataclass(frozen=True)
class Found:
    """Whom a selection finds. skipped: how many are not called, by the codes of SKIPPED."""

    calls: int
    skipped: Mapping[str, int]

    def __str__(self) -> str:
        skipped = [f"{count:,} {SKIPPED[code]}" for code, count in self.skipped.items()]
        return ", ".join([f"{self.calls:,} to call", *skipped])


def find(parent: Campaign, selection: Selection) -> Found:
    """Count whom a campaign would call that calls people of this one again. Nothing is stored."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, _params(parent, parent.pk, selection))
        counted = dict(cursor.fetchall())
    return Found(counted.pop("", 0), {code: counted[code] for code in SKIPPED if code in counted})


def numbers(parent: Campaign, selection: Selection) -> list[str]:
    """Return the numbers that a campaign would call that calls people of this one again, in their order."""
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS, _params(parent, parent.pk, selection))
        return [number for (number,) in cursor.fetchall()]


def make(campaign: Campaign, *, after: int = 0, most: int | None = None) -> Made:
    """Make the calls of a campaign from the next calls of its parent, in their order. One statement.

    Args:
        after: the last call of the parent that was looked at.
        most: how many to look at; None: all.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, _params(campaign, campaign.parent_id, Selection.of(campaign), after, most))
        [row] = cursor.fetchall()
    return Made(*row)


def _params(
    campaign: Campaign, parent_id: UUID | None, selection: Selection, after: int = 0, most: int | None = None
) -> dict[str, Any]:
    """Return the parameters. campaign: the new one, or its parent, which has the same account and lists."""
    return {
        "campaign": campaign.pk,
        "account": campaign.account_id,
        "parent": parent_id,
        **_family(campaign, parent_id),
        "knows_contacts": bool(campaign.list_ids),
        "outcomes": [word for word in selection.who if word != UNTRIED],
        "untried": UNTRIED in selection.who,
        "pressed": list(selection.pressed),
        "removed": list(REASONS),
        "taken_out": TAKEN_OUT,
        "after": after,
        "most": most,
    }


def _family(campaign: Campaign, parent_id: UUID | None) -> dict[str, Sequence[UUID]]:
    """Return the other campaigns of the family, as parameters.

    above: those that the parent comes from. A person who was reached there is called again for that very reason.
    beside: all others but the parent.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, {"campaign": campaign.pk, "parent": parent_id})
        rows = cursor.fetchall()
    return {
        "above": [pk for pk, is_above in rows if is_above],
        "beside": [pk for pk, is_above in rows if not is_above],
    }


# One that was purged is still known by its id, as long as a campaign that was made from it is stored.
_FAMILY = """
    WITH RECURSIVE above AS (
        SELECT %(parent)s::uuid AS id
        UNION SELECT made.parent_id FROM campaigns_campaign AS made JOIN above ON made.id = above.id
        WHERE made.parent_id IS NOT NULL
    ), family AS (
        SELECT id FROM above
        UNION SELECT child.id FROM campaigns_campaign AS child JOIN family ON child.parent_id = family.id
    )
    SELECT id, id IN (SELECT id FROM above) FROM family WHERE id NOT IN (%(campaign)s, %(parent)s)
"""

# The people of the selection, and why not. What is known of a number in the parent and its family is looked for by its
# index; OFFSET 0 keeps it so.
_CHOSEN = f"""
    WITH slice AS MATERIALIZED (
        SELECT id, number, name, variables, status, attempts_made, last_outcome, rule FROM campaigns_call
        WHERE campaign_id = %(parent)s AND id > %(after)s ORDER BY id LIMIT %(most)s
    ), chosen AS MATERIALIZED (
        SELECT id, number, name, variables, CASE
            WHEN rule = ANY(%(removed)s::text[]) THEN rule
            WHEN family.is_out THEN %(taken_out)s
            WHEN EXISTS (
                SELECT FROM contacts_donotcall AS own WHERE own.number = slice.number AND own.account_id = %(account)s
            ) OR EXISTS (
                SELECT FROM contacts_donotcall AS of_all
                WHERE of_all.number = slice.number AND of_all.account_id IS NULL
            ) THEN '{DO_NOT_CALL}'
            WHEN %(knows_contacts)s AND NOT EXISTS (
                SELECT FROM contacts_contact AS contact
                WHERE contact.account_id = %(account)s AND contact.number = slice.number
            ) THEN '{CONTACT_DELETED}'
            WHEN family.is_reached THEN '{REACHED}'
            ELSE '' END AS skipped
        FROM slice CROSS JOIN LATERAL (
            SELECT bool_or(other.rule = %(taken_out)s) AS is_out,
                bool_or(other.status NOT IN ('failed', 'canceled') AND (
                    other.campaign_id = ANY(%(beside)s::uuid[])
                    OR (other.campaign_id = %(parent)s AND slice.status <> 'completed')
                )) AS is_reached
            FROM (SELECT campaign_id, status, rule FROM campaigns_call WHERE number = slice.number OFFSET 0) AS other
            WHERE other.campaign_id = %(parent)s OR other.campaign_id = ANY(%(beside)s::uuid[] || %(above)s::uuid[])
        ) AS family
        WHERE (
                status IN ('failed', 'canceled') AND attempts_made > 0 AND last_outcome = ANY(%(outcomes)s::text[])
            )
            OR (%(untried)s AND status IN ('failed', 'canceled') AND attempts_made = 0)
            OR (status = 'completed' AND cardinality(%(pressed)s::text[]) > 0 AND EXISTS (
                SELECT FROM dialer_callattempt AS attempt
                WHERE attempt.call_id = slice.id AND attempt.status = 'completed'
                    AND attempt.digits = ANY(%(pressed)s::text[])
            ))
    )
"""  # noqa: S608 -- made of constants, and every value is a parameter
_FIND = f"{_CHOSEN} SELECT skipped, count(*) FROM chosen GROUP BY skipped"  # noqa: S608
_NUMBERS = f"{_CHOSEN} SELECT number FROM chosen WHERE skipped = '' ORDER BY id"  # noqa: S608
_MAKE = f"""
    {_CHOSEN}, made AS (
        INSERT INTO campaigns_call (campaign_id, number, name, variables)
        SELECT %(campaign)s, number, name, variables FROM chosen WHERE skipped = '' ORDER BY id RETURNING id
    )
    SELECT (SELECT count(*) FROM slice), (SELECT max(id) FROM slice), (SELECT count(*) FROM made)
"""  # noqa: S608
