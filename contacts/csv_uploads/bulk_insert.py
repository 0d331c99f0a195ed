"""Insert a batch of rows as contacts and list entries, with COPY and a few statements however many rows there are.

Contacts that the account lacks are copied into their table, and so are the entries of a batch of such contacts, as most
batches of a first upload are: PostgreSQL takes a row by COPY for less than half of what INSERT … ON CONFLICT costs.
Entries of contacts that are known may be in the list already, and go through a temporary table.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from psycopg.errors import UniqueViolation

from contacts.address_book import RULE_COLUMNS, TEXT_COLUMNS
from contacts.csv_uploads.columns import Layout
from contacts.csv_uploads.rows import Row
from contacts.models import ContactList, CsvUpload
from core import clocks

# Made once: `dumps` makes an encoder for each call that has options.
_to_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
NULL = r"\N"
_NO_RULE_COLUMNS = f"\t\t{NULL}\t\t"
# A batch meets another upload that adds the same people at the same moment, and must look again at who is known.
_TRIES = 5
# So many numbers of a batch are looked up first. Where the account has none of them, it is taken to have none at all.
# Where it has a tenth of the people, one batch in two hundred is copied in vain.
_SAMPLE = 50


class SomeAreKnown(Exception):
    """The account has contacts of a batch that was taken for new people, or gets them at this moment.

    Nothing of the transaction is left. Insert the batch in another one, with `looks_up`.
    """


@dataclass(frozen=True)
class Inserted:
    """What a batch has done to its list.

    Attributes:
        entries: that the list did not have.
        replaced: entries of earlier uploads that were taken out, because the batch has newer rows of their numbers.
    """

    entries: int
    replaced: int = 0

    @property
    def growth(self) -> int:
        return self.entries - self.replaced


@dataclass(slots=True)
class CopyRow:
    """A row as COPY takes it, which needs far less memory than the row with its names.

    Attributes:
        line: where the row begins in the file.
        number: in E.164.
        texts: the columns of TEXT_COLUMNS and RULE_COLUMNS.
        values: of a dynamic list: all of them, as JSON.
        digest: of the values, or "".
    """

    line: int
    number: str
    texts: str
    values: str = r"\N"
    digest: str = ""


def copy_row(row: Row, *, dynamic: bool) -> CopyRow:
    texts = _copied([row.values.get(name, "") for name in TEXT_COLUMNS])
    texts += _rule_columns(row.values)
    if not dynamic:
        return CopyRow(row.line, row.number, texts)
    values = _to_json(row.values)
    digest = hashlib.md5(values.encode(), usedforsecurity=False).hexdigest()
    return CopyRow(row.line, row.number, texts, _copied([values]), digest)


def text_template(layout: Layout) -> str:
    """Return what makes the texts of a CopyRow of its stripped cells, by `format`, where none of them needs escaping.

    layout: without columns of RULE_COLUMNS.
    """
    places = {name: f"{{{at}}}" for at, name in layout.named}
    return "\t".join(places.get(name, "") for name in TEXT_COLUMNS) + _NO_RULE_COLUMNS


def _rule_columns(values: Mapping[str, str]) -> str:
    """Return the columns of RULE_COLUMNS; the date is null where it is missing."""
    if "time_zone" not in values and "consent_date" not in values:
        return _NO_RULE_COLUMNS
    zone, day, source, scope = (values.get(name, "") for name in RULE_COLUMNS)
    return f"\t{_copied([zone])}\t{day or NULL}\t{_copied([source])}\t{_copied([scope])}"


def insert(upload: CsvUpload, rows: Sequence[CopyRow], *, looks_up: bool = False) -> Inserted:
    """Insert the contacts that the account lacks and the entries that the list lacks.

    Existing contacts stay as they are. In a dynamic list, the rows of a number replace those of earlier uploads, and
    rows of which a later upload has newer ones are left out (decision 0012); the caller holds such a list locked.

    Args:
        looks_up: ask of each number whether the account has it, not of a sample. Most files are of new people.

    Raises:
        SomeAreKnown: they are not all new. With `looks_up` only where others keep adding them at the same moments.
    """
    different = _without_repetitions(rows)
    with connection.cursor() as cursor:
        ids, all_new = _contact_ids(cursor, upload.account_id, different, looks_up=looks_up)
        if all_new:
            _copy_entries(cursor, upload, different, ids)
            return Inserted(len(different))
        return _merge_entries(cursor, upload, different, ids)


def _without_repetitions(rows: Sequence[CopyRow]) -> Sequence[CopyRow]:
    """Return the first of equal rows, with the line of the last. Sorting them in PostgreSQL would cost far more."""
    if len({row.number for row in rows}) == len(rows):
        return rows
    different: dict[tuple[str, str], CopyRow] = {}
    for row in rows:
        first = different.setdefault((row.number, row.digest), row)
        if first is not row:
            first.line = max(first.line, row.line)
    return list(different.values())


def _contact_ids(
    cursor: CursorWrapper, account_id: int, rows: Sequence[CopyRow], *, looks_up: bool
) -> tuple[dict[str, str], bool]:
    """Return the id of each number's contact, and whether all of them were added just now.

    Contacts are added in the order of their numbers, so that two uploads of the same people wait for each other instead
    of deadlocking. Then the second finds that they are known.
    """
    by_number = {row.number: row for row in reversed(rows)}
    numbers = sorted(by_number)
    if not looks_up and not _known(cursor, account_id, numbers[:: math.ceil(len(numbers) / _SAMPLE) or 1]):
        # Without a savepoint: the contacts are this transaction's own, and their entries need not lock them.
        return _copy_contacts(cursor, account_id, by_number, numbers), True
    for _ in range(_TRIES):
        known = _known(cursor, account_id, numbers)
        try:
            with transaction.atomic():
                unknown = [number for number in numbers if number not in known]
                new = _copy_contacts(cursor, account_id, by_number, unknown)
        except SomeAreKnown as error:
            clash = error
        else:
            return known | new, not known
    raise clash


def _known(cursor: CursorWrapper, account_id: int, numbers: Iterable[str]) -> dict[str, str]:
    """Return the contacts that the account has, which then can't be deleted before the end of the transaction."""
    cursor.execute(_KNOWN, {"account": account_id, "numbers": " ".join(numbers)})
    return dict(cursor.fetchall())


