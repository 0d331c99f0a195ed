"""PostgreSQL and Redis as they must not be, on real servers: each is told in a sentence with its remedy."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.backends.base import base as django_backend
from redis.exceptions import ConnectionError as RedisAway

from accounts import secret_key_check
from accounts.secret_key_check import SecretKeyCheck
from campaigns_project import readiness, server_checks, startup
from core import server_urls

ROLE = "plain_role_of_a_test"


def texts(problems: list[server_checks.Problem]) -> list[str]:
    return [problem.text for problem in problems]


@contextmanager
def elsewhere(*, database: str = "", role: str = "", **options: Any) -> Iterator[None]:
    """Let Django's connection lead to another database, or be another role's, for the length of a `with` block."""
    before = connection.settings_dict.copy()
    connection.close()
    connection.settings_dict |= {"NAME": database or before["NAME"], "USER": role or before["USER"]}
    connection.settings_dict["OPTIONS"] = before["OPTIONS"] | options
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.clear()
        connection.settings_dict |= before


@pytest.fixture
def server(transactional_db: None) -> Iterator[Callable[[str], Any]]:
    """Run statements as the superuser, in the tests' database."""
    parts = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    with psycopg.connect(urlunsplit(parts), autocommit=True) as superuser:
        yield superuser.execute


