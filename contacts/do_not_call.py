"""The numbers that must not be called: by one account, or by all. Numbers are E.164 throughout.

The dialer asks `listed` when it claims calls and again before each is placed. So an addition that is committed holds
for the next call; the signal `numbers_listed` ends the calls that wait, for the figures' sake.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

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
    found = listed_of({(account_id, number) for number in numbers})
    return {number: listing for (_, number), listing in found.items()}


def listed_of(numbers: Collection[tuple[int, str]]) -> dict[tuple[int, str], Listing]:
    """Do the same for numbers of several accounts, each with the id of its account."""
    if not numbers:
        return {}
    account_ids, wanted = zip(*numbers, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_LISTED, {"numbers": list(wanted), "accounts": list(account_ids)})
        rows = cursor.fetchall()
    found: dict[tuple[int, str], Listing] = {}
    for account_id, number, *columns in rows:
        listing = Listing(*columns)
        if not listing.for_all or (account_id, number) not in found:
            found[account_id, number] = listing
    return found


def has_list(account_id: str) -> Q:
    """Return an expression: whether any number is on the list of the account, by that field, or of all accounts."""
    own, of_all = DoNotCall.objects.filter(account_id=OuterRef(account_id)), DoNotCall.objects.filter(account=None)
    return Exists(own) | Exists(of_all)


# The same in SQL, of a row `account`.
HAS_LIST = """(EXISTS (SELECT FROM contacts_donotcall WHERE account_id = account.id)
    OR EXISTS (SELECT FROM contacts_donotcall WHERE account_id IS NULL))"""


# Of a row `due` with an account and a number. Sub-selects, as an EXISTS might be answered by reading the whole list.
IS_LISTED = """coalesce(
    (SELECT true FROM contacts_donotcall WHERE number = due.number AND account_id = due.account_id),
    (SELECT true FROM contacts_donotcall WHERE number = due.number AND account_id IS NULL), false)"""


# OFFSET 0 keeps both look-ups at their index, whatever the planner expects of a table that has just grown.
_LISTED = " UNION ALL ".join(
    f"""
    SELECT wanted.account_id, wanted.number, entry.source, entry.registry, entry.registry_date, entry.added_at,
        {for_all} AS for_all
    FROM unnest(%(accounts)s::bigint[], %(numbers)s::text[]) AS wanted (account_id, number) CROSS JOIN LATERAL (
        SELECT * FROM contacts_donotcall WHERE number = wanted.number AND account_id {is_of} OFFSET 0
    ) AS entry
    """  # noqa: S608 -- made of constants, and every value is a parameter
    for is_of, for_all in (("= wanted.account_id", "false"), ("IS NULL", "true"))
)


@dataclass(frozen=True)
class Addition:
    """The entry that has a number, and whether it was added just now."""

    entry: DoNotCall
    is_new: bool


def add(
    account: Account | None,
    numbers: Sequence[str],
    *,
    source: str,
    actor: Actor,
    notes: Mapping[str, str] | None = None,
) -> list[Addition]:
    """Add numbers to the list of an account, or of all; one that is there stays as it is.

    Calls to these numbers that wait end in the same transaction.

    Args:
        account: None for all accounts.
        notes: by number, for people; of those that have one.

    Returns:
        An entry for each of the numbers, in their order. Of two equal ones the first counts as new.
    """
    now = clocks.now()
    new: set[str] = set()
    stored: dict[str, DoNotCall] = {}
    with transaction.atomic():
        # Again, where somebody removes one of them at this moment.
        while missing := sorted(set(numbers) - stored.keys()):
            new |= _insert(account, missing, source, notes or {}, now, by=str(actor)[:255])
            stored |= {entry.number: entry for entry in _locked(account, missing)}
        if new:
            audit.record(actor, Verb.CREATED, _subject(account, sorted(new)), what=str(Source(source).label))
            tell(account, sorted(new), Listing(source, "", None, now, account is None))
    additions = []
    for number in numbers:
        additions.append(Addition(stored[number], number in new))
        new.discard(number)
    return additions


def load(account: Account, numbers: Collection[str], now: datetime) -> int:
    """Add numbers of a CSV file, whose upload is audited. Returns how many the list did not have."""
    with transaction.atomic():
        new = _insert(account, sorted(numbers), Source.CSV, {}, now)
        if new:
            tell(account, sorted(new), Listing(Source.CSV, "", None, now, for_all=False))
    return len(new)


def entries_of(account: Account, number: str) -> "QuerySet[DoNotCall]":
    """Return the entries that keep this account from calling a number: its own, and the one for all."""
    return DoNotCall.objects.filter(Q(account=account) | Q(account=None), number=number)


def remove(entries: Sequence[DoNotCall], *, reason: str, actor: Actor) -> None:
    """Take numbers off their lists: they may be called again.

    Args:
        entries: with their accounts loaded.
        reason: why, for the audit, which has an entry for each of them.
    """
    subjects = [_subject(entry.account, [entry.number], str(entry.pk)) for entry in entries]
    with transaction.atomic():
        audit.record(actor, Verb.DELETED, *subjects, what=reason)
        DoNotCall.objects.filter(pk__in=[entry.pk for entry in entries]).delete()


def _insert(
    account: Account | None,
    numbers: Sequence[str],
    source: str,
    notes: Mapping[str, str],
    now: datetime,
    *,
    by: str = "",
) -> set[str]:
    """Insert the numbers that the list lacks, and return those. Two requests take them in the same order."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO contacts_donotcall (account_id, number, source, registry, note, added_by, added_at)
            SELECT %s, number, %s, '', note, %s, %s FROM unnest(%s::text[], %s::text[]) AS given (number, note)
            ON CONFLICT DO NOTHING RETURNING number
            """,
            [
                account.pk if account else None,
                source,
                by,
                now,
                list(numbers),
                [notes.get(number, "") for number in numbers],
            ],
        )
        return {number for (number,) in cursor.fetchall()}


def tell(account: Account | None, numbers: Collection[str], entry: Listing) -> None:
    """Tell of numbers that have just come on the list, in the transaction that adds them.

    Args:
        entry: of any of them.
    """
    account_id = account.pk if account else None
    signals.numbers_listed.send(
        DoNotCall, account_id=account_id, numbers=numbers, reason=entry.reason, at=entry.added_at
    )


def _locked(account: Account | None, numbers: Collection[str]) -> Sequence[DoNotCall]:
    """Return the entries of these numbers, which nobody removes before the end of the transaction."""
    entries = DoNotCall.objects.filter(account=account, number__in=list(numbers))
    return list(entries.order_by("number").select_for_update(no_key=True))


def _subject(account: Account | None, numbers: Sequence[str], pk: str = "") -> Subject:
    """Describe numbers for the audit. A single one is masked: entries outlive the numbers."""
    name = phone_numbers.masked(numbers[0]) if len(numbers) == 1 else f"{len(numbers):,} numbers"
    whose = "" if account else " of all accounts"
    return Subject(DoNotCall, f"{name} on the do-not-call list{whose}", account, pk)