def _copy_contacts(
    cursor: CursorWrapper, account_id: int, by_number: Mapping[str, CopyRow], numbers: Sequence[str]
) -> dict[str, str]:
    """Add contacts of these numbers, and return their ids. Raises SomeAreKnown."""
    ids = {number: str(uuid_utils.uuid7()) for number in numbers}
    now = clocks.now().isoformat()
    end = f"\t{now}\t{now}\n"
    # Columns that are not named have their defaults (db_default).
    columns = f"id, account_id, number, {', '.join((*TEXT_COLUMNS, *RULE_COLUMNS))}, created_at, updated_at"
    lines = [f"{id_}\t{account_id}\t{number}\t{by_number[number].texts}{end}" for number, id_ in ids.items()]
    try:
        _copy(cursor, f"contacts_contact ({columns})", lines)
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            raise SomeAreKnown from error
        raise
    return ids


def _copy_entries(cursor: CursorWrapper, upload: CsvUpload, rows: Sequence[CopyRow], ids: dict[str, str]) -> None:
    """Add entries whose contacts no list can have yet."""
    begin = f"{upload.contact_list_id}\t"
    if upload.filled_list.type == ContactList.Type.DYNAMIC:
        columns = "contact_list_id, contact_id, values, values_digest, upload_number, line"
        lines = [f"{begin}{ids[row.number]}\t{row.values}\t{row.digest}\t{upload.number}\t{row.line}\n" for row in rows]
    else:
        columns = "contact_list_id, contact_id, values_digest"
        lines = [f"{begin}{ids[row.number]}\t\n" for row in rows]
    _copy(cursor, f"contacts_listentry ({columns})", lines)


def _merge_entries(cursor: CursorWrapper, upload: CsvUpload, rows: Sequence[CopyRow], ids: dict[str, str]) -> Inserted:
    cursor.execute(_CREATE_TABLE)
    lines = [f"{row.line}\t{ids[row.number]}\t{row.values}\t{row.digest}\n" for row in rows]
    _copy(cursor, "csv_rows", lines)
    params: dict[str, Any] = {"list": upload.contact_list_id, "number": upload.number}
    if upload.filled_list.type == ContactList.Type.DYNAMIC:
        cursor.execute(_REPLACE_ENTRIES if _has_rows_of_others(upload) else _STORE_ENTRIES, params)
        inserted = Inserted(*cursor.fetchone())
    else:
        cursor.execute(_INSERT_ENTRIES, params)
        inserted = Inserted(int(cursor.rowcount))
    cursor.execute("DROP TABLE csv_rows")
    return inserted


def _copy(cursor: CursorWrapper, into: str, lines: Sequence[str]) -> None:
    if lines:
        with connection.wrap_database_errors, cursor.cursor.copy(f"COPY {into} FROM STDIN") as copy:
            copy.write("".join(lines))


