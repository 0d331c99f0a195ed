"""A CSV file of 500,000 rows into a list, over HTTP and the real processes, beside the bare loop over its numbers.

Beside it stands what PostgreSQL alone takes to add the same rows from a table of its own.
"""

import time
from pathlib import Path

from tools.bench import bare_loop
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run, cpu_seconds, watched
from tools.bench.system import Connection, number, system
from tools.stack import Client

NAME = "csv-list"
ROWS = 500_000
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 900
BATCH = 5000  # rows in a transaction, as in contacts.csv_uploads.loading


def measure(run: Run) -> list[Row]:
    """Measure the time from the request to the last row, times the cores in use, and the memory that it takes.

    The cores are those of the loader and PostgreSQL, at least one, so that waiting counts too. The memory is that of
    the web processes, which take the file, and the loader together.
    """
    rows = run.count(ROWS, least=1_000)
    run.say(f"a CSV file of {rows:,} rows")
    numbers = [number(position) for position in range(rows)]
    with system(run, "csv-list") as whole:
        client = whole.account("bench", channels=60)
        file = run.folder / "people.csv"
        file.write_text("number,first_name\n" + "".join(f"{called},Name {n}\n" for n, called in enumerate(numbers)))
        loaders = whole.processes("load@")
        workers = [*loaders, *whole.parts()["PostgreSQL"]]
        used = cpu_seconds(workers)
        with watched([*loaders, *whole.processes("gunicorn")]) as memory:
            seconds = _load(client, file, rows)
        cores = max(1.0, (cpu_seconds(workers) - used) / seconds)
        alone = _postgresql_alone(whole.db, rows)
    bare = bare_loop.seconds(numbers)
    on = f"CSV list of {rows:,} rows over HTTP"
    return [
        row(
            f"{on}, time times {cores:.1f} cores of loader and PostgreSQL: beside a bare phonenumbers loop",
            seconds * cores,
            "s",
            NAME,
            limit=bare,
            target=at_most(1.3),
        ),
        row(f"{on}, PostgreSQL alone: beside a bare phonenumbers loop", alone, "s", NAME, limit=bare),
        row(f"{on}, peak memory above idle", memory.above_idle, "MB", NAME, target=at_most(150)),
    ]


def _load(client: Client, file: Path, expected: int) -> float:
    """Return the seconds from the request to the last row."""
    began = time.monotonic()
    with file.open("rb") as rows:
        files, form = {"file_name": rows}, {"list_name": "people"}
        sent = client.session.post(f"{client.base}/contacts/csv-upload", data=form, files=files, timeout=300)
    sent.raise_for_status()
    upload = sent.json()["response"]["data"]["summary"]["upload_id"]
    while time.monotonic() - began < PATIENCE_SECONDS:
        status = client.session.get(f"{client.base}/csv-status/{upload}", timeout=30).json()["response"]["data"]
        if status["status"] != "in-progress":
            if status["stats"]["success"] != expected:
                raise ValueError(f"not all rows were loaded: {status}")
            return time.monotonic() - began
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"not loaded after {PATIENCE_SECONDS} s")


def _postgresql_alone(db: Connection, rows: int) -> float:
    """Return the seconds to add the loaded rows once more, as bulk_insert does, from a table that holds them."""
    db.execute(_COPY_ROWS)
    db.execute("CREATE INDEX ON loaded (line)")
    db.execute("TRUNCATE contacts_contact, contacts_listentry")
    began = time.monotonic()
    for first in range(1, rows + 1, BATCH):
        batch = [first, first + BATCH - 1]
        with db.transaction():
            db.execute(_ADD_CONTACTS, batch)
            added = db.execute(_ADD_ENTRIES, batch).rowcount
        if added != min(BATCH, rows - first + 1):
            raise ValueError(f"PostgreSQL has added {added} rows from row {first} on")
    return time.monotonic() - began


_COPY_ROWS = """
    CREATE TEMPORARY TABLE loaded AS
    SELECT row_number() OVER (ORDER BY entry.id) AS line, contact, entry.contact_list_id, entry.values, values_digest
    FROM contacts_listentry AS entry JOIN contacts_contact AS contact ON contact.id = entry.contact_id
    ORDER BY line
"""

_ADD_CONTACTS = """
    INSERT INTO contacts_contact SELECT (contact).* FROM loaded WHERE line BETWEEN %s AND %s
    ORDER BY (contact).number, line
    ON CONFLICT (account_id, number) DO NOTHING
"""

_ADD_ENTRIES = """
    INSERT INTO contacts_listentry (contact_list_id, contact_id, values, values_digest)
    SELECT loaded.contact_list_id, found.id, loaded.values, loaded.values_digest
    FROM loaded CROSS JOIN LATERAL (
        SELECT id FROM contacts_contact
        WHERE account_id = (loaded.contact).account_id AND number = (loaded.contact).number LIMIT 1
    ) AS found
    WHERE line BETWEEN %s AND %s ORDER BY line
    ON CONFLICT (contact_list_id, contact_id, values_digest) DO NOTHING
"""
