"""Are the servers what Trunkline was written for? A sentence with the remedy for each thing that is not.

Asked at the start of each process, by `manage.py migrate` and `manage.py ready`, and by `/readyz`, which names nothing.
docs/operator/settings.md lists the checks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, NotSupportedError, OperationalError, ProgrammingError, connection
from psycopg.errors import UndefinedColumn, UndefinedTable
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from accounts import secret_key_check
from campaigns_project.redis_memory import ACL
from core import server_urls
from core.redis_client import redis_client

log = structlog.get_logger(__name__)

OLDEST_POSTGRESQL = 14
OLDEST_REDIS = 7

NOT_PREPARED = "migrations have not been run: manage.py prepare"

THROWAWAY = "trunkline.throwaway"
"""A parameter that a server of tests has in its configuration: nobody needs its data after a crash."""

_ASK = """
SELECT current_setting('server_encoding') AS encoding,
       current_setting('server_version_num')::int / 10000 AS version,
       has_database_privilege(current_database(), 'TEMPORARY') AS may_make_temporary_tables,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS standbys,
       current_setting('fsync') AS fsync,
       coalesce(current_setting(%s, true), 'off') AS throwaway,
       current_setting('transaction_read_only') AS is_read_only,
       pg_is_in_recovery() AS is_stand_by,
       current_setting('transaction_isolation') AS isolation,
       current_setting('DateStyle') AS date_style,
       current_setting('IntervalStyle') AS interval_style,
       current_schema() AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_make_tables,
       array(SELECT name FROM pg_settings WHERE setting <> '0' AND source <> 'client' AND name IN
           ('statement_timeout', 'transaction_timeout', 'idle_session_timeout')) AS time_limits,
       quote_ident(current_database()) AS database,
       quote_ident(current_user) AS role
"""


@dataclass(frozen=True)
class Problem:
    """Something that an operator has to change.

    Attributes:
        kind: `database`, `migrations`, `secret-key` or `redis`; names nothing.
        text: what is wrong and what to do, without a full stop.
        stops_start: no process begins to work, as it would do harm. Otherwise it is a warning.
    """

    kind: str
    text: str
    stops_start: bool = True


def at_start() -> list[Problem]:
    """Return all that is wrong. A server that is away is logged, and has no problem: processes wait for it."""
    found: list[Problem] = []
    try:
        found += database()
        found += migrations()
        if not any(problem.kind == "migrations" and problem.stops_start for problem in found):
            found += first_secret_key()
    except DatabaseError as error:
        log.warning("server_not_checked", server="PostgreSQL", error=str(error))
    try:
        found += redis()
    except RedisError as error:
        log.warning("server_not_checked", server="Redis", error=str(error))
    connection.close()  # for the start of a process alone, which may fork
    return found


def told_of(error: Exception) -> str:
    """Return what a server's client has raised in a sentence, without its text: that may hold an address."""
    match error:
        case ProgrammingError() if is_without_tables(error):
            return NOT_PREPARED
        case OperationalError():
            return "PostgreSQL does not respond, or refuses what is asked: start it, or correct DATABASE_URL"
        case AuthenticationError():
            return f"Redis refuses the name or password of REDIS_URL: correct them, {server_urls.ESCAPED}"
        case NoPermissionError():
            return f"the user of REDIS_URL may not run all commands that are needed, so nothing can be dialed: {ACL}"
        case RedisError():
            return "Redis does not respond: start it, or correct REDIS_URL"
    return type(error).__name__


def is_without_tables(error: ProgrammingError) -> bool:
    """Tell whether a table or column is missing: the migrations have not been run."""
    return isinstance(error.__cause__, UndefinedTable | UndefinedColumn)


# PostgreSQL ----------------------------------------------------------------------------------------------------------


