"""Delete all rows of a campaign, in slices, the rows below others first. The campaign itself goes last.

Nothing may be under way in it any more, and `is_purging` must be set, which hides it. A row that another process has
locked is passed by; then the campaign stays until the next turn, and with it whatever is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, models, transaction

from accounts import audit
from accounts.audit import Actor, Verb
from campaigns.models import Call, Campaign
from core import failpoints
from dialer.models import CallAttempt
from webhooks.models import WebhookDelivery

# Rows of one transaction, and beside them the rows below: a tenth of a second.
SLICE = 1_000


@dataclass(frozen=True)
class Part:
    """The rows of one table that belong to a campaign.

    Attributes:
        order: the columns of the index that has the campaign first; the key is the last of them.
        below: statements that delete the rows below, with the keys as their parameter. Plain SQL, because Django would
            load all rows first.
        only: a condition for the rows.
    """

    model: type[models.Model]
    order: tuple[str, ...]
    below: tuple[str, ...]
    only: str = "true"


PARTS = (
    # One that somebody has just asked to send again is sent first.
    Part(
        WebhookDelivery,
        ("id",),
        below=("DELETE FROM webhooks_webhooktry WHERE delivery_id = ANY(%s)",),
        only="next_try_at IS NULL",
    ),
    # Events that are not handled yet, or locked by `dialer.old_events`, are left behind: that deletes them in the end.
    Part(
        CallAttempt,
        ("claimed_at", "id"),
        below=(
            "DELETE FROM dialer_attempthistory WHERE subject_id = ANY(%s)",
            "DELETE FROM dialer_transfer WHERE attempt_id = ANY(%s)",
            # Of those whose files are gone: one that was made since then holds its attempt.
            "DELETE FROM dialer_recording WHERE attempt_id = ANY(%s) AND file = ''",
            """
            DELETE FROM dialer_carrierevent WHERE id = ANY(ARRAY(
                SELECT id FROM dialer_carrierevent WHERE attempt_id = ANY(%s) AND handled_at IS NOT NULL
                FOR UPDATE SKIP LOCKED
            ))
            """,
        ),
    ),
    Part(Call, ("id",), below=("DELETE FROM campaigns_callhistory WHERE subject_id = ANY(%s)",)),
)
_CAMPAIGN = (
    "DELETE FROM campaigns_customfield WHERE campaign_id = ANY(%s)",
    "DELETE FROM campaigns_campaignhistory WHERE subject_id = ANY(%s)",
    "DELETE FROM campaigns_campaign WHERE id = ANY(%s)",
)


def slices(campaign: Campaign, *, actor: Actor) -> Iterator[tuple[type[models.Model], int]]:
    """Delete the campaign. Yields after each transaction the model and how many rows of it went, without those below.

    The campaign itself stays where another process is at rows of it: the next turn takes what is left.
    """
    for part in PARTS:
        place: tuple[Any, ...] = ()
        while True:
            with transaction.atomic():
                rows = _delete_slice(part, campaign, place)
                failpoints.reached("purge-before-commit")
            failpoints.reached("purge-after-commit")
            if rows:
                place = rows[-1]
                yield part.model, len(rows)
            if len(rows) < SLICE:
                break
        # The rows of the next part may be what those that are left hang on.
        if part.model._default_manager.filter(campaign=campaign).exists():
            return
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in _CAMPAIGN:
            cursor.execute(statement, [[campaign.pk]])
        if not cursor.rowcount:  # another process was faster
            return
        audit.record(actor, Verb.DELETED, campaign, what="for its age")
    yield Campaign, 1


def _delete_slice(part: Part, campaign: Campaign, place: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Delete the rows of a part behind that place in its index, with those below. Returns their places."""
    order = ", ".join(part.order)
    behind = f"({order}) > ({', '.join(['%s'] * len(place))})" if place else "true"
    table = part.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {order} FROM {table} WHERE campaign_id = %s AND {behind} AND {part.only}
            ORDER BY {order} LIMIT {SLICE} FOR UPDATE SKIP LOCKED
            """,  # noqa: S608 -- made of constants; every value is a parameter
            [campaign.pk, *place],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        if keys := [row[-1] for row in rows]:
            for statement in (*part.below, f"DELETE FROM {table} WHERE id = ANY(%s)"):  # noqa: S608
                cursor.execute(statement, [keys])
    return rows
