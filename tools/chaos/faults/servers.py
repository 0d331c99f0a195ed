"""Faults 4 and 5: Redis and PostgreSQL restart, crash, go away, lose data or connections."""

import signal
import time
from collections.abc import Iterator

from django.db import connection

from core.redis_client import redis_client
from tools.chaos.faults.table import Table
from tools.chaos.run import Run

AWAY_SECONDS = 20.0
# Longer than the workers of control, dispatch and dial may be silent where something waits.
LONG_AWAY_SECONDS = 75.0

table = Table()


# 4. Redis ------------------------------------------------------------------------------------------------------------


@table.row("4a", "Redis restarts with its data", race=True)
def redis_restarts(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_valkey)
    run.system.start_servers()


@table.row("4b", "Redis loses everything (FLUSHALL)", race=True)
def redis_flushed(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(redis_client().flushall)


@table.row("4c", "Redis away for 20 s")
def redis_away(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_valkey)
    time.sleep(AWAY_SECONDS)
    run.system.start_servers()


@table.row("4d", "the broker's queues lost", race=True)
def queues_lost(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(
        lambda: redis_client().delete("control", "dispatch", "dial", "webhooks", "load", "unacked", "unacked_index")
    )
    for _ in range(40):  # as fast as they fill: no message of these seconds arrives
        redis_client().delete("control", "dispatch", "dial", "webhooks")
        time.sleep(0.05)


@table.row("4e", "Redis killed, and back without its data", race=True)
def redis_killed(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.kill_valkey)
    run.system.start_servers()


@table.row("4f", f"Redis away for {LONG_AWAY_SECONDS:g} s")
def redis_away_for_long(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_valkey)
    time.sleep(LONG_AWAY_SECONDS)
    run.system.start_servers()


@table.row("4g", f"Redis full for {AWAY_SECONDS:g} s")
def redis_full(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: redis_client().config_set("maxmemory", 1))
    time.sleep(AWAY_SECONDS)
    redis_client().config_set("maxmemory", 0)


@table.row("4h", f"Redis a replica that takes no writes, for {AWAY_SECONDS:g} s")
def redis_read_only(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: redis_client().replicaof("127.0.0.1", "1"))
    time.sleep(AWAY_SECONDS)
    redis_client().replicaof("NO", "ONE")


# 5. PostgreSQL -------------------------------------------------------------------------------------------------------


@table.row("5a", "PostgreSQL restarts", race=True)
def postgres_restarts(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_postgres)
    run.system.start_servers()


@table.row("5b", "PostgreSQL crashes", race=True)
def postgres_crashes(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.stop_postgres(signal.SIGQUIT))
    run.system.start_servers()


@table.row("5c", "PostgreSQL away for 20 s")
def postgres_away(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_postgres)
    time.sleep(AWAY_SECONDS)
    run.system.start_servers()


@table.row("5d", "all connections to PostgreSQL terminated", race=True)
def connections_terminated(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(terminate_connections)


@table.row("5e", "PostgreSQL killed", race=True)
def postgres_killed(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.stop_postgres(signal.SIGKILL))
    run.system.start_servers()


def terminate_connections() -> None:
    connection.close()  # an earlier fault may have ended ours
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
