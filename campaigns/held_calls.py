"""Calls that a rule for their number holds until a moment: the only module that holds and releases calls that wait.

A held call is not due, so it costs dispatch nothing until then. Its status stays: waiting is no event in its history.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection


class Hold(NamedTuple):
    """A call that must not be dialed before a moment, because of that rule."""

    call_id: int
    until: datetime
    rule: str


def hold(holds: Sequence[Hold]) -> None:
    """Hold calls that the caller's transaction has locked. One statement."""
    if not holds:
        return
    call_ids, moments, rules = zip(*holds, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE campaigns_call AS call SET next_attempt_at = held.until, rule = held.rule
            FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS held(id, until, rule)
            WHERE call.id = held.id AND call.status IN ('created', 'retrying')
            """,
            [list(call_ids), list(moments), list(rules)],
        )