def database() -> list[Problem]:
    """Return what is wrong with PostgreSQL. Raises DatabaseError where it does not respond."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_ASK, [THROWAWAY])
            [row] = cursor.fetchall()
            names = [column.name for column in cursor.description or ()]
    except NotSupportedError as error:  # Django asks for the version first
        return [Problem("database", f"PostgreSQL is too old: {error}. Upgrade it to {OLDEST_POSTGRESQL} or newer")]
    told = dict(zip(names, row, strict=True))
    return [*_wrong(told), *_unsafe(told)]


def may_migrate() -> list[Problem]:
    """Return what would break a migration, or all that follows it."""
    problems = database()
    with connection.cursor() as cursor:
        cursor.execute(_ASK, [THROWAWAY])
        [row] = cursor.fetchall()
        told = dict(zip([column.name for column in cursor.description or ()], row, strict=True))
    if told["schema"] is None:
        text = f"the role {told['role']} has no schema: CREATE SCHEMA, or ALTER ROLE {told['role']} SET search_path"
        problems.append(Problem("database", text))
    elif not told["may_make_tables"]:
        grant = f"GRANT CREATE ON SCHEMA {told['schema']} TO {told['role']}"
        problems.append(Problem("database", f"the role {told['role']} may make no tables: {grant}"))
    return [problem for problem in problems if problem.stops_start]


def _wrong(told: Mapping[str, Any]) -> Iterator[Problem]:
    if told["version"] < OLDEST_POSTGRESQL:
        yield Problem("database", f"PostgreSQL is {told['version']}: upgrade it to {OLDEST_POSTGRESQL} or newer")
    if told["encoding"] != "UTF8":
        remedy = "make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL"
        yield Problem("database", f"the encoding of the database {told['database']} is {told['encoding']}: {remedy}")
    if not told["may_make_temporary_tables"]:
        grant = f"GRANT TEMPORARY ON DATABASE {told['database']} TO {told['role']}"
        yield Problem("database", f"the role {told['role']} may make no temporary tables, which uploads need: {grant}")
    if not told["date_style"].startswith("ISO"):
        remedy = f"ALTER ROLE {told['role']} SET DateStyle = 'ISO'"
        yield Problem("database", f"DateStyle is {told['date_style']}, which can't be read: {remedy}")
    if told["interval_style"] != "postgres":
        remedy = f"ALTER ROLE {told['role']} SET IntervalStyle = 'postgres'"
        yield Problem("database", f"IntervalStyle is {told['interval_style']}, which can't be read: {remedy}")
    if told["isolation"] != "read committed":
        remedy = f"ALTER ROLE {told['role']} SET default_transaction_isolation = 'read committed'"
        yield Problem("database", f"transactions are {told['isolation']}: {remedy}")


def _unsafe(told: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what breaks the guarantee of one ring after a crash or a fail-over."""
    if told["throwaway"] != "on":
        if told["synchronous_commit"] == "off":
            remedy = f"ALTER ROLE {told['role']} SET synchronous_commit = 'on'"
            text = "synchronous_commit is off, so that a crash forgets calls, which are rung again"
            yield Problem("database", f"{text}: {remedy}")
        if told["fsync"] == "off":
            text = "fsync is off, so that a crash of the machine destroys the database: set it to on in postgresql.conf"
            yield Problem("database", text)
    if told["synchronous_commit"] == "local" and told["standbys"]:
        text = "synchronous_commit is local, so that a fail-over forgets calls, which are rung again: set it to on"
        yield Problem("database", text, stops_start=False)
    for name in told["time_limits"]:  # what a start-up option sets, a pooler drops; the newer ones are set by none
        remedy = f"ALTER ROLE {told['role']} SET {name} = 0"
        text = f"{name} is set, so that what takes longer is canceled again and again, or loses its connection"
        yield Problem("database", f"{text}: {remedy}", stops_start=False)


def takes_no_writes() -> str:
    """Return why the database takes no writes; "" where it does. That heals by itself in a fail-over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
        [(is_stand_by, is_read_only)] = cursor.fetchall()
    if is_stand_by:
        return "PostgreSQL is a stand-by and takes no writes: name the primary in DATABASE_URL"
    return (
        "the database is read-only: ALTER DATABASE … SET default_transaction_read_only = 'off'" if is_read_only else ""
    )


# Migrations ----------------------------------------------------------------------------------------------------------


def migrations() -> list[Problem]:
    """Return whether the database has the tables of this version. Raises DatabaseError."""
    applied = _applied()
    if not applied:
        return [Problem("migrations", NOT_PREPARED)]
    missing = sorted(_on_disk() - applied)
    if missing:
        count = "1 migration has" if len(missing) == 1 else f"{len(missing)} migrations have"
        first = ".".join(missing[0])
        return [Problem("migrations", f"{count} not been run, {first} the first: manage.py prepare")]
    ours = {app for app, _name in _on_disk() if _is_ours(app)}
    if newer := sorted((app, name) for app, name in applied - _on_disk() if app in ours):
        text = f"the database is newer than this version, by {'.'.join(newer[0])}: bring this machine up to date"
        return [Problem("migrations", text, stops_start=False)]
    return []


def _applied() -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        [[is_there]] = cursor.fetchall()
        if not is_there:
            return set()
        cursor.execute("SELECT app, name FROM django_migrations")
        return {(str(app), str(name)) for app, name in cursor.fetchall()}


@cache
def _on_disk() -> frozenset[tuple[str, str]]:
    """Return app and name of each migration, from the files: to import them takes a fifth of a second."""
    found = ((config.label, Path(config.path, "migrations")) for config in apps.get_app_configs())
    return frozenset((label, file.stem) for label, folder in found for file in folder.glob("[0-9]*.py"))


def _is_ours(label: str) -> bool:
    return Path(apps.get_app_config(label).path).parent == settings.BASE_DIR


# SECRET_KEY ----------------------------------------------------------------------------------------------------------


def first_secret_key() -> list[Problem]:
    """Return the same at a start, where the key of the first process on a database becomes the right one."""
    secret_key_check.store_once()
    return secret_key()


def secret_key() -> list[Problem]:
    """Return whether SECRET_KEY is the one that the stored secrets are encrypted with. Raises DatabaseError."""
    if secret_key_check.is_right():
        return []
    text = (
        "SECRET_KEY is not the one that the tokens in this database are encrypted with: set the key of the machines"
        " that have run on it, or add that to SECRET_KEY_FALLBACKS"
    )
    return [Problem("secret-key", text)]


# Redis ---------------------------------------------------------------------------------------------------------------


def redis() -> list[Problem]:
    """Return what is wrong with Redis. Raises RedisError."""
    try:
        server = redis_client().info("server")
    except (AuthenticationError, NoPermissionError) as error:
        return [Problem("redis", told_of(error))]
    mode = server.get("redis_mode", "standalone")
    if mode != "standalone":
        what = "a Sentinel" if mode == "sentinel" else f"in the mode {mode}"
        return [Problem("redis", f"the server of REDIS_URL is {what}: name a Redis that stands alone, or its primary")]
    version = str(server.get("redis_version", ""))
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < OLDEST_REDIS and not server.get("valkey_version"):
        text = f"Redis is {version}, whose stand-by hides that leases are missing after a fail-over"
        return [Problem("redis", f"{text}: upgrade it to {OLDEST_REDIS} or newer, or to Valkey", stops_start=False)]
    return []
