"""Fault 19: a dump from the middle of a campaign is restored after dialing went on: whom does the server call again?"""

import json
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.db import connection

from accounts.installation import Installation
from core.redis_client import redis_client
from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from tools.local.postgres import programs

# Calls that begin after the dump, at the least: with fewer the restore would lose nothing.
RUNG_SINCE = 5
# Seconds in which a server that is held, and was not released, would have rung somebody.
HELD_SECONDS = 4.0
HELD_WITHIN = 90.0

table = Table()


@table.row("19a", "a dump is restored in the middle of a campaign", race=True)
def dump_restored(run: Run) -> Iterator[None]:
    yield
    _restore(run, empties_redis=False)


@table.row("19b", "the same, and Redis emptied", race=True)
def dump_restored_and_redis_emptied(run: Run) -> Iterator[None]:
    yield
    _restore(run, empties_redis=True)


def _restore(run: Run, *, empties_redis: bool) -> None:
    # A backup is older than the last sweep, which is what a dump of a moment ago may not be.
    run.wait_for(lambda: Installation.objects.exclude(alive_at=None).exists(), 20)
    run.wait_a_moment(0.5, 1.5)
    dump = run.system.data_dir / "backup.dump"
    address = run.system.environment["DATABASE_URL"]
    _run("pg_dump", "--format=custom", "--create", f"--file={dump}", address)
    dumped_at = time.time()
    if not run.wait_for(lambda: len(_rings(run, since=dumped_at)) >= RUNG_SINCE, 30):
        run.notes.append("nothing was tried: hardly anybody was rung after the dump")
    names = run.system.processes()
    run.strike(lambda: run.system.shut_down(*names))
    stopped_at = time.time()
    connection.close()
    with psycopg.connect(_maintenance(address), autocommit=True) as beside:
        beside.execute("DROP DATABASE trunkline WITH (FORCE)")
    _run("pg_restore", "--create", "--exit-on-error", "--dbname", _maintenance(address), str(dump))
    if empties_redis:
        redis_client().flushall()
    for name in names:
        run.system.spawn(name)
    if not run.wait_for(lambda: run.query(_is_held, False), HELD_WITHIN):
        run.notes.append("the server did not notice the restore")
    time.sleep(HELD_SECONDS)
    told = json.loads(run.system.manage("reconcile", "--json"))
    if not told["recorded"]:
        run.notes.append("nothing was recorded that was dialed since the dump")
    if again := _rings(run, since=stopped_at):
        run.notes.append(f"{len(again)} numbers were rung while the server was held")
    run.system.manage("release")
    run.rename_rings = True


def _is_held() -> bool:
    return Installation.objects.filter(held_because__in=["restored", "doubtful"]).exists()


def _rings(run: Run, *, since: float) -> list[dict[str, float]]:
    rings = run.system.rings(caller_id=run.caller_id.number)["rings"]
    return [ring for ring in rings if ring["start"] > since]


def _maintenance(address: str) -> str:
    """Return the address of the database beside, from which ours can be dropped."""
    return urlunsplit(urlsplit(address)._replace(path="/postgres"))


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([str(programs() / program), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
