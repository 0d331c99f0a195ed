"""Import the file of a registry into the do-not-call list: ten million lines, with memory flat and progress shown.

Each slice is a transaction of its own, in force when it is committed. A second import of the same file adds nothing,
so one that was stopped is run again.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.models import Account
from contacts import do_not_call, numbers
from contacts.do_not_call import Listing
from contacts.models import DoNotCall
from core import clocks
from core.errors import Conflict

# Lines of one transaction: a second or less, in which their numbers are all that is in memory.
SLICE = 20_000
# Of the lines that have no number, so many are kept to be shown.
MOST_SHOWN = 20

# A line is a row, whatever its quotes: one that is never closed must not swallow the numbers of the lines after it.
_FIRST_CELL = re.compile(r'[\s\ufeff]*(?:=?"(?P<quoted>[^"]*)"|(?P<plain>[^,;|\t]*))')
_NOTHING = "\ufeff\"',;| \t\r\n"


@dataclass(frozen=True)
class Registry:
    """What is imported: which registry, as of when, and for whom; None: for all accounts.

    region: in which numbers without a country code are dialed.
    """

    name: str
    date: date
    region: str
    account: Account | None = None

    def __str__(self) -> str:
        return f"the registry {self.name} of {self.date}"


@dataclass
class Imported:
    """What has become of the lines so far.

    Attributes:
        renewed: numbers that an earlier import of this registry has brought, which have the new date now.
        known: lines whose numbers are listed already: by whoever else, as of the same date, or by a line before.
        removed: numbers of earlier imports that the registry no longer has.
        unreadable: line numbers of the first lines that are no number, and why.
    """

    lines: int = 0
    added: int = 0
    renewed: int = 0
    rejected: int = 0
    removed: int = 0
    unreadable: list[tuple[int, str]] = field(default_factory=list)

    @property
    def known(self) -> int:
        return self.read - self.added - self.renewed

    @property
    def read(self) -> int:
        """Return how many lines have a number."""
        return self.lines - self.rejected


Tell = Callable[[Imported], object]


def run(lines: Iterable[str], registry: Registry, *, actor: Actor, tell: Tell) -> Imported:
    """Import the numbers: the first cell of each line. A first line without a digit is a header.

    Args:
        tell: told of the progress after each slice.
    """
    done = Imported()
    try:
        for found in _slices(lines, registry.region, done):
            _store(found, registry, done)
            tell(done)
    finally:
        _record(actor, Verb.CREATED, registry, done.added, str(registry).removeprefix("the "))
    return done


def remove_older(registry: Registry, done: Imported, *, actor: Actor, tell: Tell, even_most: bool = False) -> None:
    """Remove the numbers of this registry that the file did not have, which has been imported to its end.

    Args:
        even_most: also where these are more than the file has.

    Raises:
        Conflict: they are, so the file may be cut off, or another one. Nothing was removed.
    """
    older = _older(registry)
    if not even_most and (count := older.count()) > done.read:
        raise Conflict(
            f"{count:,} numbers of the registry {registry.name} are not in the file, more than the {done.read:,} that"
            " are: nothing was removed. Is the file whole? If it is, run the import again with --remove-most"
        )
    last = 0
    try:
        # By slices of the table's keys.
        while keys := list(older.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:SLICE]):
            done.removed += DoNotCall.objects.filter(pk__in=keys)._raw_delete("default")
            last = keys[-1]
            tell(done)
    finally:
        _record(actor, Verb.DELETED, registry, done.removed, f"not in {registry} any more")


def _slices(lines: Iterable[str], region: str, done: Imported) -> Iterator[set[str]]:
    """Yield the numbers of the lines, so many lines at a time."""
    numbered = enumerate(lines, start=1)
    while lines_of_slice := list(islice(numbered, SLICE)):
        yield set(_numbers(lines_of_slice, region, done))


def _numbers(lines: Iterable[tuple[int, str]], region: str, done: Imported) -> Iterator[str]:
    for at, line in lines:
        if not line.strip(_NOTHING):
            continue
        cell = _FIRST_CELL.match(line)
        given = ((cell["quoted"] or cell["plain"] or "") if cell else "").strip()
        if at == 1 and not any(map(str.isdecimal, given)):
            continue
        done.lines += 1
        try:
            yield numbers.read(given, region)
        except numbers.InvalidNumber as invalid:
            done.rejected += 1
            if len(done.unreadable) < MOST_SHOWN:
                why = f": {invalid.reason}" if invalid.reason else ""
                told = f"{numbers.masked(given)[:32]} is not a valid number{why}"
                done.unreadable.append((at, told if given else "its first cell is empty"))


def _store(found: set[str], registry: Registry, done: Imported) -> None:
    now = clocks.now()
    params = {
        "account": registry.account.pk if registry.account else None,
        "registry": registry.name,
        "date": registry.date,
        "now": now,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE registry_numbers (number text) ON COMMIT DROP")
        with cursor.cursor.copy("COPY registry_numbers FROM STDIN") as copy:
            copy.write("".join(f"{number}\n" for number in sorted(found)))
        cursor.execute(_INSERT, params)
        added = [number for (number,) in cursor.fetchall()]
        renewed = 0
        if len(added) < len(found):
            cursor.execute(_RENEW_OWN if registry.account else _RENEW_OF_ALL, params)
            renewed = cursor.rowcount
        cursor.execute("DROP TABLE registry_numbers")
        if added:
            entry = Listing(DoNotCall.Source.REGISTRY, registry.name, registry.date, now, registry.account is None)
            do_not_call.tell(registry.account, added, entry)
    done.added += len(added)
    done.renewed += renewed


# ctid is the order in which they were copied: two imports at once take the numbers in one order.
_INSERT = """
    INSERT INTO contacts_donotcall (account_id, number, source, registry, registry_date, note, added_at)
    SELECT %(account)s, number, 'registry', %(registry)s, %(date)s, '', %(now)s FROM registry_numbers ORDER BY ctid
    ON CONFLICT DO NOTHING RETURNING number
"""


def _renew_sql(is_of: str) -> str:
    """Return the statement that gives entries the new date. OFFSET 0 keeps it at one look-up for each number."""
    return f"""
        UPDATE contacts_donotcall AS entry SET registry_date = %(date)s
        FROM registry_numbers AS given CROSS JOIN LATERAL (
            SELECT id FROM contacts_donotcall
            WHERE number = given.number AND account_id {is_of} AND source = 'registry' AND registry = %(registry)s
                AND registry_date < %(date)s OFFSET 0
        ) AS older
        WHERE entry.id = older.id
    """  # noqa: S608 -- made of constants, and every value is a parameter


_RENEW_OWN, _RENEW_OF_ALL = _renew_sql("= %(account)s"), _renew_sql("IS NULL")


def _older(registry: Registry) -> "QuerySet[DoNotCall]":
    """Return the numbers of this registry whose date is older."""
    return DoNotCall.objects.filter(
        account=registry.account,
        source=DoNotCall.Source.REGISTRY,
        registry=registry.name,
        registry_date__lt=registry.date,
    )


def _record(actor: Actor, verb: Verb, registry: Registry, count: int, what: str) -> None:
    """Record one entry for all of the numbers, also of an import that was stopped."""
    if count:
        whose = "" if registry.account else " of all accounts"
        subject = Subject(DoNotCall, f"{count:,} numbers on the do-not-call list{whose}", registry.account)
        audit.record(actor, verb, subject, what=what)
