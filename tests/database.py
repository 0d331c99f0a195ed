"""Tables of the tests that are emptied quickly."""

from functools import cache

import psycopg
import pytest
from django.apps import apps
from django.db import OperationalError, connection
from django.test import TransactionTestCase

# What `migrate` fills, and no test changes.
_FILLED_BY_MIGRATE = {"contenttypes.ContentType", "auth.Permission"}
_KEPT = "accounts_auditentry"
_TRIES = 5


def delete_rows() -> None:
    """Delete all rows. Foreign keys are checked at the end, so the order is free.

    A process that outlives its test, as the SIP gateway does, may be writing some of them: one of the two has to wait,
    and PostgreSQL decides which. What was refused for that deletes again.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT tests.delete_rows()")
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.DeadlockDetected) or not tries_left:
                raise
        else:
            return


@cache
def function() -> str:
    """Return the SQL that makes `delete_rows`: a function, whose statements each session of PostgreSQL plans once."""
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.label not in _FILLED_BY_MIGRATE
    ]
    deletions = [f'DELETE FROM "{table}"' for table in sorted({model._meta.db_table for model in models} - {_KEPT})]
    # The trigger that keeps the entries of a year. Disabling it is the way that is left to the owner of the table.
    keeper = f"ALTER TABLE {_KEPT} {{}} TRIGGER audit_entry_stays"
    kept = [keeper.format("DISABLE"), f"DELETE FROM {_KEPT}", keeper.format("ENABLE")]
    body = "; ".join([f"IF EXISTS (SELECT FROM {_KEPT}) THEN {'; '.join(kept)}; END IF", *deletions])
    # As a superuser without any trigger, that of the entries among them: nothing is left that foreign keys could miss.
    untouched = f"DELETE FROM {_KEPT}; {'; '.join(deletions)}"
    return f"""
        CREATE SCHEMA tests;
        CREATE FUNCTION tests.delete_rows() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {body}; END $$;
        DO $do$ BEGIN IF current_setting('is_superuser') = 'on' THEN
            CREATE OR REPLACE FUNCTION tests.delete_rows() RETURNS void LANGUAGE plpgsql
            SET session_replication_role = replica AS $$ BEGIN {untouched}; END $$;
        END IF; END $do$
    """


def _empty_tables(_test: object) -> None:
    delete_rows()
    with connection.cursor() as cursor:
        # What a test may have left in the session, which goes on.
        cursor.execute("SELECT pg_advisory_unlock_all(); RESET ALL")
    connection.ensure_timezone()


def pytest_configure(config: pytest.Config) -> None:
    """Replace Django's flush and reconnect after each test that commits.

    It truncates every table, which makes new files for each, and then inserts content types and permissions again:
    0.1 s for each of hundreds of tests. And a new session of PostgreSQL reads its catalogue again: 5 ms.
    """
    config.pluginmanager.import_plugin("tests.database_template")
    config.pluginmanager.import_plugin("tests.migrated")
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined]
    TransactionTestCase._should_reload_connections = lambda _: False  # type: ignore[attr-defined]
