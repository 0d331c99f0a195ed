"""Which tables a piece of code writes to, by its statements."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

_WRITE = re.compile(r'\b(?:INSERT INTO|DELETE FROM|UPDATE(?! OF\b)) "?(\w+)"?', re.IGNORECASE)
AUDIT = "accounts_auditentry"
# Of the framework and of bookkeeping: sessions, messages, the last use of a key.
_KEPT_BY_ITSELF = {"django_session", "django_content_type", "set"}


@contextmanager
def written_tables() -> Iterator[set[str]]:
    """Collect the names of the tables that are written to."""
    tables: set[str] = set()
    with CaptureQueriesContext(connection) as queries:
        yield tables
    for query in queries:
        sql = re.sub(r"FOR (NO KEY )?UPDATE|DO UPDATE", "", query["sql"])
        if 'SET "last_used_at"' in sql or 'SET "last_login"' in sql:
            continue
        tables |= set(_WRITE.findall(sql)) - _KEPT_BY_ITSELF