@pytest.fixture
def role(server: Callable[[str], Any]) -> Iterator[str]:
    """A role that is no superuser: it may what others may."""
    name = connection.settings_dict["NAME"]
    server(f"DROP ROLE IF EXISTS {ROLE}")
    server(f"CREATE ROLE {ROLE} LOGIN")
    server(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
    server(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    server(f'GRANT TEMPORARY ON DATABASE "{name}" TO {ROLE}')
    yield ROLE
    connection.close()
    server(f'REVOKE ALL ON DATABASE "{name}" FROM {ROLE}')
    server(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLE}")
    server(f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
    server(f"DROP ROLE {ROLE}")


@pytest.fixture
def sql_ascii(server: Callable[[str], Any]) -> Iterator[str]:
    name = "of_a_test_in_sql_ascii"
    server(f"DROP DATABASE IF EXISTS {name}")
    server(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    yield name
    server(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_servers_of_the_tests_are_well(transactional_db, redis):
    assert server_checks.at_start() == []


class TestDatabase:
    def test_another_encoding_stops_the_start(self, sql_ascii):
        with elsewhere(database=sql_ascii):
            [problem] = server_checks.database()
        assert problem.stops_start
        assert problem.text.startswith(f"the encoding of the database {sql_ascii} is SQL_ASCII: make one with CREATE")

    def test_nothing_is_migrated_there(self, sql_ascii):
        with elsewhere(database=sql_ascii):
            with pytest.raises(CommandError, match="Nothing was changed:\n  the encoding of the database"):
                call_command("migrate", verbosity=0)
            assert connection.introspection.table_names() == []

    def test_without_the_right_to_temporary_tables(self, server, role):
        with elsewhere(role=role):
            assert server_checks.database() == []
        server(f'REVOKE TEMPORARY ON DATABASE "{connection.settings_dict["NAME"]}" FROM {role}')
        with elsewhere(role=role):
            [problem] = server_checks.database()
        assert problem.stops_start
        assert f"the role {role} may make no temporary tables" in problem.text
        assert re.search(rf"GRANT TEMPORARY ON DATABASE \S+ TO {role}$", problem.text)
        remedy = problem.text.rpartition(": ")[2]
        server(remedy)
        with elsewhere(role=role):
            assert server_checks.database() == [], "the remedy is one"

    def test_without_the_right_to_tables_nothing_is_migrated(self, role):
        with elsewhere(role=role):
            assert texts(server_checks.may_migrate()) == [
                f"the role {role} may make no tables: GRANT CREATE ON SCHEMA public TO {role}"
            ]

    @pytest.mark.parametrize(
        ("parameter", "words"), [("synchronous_commit", "a crash forgets calls, which are rung again: ALTER ROLE")]
    )
    def test_commits_that_a_crash_forgets_stop_the_start(self, server, role, parameter, words):
        server(f"ALTER ROLE {role} SET {parameter} = off")
        with elsewhere(role=role):
            assert server_checks.database() == [], "the tests' server says that nobody needs its data"
        server(f"ALTER ROLE {role} SET {server_checks.THROWAWAY} = off")
        with elsewhere(role=role):
            problems = server_checks.database()
        assert all(problem.stops_start for problem in problems)
        assert words in texts(problems)[0]
        assert "fsync is off" in texts(problems)[1]
        server(texts(problems)[0].rpartition(": ")[2])
        with elsewhere(role=role):
            assert [text.partition(" ")[0] for text in texts(server_checks.database())] == ["fsync"]

    @pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
    def test_dates_are_read_whatever_the_role_has(self, server, role, style):
        server(f"ALTER ROLE {role} SET DateStyle = '{style}'")
        server(f"ALTER ROLE {role} SET IntervalStyle = 'iso_8601'")
        # Without the start-up options, as behind a pooler.
        with elsewhere(role=role, options="-c lock_timeout=10s"):
            assert server_checks.database() == []
            with connection.cursor() as cursor:
                cursor.execute("SELECT date '2026-03-02', interval '90 minutes', timestamptz '2026-03-02 10:00+00'")
                [[day, interval, moment]] = cursor.fetchall()
        assert (day.isoformat(), interval.total_seconds()) == ("2026-03-02", 5400)
        assert moment.isoformat() == "2026-03-02T10:00:00+00:00"

    def test_transactions_are_read_committed_whatever_the_role_has(self, server, role):
        server(f"ALTER ROLE {role} SET default_transaction_isolation = 'serializable'")
        with elsewhere(role=role):
            assert server_checks.database() == []
        with elsewhere(role=role, options=""):
            assert "transactions are serializable: ALTER ROLE" in texts(server_checks.database())[0]
            connection.set_autocommit(False)
            with connection.cursor() as cursor:
                cursor.execute("SHOW transaction_isolation")
                assert cursor.fetchall() == [("read committed",)], "each BEGIN says so"
            connection.rollback()
            connection.set_autocommit(True)

    @pytest.mark.parametrize("parameter", ["statement_timeout", "idle_session_timeout"])
    def test_time_limits_of_the_role_are_told_where_they_are_in_force(self, server, role, parameter):
        server(f"ALTER ROLE {role} SET {parameter} = '1s'")
        with elsewhere(role=role, options=server_urls.SESSION):
            told = texts(server_checks.database())
            with connection.cursor() as cursor:
                cursor.execute("SHOW statement_timeout")
                assert cursor.fetchall() == [("0",)], "every process sets it"
        assert len(told) == (1 if parameter == "idle_session_timeout" else 0)
        with elsewhere(role=role, options=""):  # as behind a pooler
            [problem] = server_checks.database()
        assert not problem.stops_start
        assert problem.text.startswith(f"{parameter} is set")
        server(problem.text.rpartition(": ")[2])
        with elsewhere(role=role, options=""):
            assert server_checks.database() == []

    def test_a_database_that_takes_no_writes_is_not_ready(self, server, role):
        server(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        with elsewhere(role=role):
            assert "the database is read-only" in readiness.parts()["database"]
            assert server_checks.database() == [], "that may heal by itself"

    def test_a_version_that_is_too_old(self, transactional_db, monkeypatch):
        connection.close()
        with monkeypatch.context() as old:
            old.setattr(connection.features, "minimum_database_version", (99,))
            old.setattr(django_backend, "RAN_DB_VERSION_CHECK", set())
            [problem] = server_checks.database()
        assert problem.stops_start
        assert "PostgreSQL is too old: PostgreSQL 99 or later is required" in problem.text
        connection.close()


class TestMigrations:
    def test_one_that_has_not_run_stops_the_start(self, transactional_db):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'webhooks' RETURNING app, name, applied")
            rows = cursor.fetchall()
            try:
                [problem] = server_checks.migrations()
                assert readiness.parts()["migrations"] == problem.text
            finally:
                cursor.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", rows)
        assert problem.stops_start
        assert re.fullmatch(
            r"\d+ migrations? ha\w+ not been run, webhooks\.0001\w+ the first: manage.py prepare", problem.text
        )
        assert server_checks.migrations() == []

    def test_a_database_without_any_table(self, sql_ascii):
        with elsewhere(database=sql_ascii):
            found = server_checks.at_start()
        assert [problem.kind for problem in found] == ["database", "migrations"]
        assert found[1].text == "migrations have not been run: manage.py prepare"

    def test_before_the_first_preparation_ready_says_so_for_each_part(self, sql_ascii, redis):
        with elsewhere(database=sql_ascii):
            parts = readiness.parts()
            with pytest.raises(CommandError, match=r"not ready: .*migrations"):
                call_command("ready")
        assert parts["migrations"] == "migrations have not been run: manage.py prepare"
        assert {parts["secret-key"], parts["redis"], parts["dial"]} == {parts["migrations"]}
        assert not [told for told in parts.values() if "Error" in told]

    @pytest.fixture
    def configured_log(self, settings):
        """Leave the log as it is: Django would let it write to what captures this test, for all that come later."""
        settings.LOGGING_CONFIG = None

    def test_a_command_before_it_ends_with_the_same_sentence(self, sql_ascii, configured_log, capsys):
        with elsewhere(database=sql_ascii), pytest.raises(SystemExit) as ended:
            startup.run_command(["manage.py", "hold"])
        assert ended.value.code == 69
        assert capsys.readouterr().err == "migrations have not been run: manage.py prepare.\n"

    def test_a_command_at_a_server_that_refuses_ends_with_a_sentence(self, transactional_db, configured_log, capsys):
        with elsewhere(role="nobody_of_a_test"), pytest.raises(SystemExit) as ended:
            startup.run_command(["manage.py", "hold"])
        assert ended.value.code == 69
        said = capsys.readouterr().err
        assert said.startswith(
            "PostgreSQL does not respond, or refuses what is asked: start it, or correct DATABASE_URL ("
        )
        assert 'role "nobody_of_a_test" does not exist' in said
        with elsewhere(role="nobody_of_a_test"), pytest.raises(OperationalError):
            startup.run_command(["manage.py", "hold", "--traceback"])

    def test_a_database_of_a_later_version_is_a_warning(self, transactional_db, redis):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('dialer', '9999_later', now())")
            try:
                [problem] = server_checks.migrations()
                assert readiness.parts()["migrations"] == "ok"
                assert [warning.kind for warning in readiness.warnings()] == ["migrations"]
            finally:
                cursor.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
        assert not problem.stops_start
        assert "by dialer.9999_later: bring this machine up to date" in problem.text


class TestSecretKey:
    def test_the_first_process_writes_what_others_are_judged_by(self, transactional_db, redis, settings):
        assert server_checks.at_start() == []
        assert SecretKeyCheck.objects.count() == 1
        settings.SECRET_KEY = "another key, as on a machine that made one of its own"
        for problems in (server_checks.at_start(), server_checks.secret_key()):
            [problem] = problems
            assert problem.stops_start
            assert "SECRET_KEY is not the one" in problem.text
            assert settings.SECRET_KEY not in problem.text
        assert readiness.parts()["secret-key"] == problem.text
        assert SecretKeyCheck.objects.count() == 1

    def test_who_only_looks_writes_nothing(self, transactional_db, redis, client):
        client.get("/readyz")
        assert not SecretKeyCheck.objects.exists()

    def test_a_key_that_was_changed_with_the_one_before_beside_it_is_right(self, transactional_db, settings):
        secret_key_check.store_once()
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another key, as on a machine that made one of its own"
        assert server_checks.secret_key() == []

    def test_of_two_first_processes_one_is_right(self, transactional_db, settings, monkeypatch):
        """The other one's row comes between the look and the insert."""
        looked = SecretKeyCheck.objects.filter

        def look(**query):
            found = looked(**query).none()
            own, settings.SECRET_KEY = settings.SECRET_KEY, "the key of the process that was faster by a moment"
            SecretKeyCheck.objects.create(text=secret_key_check.TEXT)
            settings.SECRET_KEY = own
            return found

        with monkeypatch.context() as late:
            late.setattr(SecretKeyCheck.objects, "filter", look)
            secret_key_check.store_once()
        assert not secret_key_check.is_right()


class TestRedis:
    @pytest.mark.parametrize(
        ("told", "words", "stops"),
        [
            ({"redis_mode": "sentinel", "redis_version": "7.2.4"}, "is a Sentinel", True),
            ({"redis_mode": "cluster", "redis_version": "7.2.4"}, "in the mode cluster", True),
            ({"redis_mode": "standalone", "redis_version": "6.2.1"}, "Redis is 6.2.1", False),
        ],
    )
    def test_what_it_must_not_be(self, monkeypatch, told, words, stops):
        monkeypatch.setattr(server_checks, "redis_client", lambda: type("Told", (), {"info": lambda *_: told})())
        [problem] = server_checks.redis()
        assert words in problem.text
        assert problem.stops_start == stops

    def test_valkey_is_new_whatever_redis_it_says_that_it_is(self, monkeypatch):
        told = {"redis_mode": "standalone", "redis_version": "6.2.1", "valkey_version": "9.0.0"}
        monkeypatch.setattr(server_checks, "redis_client", lambda: type("Told", (), {"info": lambda *_: told})())
        assert server_checks.redis() == []

    def test_one_that_is_away_is_waited_for(self, transactional_db, monkeypatch):
        def away() -> None:
            raise RedisAway("refused")

        monkeypatch.setattr(server_checks, "redis_client", away)
        assert server_checks.at_start() == []


def test_a_database_that_is_away_is_waited_for(transactional_db, redis):
    with elsewhere(database="no_such_database"):
        assert server_checks.at_start() == []


def test_options_of_the_address_reach_the_server(server):
    given = server_urls.database("postgresql:///x?application_name=calls&options=-c%20lock_timeout%3D5s")["OPTIONS"]
    with elsewhere(**{name: given[name] for name in ("application_name", "options")}), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name'), current_setting('lock_timeout')")
        assert cursor.fetchall() == [("calls", "5s")]
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchall() == [("30s",)]
