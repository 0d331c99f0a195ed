"""Statements that PostgreSQL executed and commands that Redis executed, from PostgreSQL's log and Redis's MONITOR.

The embedded PostgreSQL comes without pg_stat_statements, so its log is counted. Both slow the system down: a run that
is counted is not timed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import redis

from tools.bench.system import APPLICATION_NAME, Connection, System

# The first line of a statement, transaction control included; its further lines are indented by a tab.
_BEGIN = re.compile(rb"^@(?P<application>[^@]*)@ LOG:  (?:statement|execute [^:]*): (?P<text>.*)")


@dataclass
class Asked:
    """statements: whole texts, without those of the bench. commands: sent by clients; in_scripts: by Lua scripts."""

    statements: list[str] = field(default_factory=list)
    commands: int = 0
    in_scripts: int = 0


@contextmanager
def listening(whole: System) -> Iterator[Asked]:
    """Yield an object that is filled at the end of the `with` block."""
    asked = Asked()
    log = whole.stack.data_dir / "postgres" / "log"
    with redis.Redis.from_url(whole.redis_url) as client, _statements_logged(whole.db):
        begin = log.stat().st_size
        thread = Thread(target=_monitor, args=(client, asked), daemon=True)
        thread.start()
        yield asked
        client.connection_pool.disconnect()
    thread.join(timeout=5)
    asked.statements = list(_statements(log, begin))


@contextmanager
def _statements_logged(db: Connection) -> Iterator[None]:
    db.execute("ALTER SYSTEM SET log_line_prefix = '@%a@ '")
    db.execute("ALTER SYSTEM SET log_statement = 'all'")
    db.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        db.execute("ALTER SYSTEM RESET ALL")
        db.execute("SELECT pg_reload_conf()")


def _monitor(client: "redis.Redis", asked: Asked) -> None:
    # Ends when the other thread closes the connection.
    with suppress(redis.RedisError, OSError, ValueError, AttributeError), client.monitor() as monitor:  # type: ignore[no-untyped-call]
        for command in monitor.listen():
            if command["client_type"] == "lua":
                asked.in_scripts += 1
            else:
                asked.commands += 1


def _statements(log: Path, begin: int) -> Iterator[str]:
    lines: list[bytes] = []
    with log.open("rb") as file:
        file.seek(begin)
        for line in file:
            if line.startswith(b"\t") and lines:
                lines.append(line)
                continue
            if lines:
                yield _text(lines)
            found = _BEGIN.match(line)
            lines = [found["text"]] if found and found["application"] != APPLICATION_NAME.encode() else []
    if lines:
        yield _text(lines)


def _text(lines: list[bytes]) -> str:
    return "\n".join(line.decode(errors="replace").strip("\t\n") for line in lines)
