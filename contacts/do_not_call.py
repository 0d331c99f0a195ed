"""The numbers that must not be called: by one account, or by all. Numbers are E.164 throughout.

The dialer asks `listed` when it claims calls and again before each is placed. So an addition that is committed holds
for the next call; the signal `numbers_listed` ends the calls that wait, for the figures' sake.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.models import Account
from contacts import numbers as phone_numbers
from contacts import signals
from contacts.models import DoNotCall
from core import clocks

Source = DoNotCall.Source


@dataclass(frozen=True)
class Listing:
    """Why a number must not be called.

    Attributes:
        for_all: the number is on the list of all accounts, not on the account's own.
    """

    source: str
    registry: str
    registry_date: date | None
    added_at: datetime
    for_all: bool

    @property
    def reason(self) -> str:
        """Return the reason as people see it: no time in it, so that equal reasons can be counted."""
        return f"on the do-not-call list{' of all accounts' if self.for_all else ''}: {_ORIGINS[self.source]}" + (
            f" {self.registry} of {self.registry_date}" if self.registry else ""
        )


_ORIGINS: dict[str, str] = {
    Source.API: "added by the API",
    Source.ADMIN: "added by a person",
    Source.CSV: "added by a CSV file",
    Source.REGISTRY: "in the registry",
    Source.FLOW: "the person called asked for it",
}


def listed(account_id: int, numbers: Collection[str]) -> dict[str, Listing]:
    """Return why numbers must not be called by this account, of those of `numbers` that must not.

    One query: two index look-ups for each number, however large the list. Where a number is on both lists, the
    account's own is named.
    """
    if not numbers:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LISTED, {"numbers": list(set(numbers)), "account": account_id})
        return {number: Listing(*columns) for number, *columns in cursor.fetchall()}


# OFFSET 0 keeps both look-ups at their index, whatever the planner expects of a table that has just grown.
_LISTED = """
    SELECT wanted.number, found.source, found.registry, found.registry_date, found.added_at, found.for_all
    FROM unnest(%(numbers)s::text[]) AS wanted (number) CROSS JOIN LATERAL (
        SELECT * FROM (
            (SELECT source, registry, registry_date, added_at, false AS for_all FROM contacts_donotcall
                WHERE number = wanted.number AND account_id = %(account)s OFFSET 0)
            UNION ALL
            (SELECT source, registry, registry_date, added_at, true AS for_all FROM contacts_donotcall
                WHERE number = wanted.number AND account_id IS NULL OFFSET 0)
        ) AS entry ORDER BY for_all LIMIT 1
    ) AS found
"""


@dataclass(frozen=True)
class Addition:
    """The entry that has a number, and whether it was added just now."""

    entry: DoNotCall
    is_new: bool


def add(
    account: Account | None, numbers: Sequence[str], *, source: str, actor: Actor, note: str = ""
) -> list[Addition]:
    """Add numbers to the list of an account, or of all; one that is there stays as it is.

    Calls to these numbers that wait end in the same transaction.

    Args:
        account: None for all accounts.

    Returns:
        An entry for each of the numbers, in their order. Of two equal ones the first counts as new.
    """
    now = clocks.now()
    new: set[str] = set()
    stored: dict[str, DoNotCall] = {}
    with transaction.atomic():
        # Again, where somebody removes one of them at this moment.
        while missing := sorted(set(numbers) - stored.keys()):
            new |= _insert(account, missing, source, note, now)
            stored |= {entry.number: entry for entry in _locked(account, missing)}
        if new:
            _record(actor, Verb.CREATED, account, sorted(new), what=str(Source(source).label))
            signals.numbers_listed.send(
                DoNotCall, account_id=account.pk if account else None, numbers=sorted(new), at=now
            )
    additions = []
    for number in numbers:
        additions.append(Addition(stored[number], number in new))
        new.discard(number)
    return additions


def remove(entry: DoNotCall, *, reason: str, actor: Actor) -> None:
    """Take a number off its list: it may be called again.

    Args:
        reason: why, for the audit.
    """
    with transaction.atomic():
        _record(actor, Verb.DELETED, entry.account, [entry.number], what=reason)
        entry.delete()


def _insert(account: Account | None, numbers: Sequence[str], source: str, note: str, now: datetime) -> set[str]:
    """Insert the numbers that the list lacks, and return those. Two requests take them in the same order."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO contacts_donotcall (account_id, number, source, registry, note, added_at)
            SELECT %s, number, %s, '', %s, %s FROM unnest(%s::text[]) AS given (number)
            ON CONFLICT DO NOTHING RETURNING number
            """,
            [account.pk if account else None, source, note, now, list(numbers)],
        )
        return {number for (number,) in cursor.fetchall()}


def _locked(account: Account | None, numbers: Collection[str]) -> Sequence[DoNotCall]:
    """Return the entries of these numbers, which nobody removes before the end of the transaction."""
    entries = DoNotCall.objects.filter(account=account, number__in=list(numbers))
    return list(entries.order_by("number").select_for_update(no_key=True))


def _record(actor: Actor, verb: Verb, account: Account | None, numbers: Sequence[str], what: str) -> None:
    """Record one entry however many numbers. A single one is masked: entries outlive the numbers."""
    name = phone_numbers.masked(numbers[0]) if len(numbers) == 1 else f"{len(numbers):,} numbers"
    whose = "" if account else " of all accounts"
    audit.record(actor, verb, Subject(DoNotCall, f"{name} on the do-not-call list{whose}", account), what=what)
