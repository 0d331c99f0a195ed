"""Which numbers a phone rings or talks at for their account now: attempts, and flows' calls to other numbers (legs).

An account has one call at most under way to a person's number. Between attempts an index says so (decision 0022). An
attempt and a leg, or two legs, each commit their own row first and look for the other's then (decision 0078), so that
both may step back, and never do both ring. Numbers of the account's own agents are not looked for.
"""

from collections.abc import Collection
from typing import NamedTuple

from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

# Of a row `account`: whether a flow of it has ever connected anybody to a person. Where none has, as in most accounts,
# legs are not looked for.
HAS_LEGS = "(EXISTS (SELECT FROM dialer_transfer WHERE account_id = account.id AND to_person))"
# Of a row `due` with an account and a number: whether a leg to it is under way.
IS_CONNECTED = """coalesce((
    SELECT true FROM dialer_transfer
    WHERE account_id = due.account_id AND number = due.number AND to_person AND ended_at IS NULL LIMIT 1
), false)"""


def has_legs() -> RawSQL:
    """Return HAS_LEGS for a query that loads campaigns."""
    return RawSQL(
        "(EXISTS (SELECT FROM dialer_transfer WHERE account_id = campaigns_campaign.account_id AND to_person))",
        (),
        output_field=BooleanField(),
    )


class WantedLeg(NamedTuple):
    """A number that legs are looked for to.

    Attributes:
        of_ruled: only those of campaigns count that have rules of their own.
    """

    account_id: int
    number: str
    of_ruled: bool


def legs_to(wanted: Collection[WantedLeg], without: Collection[object] = ()) -> set[WantedLeg]:
    """Return those that a leg is under way to. One query, where any is asked for.

    Args:
        without: the ids of legs that don't count.
    """
    if not wanted:
        return set()
    account_ids, numbers, of_ruled = zip(*wanted, strict=True)
    params = {"accounts": list(account_ids), "numbers": list(numbers), "of_ruled": list(of_ruled)}
    with connection.cursor() as cursor:
        cursor.execute(_LEGS, {**params, "without": list(without)})
        return {WantedLeg(*row) for row in cursor.fetchall()}


def attempts_to(numbers: Collection[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those of the accounts' numbers that an attempt is under way for. One query, where any is asked for."""
    if not numbers:
        return set()
    account_ids, wanted = zip(*numbers, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPTS, {"accounts": list(account_ids), "numbers": list(wanted)})
        return {(account_id, number) for account_id, number in cursor.fetchall()}


_LEGS = """
SELECT account_id, number, of_ruled
FROM unnest(%(accounts)s::bigint[], %(numbers)s::text[], %(of_ruled)s::boolean[])
    AS wanted(account_id, number, of_ruled)
WHERE EXISTS (
    SELECT FROM dialer_transfer AS leg
    WHERE leg.account_id = wanted.account_id AND leg.number = wanted.number AND leg.to_person AND leg.ended_at IS NULL
        AND leg.id <> ALL(%(without)s::uuid[])
        AND (NOT wanted.of_ruled OR (
            SELECT campaign.rules <> '{}' FROM dialer_callattempt AS attempt
            JOIN campaigns_campaign AS campaign ON campaign.id = attempt.campaign_id
            WHERE attempt.id = leg.attempt_id
        ))
)"""
_ATTEMPTS = """
SELECT account_id, number FROM unnest(%(accounts)s::bigint[], %(numbers)s::text[]) AS wanted(account_id, number)
WHERE EXISTS (
    SELECT FROM dialer_callattempt AS attempt
    WHERE attempt.account_id = wanted.account_id AND attempt.callee = wanted.number
        AND attempt.status IN ('claimed', 'placing', 'in-progress', 'unknown')
)"""
