"""Two machines that prepare one database at once: one does, the other waits. Real processes.

Through a real PgBouncer in transaction mode where it is installed (`apt-get install pgbouncer`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections
from psycopg.conninfo import conninfo_to_dict

from campaigns_project import alone
from tests.pgbouncer import PROGRAM, PgBouncer
from tools.local.ports import free_ports

ROOT = Path(settings.BASE_DIR)
NAME = "of_a_test_that_migrates_twice"
HOLDERS = """
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def empty_database(transactional_db) -> Iterator[str]:
    parts = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(urlunsplit(parts), autocommit=True) as superuser:
        superuser.execute(f"DROP DATABASE IF EXISTS {NAME}")
        superuser.execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
        yield urlunsplit(parts._replace(path=f"/{NAME}"))
        superuser.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


@pytest.fixture
def road(empty_database: str) -> Iterator[str]:
    """The address by which the machines reach the database."""
    if PROGRAM is None:
        yield empty_database
        return
    [port] = free_ports(1)
    direct = conninfo_to_dict(empty_database)
    with PgBouncer(f"host={direct['host']} port={direct['port']} user={direct['user']}", port, sessions=8):
        yield f"postgresql://{direct['user']}@127.0.0.1:{port}/{NAME}"


def manage(url: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_that_migrate_at_once_both_succeed_and_one_has_waited(empty_database, road):
    with psycopg.connect(empty_database) as held:
        # Both come while a third one holds the lock, so that neither can be done before the other has begun.
        held.execute("SELECT pg_advisory_xact_lock(%s)", [alone._LOCK])
        runs = [manage(road, "migrate", "--noinput", "--verbosity", "1") for _ in range(2)]
        told = [run.stderr.readline() for run in runs if run.stderr]
    assert told == ["Waiting for another process that migrates this database.\n"] * 2
    ends = [run.communicate(timeout=240) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ends
    assert sorted("No migrations to apply." in out for out, _ in ends) == [False, True]
    with psycopg.connect(empty_database) as direct:
        left = direct.execute(f"SELECT count(*) {HOLDERS}").fetchall()
    assert left == [(0,)], "the lock stays behind on a connection of the pooler"


def test_the_lock_is_a_transactions_so_that_a_pooler_does_not_leave_it_behind(transactional_db):
    with alone.preparing(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [alone._LOCK])
        assert cursor.fetchall() == [(False,)]
        cursor.execute(f"SELECT state, backend_xmin {HOLDERS}")
        assert cursor.fetchall() == [("idle in transaction", None)], "it keeps nothing from being vacuumed"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {HOLDERS}")
        assert cursor.fetchall() == [(0,)]


def test_one_that_dies_lets_the_next_in(transactional_db):
    with pytest.raises(RuntimeError), alone.preparing():
        raise RuntimeError("killed half way")
    waited: list[bool] = []
    with alone.preparing(lambda: waited.append(True)):
        assert not waited
    connections["default"].close()
