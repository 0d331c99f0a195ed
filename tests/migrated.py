"""A PostgreSQL data folder that has the tables: to migrate takes each system that tests start three seconds.

Registered after `tests.database_template`, whose template it has, too: `make mutants` looks for that on its own server.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection

from tests.once import alone
from tests.services import RUN_FOLDER
from tools.local import postgres
from tools.local.postgres import DATABASE_NAME, Postgres


@pytest.fixture(scope="session")
def of_migrated_data(django_db_setup: None) -> Mapping[str, str]:
    """Return the environment variable with which new embedded servers begin with the tables."""
    if postgres.TEMPLATE not in os.environ:  # the tests' server was given, and may be too new for our programs
        return {}
    data_dir = Path(os.environ[RUN_FOLDER]) / "migrated"
    with alone("migrated-once") as done:
        if not done.read_bytes():
            _make(data_dir, connection.settings_dict["TEST"]["TEMPLATE"])
            done.write_text("done")
    return {postgres.TEMPLATE: str(data_dir / Postgres.name)}


def _make(data_dir: Path, template: str) -> None:
    """Copy the migrated template of the tests to a server of its own, twice, and stop that."""
    data_dir.mkdir()
    dump = data_dir / "dump.sql"
    _run("pg_dump", "--file", dump, "--dbname", _of(os.environ["DATABASE_URL"], template))
    server = Postgres(data_dir)
    url = server.start(durable=False)
    try:
        with psycopg.connect(_of(url, "postgres"), autocommit=True) as superuser:
            superuser.execute(f'CREATE DATABASE "{template}"')
            _run("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--file", dump, "--dbname", _of(url, template))
            superuser.execute(f"DROP DATABASE {DATABASE_NAME}")
            superuser.execute(f'CREATE DATABASE {DATABASE_NAME} TEMPLATE "{template}"')
        with psycopg.connect(url) as of_systems:
            of_systems.execute("DROP SCHEMA tests CASCADE")
    finally:
        server.stop()


def _of(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _run(program: str, *arguments: str | Path) -> None:
    subprocess.run([postgres.programs() / program, *arguments], check=True, stdout=subprocess.DEVNULL)
