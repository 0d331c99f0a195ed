"""Import the file of a registry into the do-not-call list: ten million lines, with memory flat and progress shown.

Each slice is a transaction of its own, in force when it is committed. A second import of the same file adds nothing,
so one that was stopped is run again.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

from django.db import connection, transaction

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.models import Account
from contacts import do_not_call, numbers
from contacts.do_not_call import Listing
from contacts.models import DoNotCall
from core import clocks

# Lines of one transaction: a second or less, in which their numbers are all that is in memory.
SLICE = 20_000
# Of the lines that have no number, so many are kept to be shown.
MOST_SHOWN = 20


@dataclass(frozen=True)
class Registry:
    """What is imported: which registry, as of when, and for whom; None: for all accounts.

    region: in which numbers without a country code are dialed.
    """

    name: str
    date: date
    region: str
    account: Account | None = None


@dataclass
class Imported:
    """What has become of the lines so far.

    Attributes:
        renewed: numbers that an earlier import of this registry has brought, which have the new date now.
        known: numbers that are listed already, by whoever else or as of the same date.
        removed: numbers of earlier imports that the registry no longer has.
        unreadable: line numbers of the first lines that are no number, and why.
    """

    lines: int = 0
    added: int = 0
    renewed: int = 0
    known: int = 0
    rejected: int = 0
    removed: int = 0
    unreadable: list[tuple[int, str]] = field(default_factory=list)


def run(
    lines: Iterable[str], registry: Registry, *, actor: Actor, replace: bool, tell: Callable[[Imported], object]
) -> Imported:
    """Import the numbers: the first cell of each line. A first line without a digit is a header.

    Args:
        replace: remove the numbers of this registry that this file does not have, once it has been read to its end.
        tell: told of the progress after each slice.
    """
    done = Imported()
    try:
        for found in _slices(lines, registry.region, done):
            _store(found, registry, done)
            tell(done)
        if replace:
            _remove_older(registry, done, tell)
    finally:
        _record(registry, done, actor)
    return done


def _slices(lines: Iterable[str], region: str, done: Imported) -> Iterator[set[str]]:
    """Yield the numbers of the lines, so many lines at a time."""
    rows = enumerate(csv.reader(lines, delimiter=","), start=1)
    while rows_of_slice := list(islice(rows, SLICE)):
        yield set(_numbers(rows_of_slice, region, done))


def _numbers(rows: Iterable[tuple[int, list[str]]], region: str, done: Imported) -> Iterator[str]:
    for at, cells in rows:
        given = cells[0].strip("\ufeff \t;") if cells else ""
        if not given or (at == 1 and not any(map(str.isdecimal, given))):
            continue
        done.lines += 1
        try:
            yield numbers.read(given, region)
        except numbers.InvalidNumber as invalid:
            done.rejected += 1
            if len(done.unreadable) < MOST_SHOWN:
                why = f": {invalid.reason}" if invalid.reason else ""
                done.unreadable.append((at, f"{numbers.masked(given)[:32]} is not a valid number{why}"))


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
            cursor.execute(_RENEW, params)
            renewed = cursor.rowcount
        cursor.execute("DROP TABLE registry_numbers")
        if added:
            entry = Listing(DoNotCall.Source.REGISTRY, registry.name, registry.date, now, registry.account is None)
            do_not_call.tell(registry.account, added, entry)
    done.added += len(added)
    done.renewed += renewed
    done.known += len(found) - len(added) - renewed


# ctid is the order in which they were copied: two imports at once take the numbers in one order.
_INSERT = """
    INSERT INTO contacts_donotcall (account_id, number, source, registry, registry_date, note, added_at)
    SELECT %(account)s, number, 'registry', %(registry)s, %(date)s, '', %(now)s FROM registry_numbers ORDER BY ctid
    ON CONFLICT DO NOTHING RETURNING number
"""
_RENEW = """
    UPDATE contacts_donotcall AS entry SET registry_date = %(date)s
    FROM registry_numbers AS given
    WHERE entry.number = given.number AND entry.account_id IS NOT DISTINCT FROM %(account)s
        AND entry.source = 'registry' AND entry.registry = %(registry)s AND entry.registry_date < %(date)s
"""


def _remove_older(registry: Registry, done: Imported, tell: Callable[[Imported], object]) -> None:
    """Remove the numbers of this registry whose date is older, by slices of the table's keys."""
    older = DoNotCall.objects.filter(
        account=registry.account, source=DoNotCall.Source.REGISTRY, registry=registry.name
    ).filter(registry_date__lt=registry.date)
    last = 0
    while keys := list(older.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:SLICE]):
        done.removed += DoNotCall.objects.filter(pk__in=keys)._raw_delete("default")
        last = keys[-1]
        tell(done)


def _record(registry: Registry, done: Imported, actor: Actor) -> None:
    """Record one entry for what was added and one for what was removed, also of an import that was stopped."""
    of = f"registry {registry.name} of {registry.date}"
    whose = "" if registry.account else " of all accounts"
    for verb, count, what in (
        (Verb.CREATED, done.added, of),
        (Verb.DELETED, done.removed, f"not in the {of} any more"),
    ):
        if count:
            subject = Subject(DoNotCall, f"{count:,} numbers on the do-not-call list{whose}", registry.account)
            audit.record(actor, verb, subject, what=what)
