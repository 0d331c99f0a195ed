"""The test database: a copy of one that is migrated once a run, and tables that are emptied quickly."""

import fcntl
import os
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from tests.services import RUN_FOLDER

TEMPLATE = "test_trunkline_template"
# What `migrate` fills, and no test changes.
_FILLED_BY_MIGRATE = {"contenttypes.ContentType", "auth.Permission"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, django_db_blocker):
    """Make pytest-django copy its database from the template. Migrating takes seconds, a copy a tenth of one."""
    with (Path(os.environ[RUN_FOLDER]) / "template").open("a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)  # the first of several workers migrates, the others wait for it
        if not mark.tell():
            with django_db_blocker.unblock():
                _create_template()
            mark.write("migrated")
    connection.settings_dict["TEST"]["TEMPLATE"] = TEMPLATE


def _create_template() -> None:
    name, test = connection.settings_dict["NAME"], connection.settings_dict["TEST"]
    test_name, test["NAME"] = test["NAME"], TEMPLATE
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    test["NAME"] = test_name
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name


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


def pytest_configure() -> None:
    """Replace Django's flush after each test that commits.

    It truncates every table, which makes new files for each, and then inserts content types and permissions again:
    0.1 s for each of hundreds of tests.
    """
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined]
