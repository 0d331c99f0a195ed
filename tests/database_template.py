"""The test database of each worker: a copy of one that is migrated once a run.

Registered after pytest-django, one of whose fixtures it replaces: of two plugins' fixtures, the later one counts.
"""

import fcntl
import hashlib
import os
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from tests import database
from tests.services import RUN_FOLDER

PREFIX = "test_trunkline_template_"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, django_db_blocker):
    """Make pytest-django copy its database from the template. Migrating takes seconds, a copy a tenth of one."""
    template = PREFIX + _digest()
    with (Path(os.environ[RUN_FOLDER]) / "template").open("a") as lock, django_db_blocker.unblock():
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first of several workers migrates, the others wait for it
        if template not in (there := _templates()):
            _create(template)
            _drop(there)
    connection.settings_dict["TEST"]["TEMPLATE"] = template


def _digest() -> str:
    """Return what tells one template from another: its migrations, and what deletes its rows.

    A template outlives the run on a server that it was given: `make mutants` runs its tests one by one on one server.
    """
    configs = sorted(apps.get_app_configs(), key=lambda config: config.label)  # wherever their folders are
    files = [file for config in configs for file in sorted(Path(config.path).glob("migrations/*.py"))]
    texts = [file.read_bytes() for file in files]
    return hashlib.sha256(b"".join([*texts, database.function().encode()])).hexdigest()[:16]


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
    with connection.cursor() as cursor:
        cursor.execute(database.function())
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
