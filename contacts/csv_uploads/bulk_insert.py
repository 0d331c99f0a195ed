"""Insert a batch of rows as contacts and list entries, with COPY and a few statements however many rows there are."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from uuid_utils.compat import uuid7

from contacts.address_book import TEXT_COLUMNS
from contacts.csv_uploads.rows import Row
from contacts.models import ContactList, CsvUpload
from core import clocks

CopyRow = list[Any]  # the columns of the temporary table csv_rows
_LINE, _NUMBER, _DIGEST = 0, 2, -1


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


def copy_row(row: Row, *, dynamic: bool) -> CopyRow:
    """Return the row as COPY takes it, which needs far less memory than the row with its names."""
    contact = [row.line, uuid7(), row.number, *[row.values.get(name, "") for name in TEXT_COLUMNS]]
    if not dynamic:
        return [*contact, None, ""]
    values = json.dumps(row.values, sort_keys=True, ensure_ascii=False)
    return [*contact, values, hashlib.md5(values.encode(), usedforsecurity=False).hexdigest()]


def insert(upload: CsvUpload, rows: Sequence[CopyRow]) -> Inserted:
    """Insert the contacts that the account lacks and the entries that the list lacks.

    Existing contacts stay as they are. Contacts are inserted in the order of their numbers, so that two uploads of the
    same people wait for each other instead of deadlocking. In a dynamic list, the rows of a number replace those of
    earlier uploads, and rows of which a later upload has newer ones are left out (decision 0012); the caller holds such
    a list locked.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CREATE_TABLE)
        with cursor.cursor.copy("COPY csv_rows FROM STDIN") as copy:
            for row in _without_repetitions(rows):
                copy.write_row(row)
        inserted = _insert_copied(cursor, upload)
        cursor.execute("DROP TABLE csv_rows")
    return inserted


def _without_repetitions(rows: Sequence[CopyRow]) -> Collection[CopyRow]:
    """Return the first of equal rows, with the line of the last. Sorting them in PostgreSQL would cost far more."""
    different: dict[tuple[str, str], CopyRow] = {}
    for row in rows:
        first = different.setdefault((row[_NUMBER], row[_DIGEST]), row)
        if first is not row:
            first[_LINE] = max(first[_LINE], row[_LINE])
    return different.values()


def _insert_copied(cursor: CursorWrapper, upload: CsvUpload) -> Inserted:
    params: dict[str, Any] = {"account": upload.account_id, "list": upload.contact_list_id, "now": clocks.now()}
    cursor.execute(_INSERT_CONTACTS, params)
    if upload.contact_list.type == ContactList.Type.DYNAMIC:
        statement = _REPLACE_ENTRIES if _has_rows_of_others(upload) else _STORE_ENTRIES
        cursor.execute(statement, params | {"number": upload.number})
        return Inserted(*cursor.fetchone())
    cursor.execute(_INSERT_ENTRIES, params)
    return Inserted(int(cursor.rowcount))


def _has_rows_of_others(upload: CsvUpload) -> bool:
    """Return whether the list may have rows of earlier or later uploads. Most lists are filled by one."""
    others = CsvUpload.objects.filter(contact_list=upload.contact_list_id).exclude(number=upload.number)
    return others.filter(Q(rows_loaded__gt=0) | Q(rows_duplicate__gt=0)).exists()


_CREATE_TABLE = """
    CREATE TEMPORARY TABLE csv_rows (
        line integer, id uuid, number text, first_name text, last_name text, company_name text, email text, tag text,
        values jsonb, values_digest text
    ) ON COMMIT DROP
"""

# ctid is the order in which the rows were copied. Columns that are not named have their defaults (db_default).
_INSERT_CONTACTS = """
    INSERT INTO contacts_contact
        (id, account_id, number, first_name, last_name, company_name, email, tag, created_at, updated_at)
    SELECT id, %(account)s, number, first_name, last_name, company_name, email, tag, %(now)s, %(now)s
    FROM csv_rows ORDER BY number, ctid
    ON CONFLICT (account_id, number) DO NOTHING
"""

# The LIMIT keeps it at one index look-up for each row. For a plain join PostgreSQL, which has no statistics of the
# temporary table, reads the account's whole address book for each batch: 13 microseconds a row for 300,000 contacts.
_INSERT_ENTRIES = """
    INSERT INTO contacts_listentry (contact_list_id, contact_id, values, values_digest)
    SELECT %(list)s, contact.id, csv_rows.values, csv_rows.values_digest
    FROM csv_rows CROSS JOIN LATERAL (
        SELECT id FROM contacts_contact WHERE account_id = %(account)s AND number = csv_rows.number LIMIT 1
    ) AS contact
    ORDER BY csv_rows.ctid
    ON CONFLICT (contact_list_id, contact_id, values_digest) DO NOTHING
"""

# The batch's rows, with the contacts that they are about.
_FOUND = """
    SELECT contact.id AS contact_id, csv_rows.values, csv_rows.values_digest, csv_rows.line, csv_rows.ctid
    FROM csv_rows CROSS JOIN LATERAL (
        SELECT id FROM contacts_contact WHERE account_id = %(account)s AND number = csv_rows.number LIMIT 1
    ) AS contact
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
        SELECT %(list)s, contact_id, values, values_digest, %(number)s, line FROM ({_FOUND}) AS found
        ORDER BY found.ctid
        {_ON_CONFLICT}
    )
    SELECT count(*) FILTER (WHERE is_new), 0 FROM stored
"""  # noqa: S608 -- made of constants; every value is a parameter

# known: what the list has of the numbers of the batch, by the index of its unique constraint. OFFSET and ARRAY keep
# both look-ups at an index, as LIMIT does above.
_REPLACE_ENTRIES = f"""
    WITH found AS MATERIALIZED ({_FOUND}), known AS MATERIALIZED (
        SELECT entry.id, entry.contact_id, entry.values_digest, entry.upload_number
        FROM (SELECT DISTINCT contact_id FROM found) AS renewed CROSS JOIN LATERAL (
            SELECT id, contact_id, values_digest, upload_number FROM contacts_listentry
            WHERE contact_list_id = %(list)s AND contact_id = renewed.contact_id OFFSET 0
        ) AS entry
    ), replaced AS (
        DELETE FROM contacts_listentry WHERE id = ANY(ARRAY(
            SELECT id FROM known WHERE upload_number < %(number)s AND NOT EXISTS (
                SELECT FROM found
                WHERE found.contact_id = known.contact_id AND found.values_digest = known.values_digest
            )
        )) RETURNING id
    ), stored AS (
        INSERT INTO contacts_listentry AS entry
            (contact_list_id, contact_id, values, values_digest, upload_number, line)
        SELECT %(list)s, contact_id, values, values_digest, %(number)s, line FROM found
        WHERE NOT EXISTS (
            SELECT FROM known WHERE known.contact_id = found.contact_id AND known.upload_number > %(number)s
        )
        ORDER BY found.ctid
        {_ON_CONFLICT}
    )
    SELECT (SELECT count(*) FROM stored WHERE is_new), (SELECT count(*) FROM replaced)
"""  # noqa: S608 -- made of constants; every value is a parameter