def _copied(texts: Sequence[str]) -> str:
    """Return the texts as columns of COPY's text format."""
    columns = "\t".join(texts)
    if columns.count("\t") == len(texts) - 1 and "\\" not in columns and "\n" not in columns and "\r" not in columns:
        return columns
    return "\t".join(text.translate(_ESCAPED) for text in texts)


_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _has_rows_of_others(upload: CsvUpload) -> bool:
    """Return whether the list may have rows of earlier or later uploads. Most lists are filled by one."""
    others = CsvUpload.objects.filter(contact_list=upload.contact_list_id).exclude(number=upload.number)
    return others.filter(Q(rows_loaded__gt=0) | Q(rows_duplicate__gt=0)).exists()


# LATERAL keeps it at one index look-up for each number, however the planner sees the size of the address book.
_KNOWN = """
    SELECT wanted.number, known.id::text
    FROM unnest(string_to_array(%(numbers)s, ' ')) AS wanted (number) CROSS JOIN LATERAL (
        SELECT id FROM contacts_contact WHERE account_id = %(account)s AND number = wanted.number FOR KEY SHARE
    ) AS known
"""

_CREATE_TABLE = """
    CREATE TEMPORARY TABLE csv_rows (line integer, contact_id uuid, values jsonb, values_digest text) ON COMMIT DROP
"""

# ctid is the order in which the rows were copied.
_INSERT_ENTRIES = """
    INSERT INTO contacts_listentry (contact_list_id, contact_id, values, values_digest)
    SELECT %(list)s, contact_id, values, values_digest FROM csv_rows ORDER BY ctid
    ON CONFLICT (contact_list_id, contact_id, values_digest) DO NOTHING
"""

# A row that is in the list already moves to this upload. Files of rejected rows share the number of an upload, and may
# come before it.
_ON_CONFLICT = """
    ON CONFLICT (contact_list_id, contact_id, values_digest) DO UPDATE SET
        upload_number = excluded.upload_number,
        line = CASE entry.upload_number WHEN excluded.upload_number THEN greatest(entry.line, excluded.line)
            ELSE excluded.line END
    RETURNING xmax = 0 AS is_new
"""

# For a list that has no rows of other uploads.
_STORE_ENTRIES = f"""
    WITH stored AS (
        INSERT INTO contacts_listentry AS entry
            (contact_list_id, contact_id, values, values_digest, upload_number, line)
        SELECT %(list)s, contact_id, values, values_digest, %(number)s, line FROM csv_rows ORDER BY ctid
        {_ON_CONFLICT}
    )
    SELECT count(*) FILTER (WHERE is_new), 0 FROM stored
"""  # noqa: S608 -- made of constants; every value is a parameter

# known: what the list has of the numbers of the batch, by the index of its unique constraint. OFFSET and ARRAY keep
# both look-ups at an index: PostgreSQL has no statistics of the temporary table, and would read the whole list.
_REPLACE_ENTRIES = f"""
    WITH known AS MATERIALIZED (
        SELECT entry.id, entry.contact_id, entry.values_digest, entry.upload_number
        FROM (SELECT DISTINCT contact_id FROM csv_rows) AS renewed CROSS JOIN LATERAL (
            SELECT id, contact_id, values_digest, upload_number FROM contacts_listentry
            WHERE contact_list_id = %(list)s AND contact_id = renewed.contact_id OFFSET 0
        ) AS entry
    ), replaced AS (
        DELETE FROM contacts_listentry WHERE id = ANY(ARRAY(
            SELECT id FROM known WHERE upload_number < %(number)s AND NOT EXISTS (
                SELECT FROM csv_rows
                WHERE csv_rows.contact_id = known.contact_id AND csv_rows.values_digest = known.values_digest
            )
        )) RETURNING id
    ), stored AS (
        INSERT INTO contacts_listentry AS entry
            (contact_list_id, contact_id, values, values_digest, upload_number, line)
        SELECT %(list)s, contact_id, values, values_digest, %(number)s, line FROM csv_rows
        WHERE NOT EXISTS (
            SELECT FROM known WHERE known.contact_id = csv_rows.contact_id AND known.upload_number > %(number)s
        )
        ORDER BY csv_rows.ctid
        {_ON_CONFLICT}
    )
    SELECT (SELECT count(*) FROM stored WHERE is_new), (SELECT count(*) FROM replaced)
"""  # noqa: S608 -- made of constants; every value is a parameter
