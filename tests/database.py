"""The test database: a copy of one that is migrated once a run, and tables that are emptied quickly."""

import fcntl
import hashlib
import os
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from tests.services import RUN_FOLDER

PREFIX = "test_trunkline_template_"
# What `migrate` fills, and no test changes.
_FILLED_BY_MIGRATE = {"contenttypes.ContentType", "auth.Permission"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, django_db_blocker):
    """Make pytest-django copy its database from the template. Migrating takes seconds, a copy a tenth of one."""
    template = PREFIX + _digest_of_migrations()
    with (Path(os.environ[RUN_FOLDER]) / "template").open("a") as lock, django_db_blocker.unblock():
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first of several workers migrates, the others wait for it
        if template not in (there := _templates()):
            _create(template)
            _drop(there)
    connection.settings_dict["TEST"]["TEMPLATE"] = template


def _digest_of_migrations() -> str:
    """Return what tells one state of the migrations from another.

    A template outlives the run on a server that it was given: `make mutants` runs its tests one by one on one server.
    """
    files = [file for config in apps.get_app_configs() for file in Path(config.path).glob("migrations/*.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]


def _templates() -> list[str]:
    with connection.creation._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
        return [name for (name,) in cursor.fetchall()]


def _create(template: str) -> None:
    """Migrate a database, and give it the name of the template when it is whole."""
    name, test = connection.settings_dict["NAME"], connection.settings_dict["TEST"]
    test_name, unfinished = test["NAME"], f"{PREFIX}unfinished"
    test["NAME"] = unfinished
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    test["NAME"] = test_name
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name
    with connection.creation._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{template}"')


def _drop(templates: list[str]) -> None:
    """Drop the templates of earlier migrations."""
    with connection.creation._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        for template in templates:
            cursor.execute(f'DROP DATABASE IF EXISTS "{template}"')


def delete_rows() -> None:
    """Delete all rows. Foreign keys are checked at the end, so the order is free."""
    with connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {_deletions()}; COMMIT")


@cache
def _deletions() -> str:
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.label not in _FILLED_BY_MIGRATE
    ]
    deletions = [f'DELETE FROM "{model._meta.db_table}"' for model in models]
    # The trigger that keeps the entries of a year. Disabling it is the way that is left to the owner of the table.
    keeper = 'ALTER TABLE "accounts_auditentry" {} TRIGGER audit_entry_stays'
    return "; ".join([keeper.format("DISABLE"), *deletions, keeper.format("ENABLE")])


def _empty_tables(_test: object) -> None:
    delete_rows()
    with connection.cursor() as cursor:
        # What a test may have left in the session, which goes on.
        cursor.execute("SELECT pg_advisory_unlock_all(); RESET ALL")
    connection.ensure_timezone()


def pytest_configure() -> None:
    """Replace Django's flush and reconnect after each test that commits.

    It truncates every table, which makes new files for each, and then inserts content types and permissions again:
    0.1 s for each of hundreds of tests. And a new session of PostgreSQL reads its catalogue again: 5 ms.
    """
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined]
    TransactionTestCase._should_reload_connections = lambda _: False  # type: ignore[attr-defined]
