"""Fault 19: a backup from the middle of a campaign is restored after dialing went on: who is called again?"""

import json
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.db import connection

from accounts.installation import Installation
from core.redis_client import redis_client
from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from tools.local.postgres import Postgres, programs

# Calls that begin after the backup, at the least: with fewer the restore would lose nothing.
RUNG_SINCE = 5
# Seconds in which a server that is held, and was not released, would have rung somebody.
HELD_SECONDS = 4.0
HELD_WITHIN = 90.0

table = Table()


@table.row("19a", "a dump is restored in the middle of a campaign", race=True)
def dump_restored(run: Run) -> Iterator[None]:
    yield
    _restore(run, _Dump(run), empties_redis=False)


@table.row("19b", "the same, and Redis emptied", race=True)
def dump_restored_and_redis_emptied(run: Run) -> Iterator[None]:
    yield
    _restore(run, _Dump(run), empties_redis=True)


@table.row("19c", "PostgreSQL's disk is put back to the middle of a campaign, and Redis emptied", race=True)
def disk_put_back(run: Run) -> Iterator[None]:
    yield
    _restore(run, _Disk(run), empties_redis=True)


class _Backup(ABC):
    def __init__(self, run: Run) -> None:
        self.system = run.system

    @abstractmethod
    def take(self) -> None:
        """Make the backup, while the system works."""

    @abstractmethod
    def put_back(self) -> None:
        """Restore it, while nothing but the servers runs."""


class _Dump(_Backup):
    def take(self) -> None:
        self.file = self.system.data_dir / "backup.dump"
        self.address = self.system.environment["DATABASE_URL"]
        _run(programs() / "pg_dump", "--format=custom", "--create", f"--file={self.file}", self.address)

    def put_back(self) -> None:
        beside = urlunsplit(urlsplit(self.address)._replace(path="/postgres"))
        with psycopg.connect(beside, autocommit=True) as maintenance:
            maintenance.execute("DROP DATABASE trunkline WITH (FORCE)")
        _run(programs() / "pg_restore", "--create", "--exit-on-error", "--dbname", beside, self.file)


class _Disk(_Backup):
    """A copy of the data folder: nothing in PostgreSQL tells it from its original."""

    def take(self) -> None:
        self.folder = Postgres(self.system.data_dir).folder
        self.copy = self.folder.with_name("snapshot")
        self.system.stop_postgres()
        _run("cp", "--archive", self.folder, self.copy)
        self.system.start_servers()

    def put_back(self) -> None:
        self.system.stop_postgres()
        shutil.rmtree(self.folder)
        self.copy.rename(self.folder)
        self.system.start_servers()


def _restore(run: Run, backup: _Backup, *, empties_redis: bool) -> None:
    # A backup is older than the last sweep, which is what a dump of a moment ago may not be.
    run.wait_for(lambda: Installation.objects.exclude(alive_at=None).exists(), 20)
    run.wait_a_moment(0.5, 1.5)
    backup.take()
    taken_at = time.time()
    if not run.wait_for(lambda: len(_rings(run, since=taken_at)) >= RUNG_SINCE, 30):
        run.notes.append("nothing was tried: hardly anybody was rung after the backup")
    names = run.system.processes()
    run.strike(lambda: run.system.shut_down(*names))
    stopped_at = time.time()
    connection.close()
    backup.put_back()
    if empties_redis:
        redis_client().flushall()
    for name in names:
        run.system.spawn(name)
    if not run.wait_for(lambda: run.query(_is_held, False), HELD_WITHIN):
        run.notes.append("the server did not notice the restore")
    time.sleep(HELD_SECONDS)
    told = json.loads(run.system.manage("reconcile", "--json"))
    if not told["recorded"]:
        run.notes.append("nothing was recorded that was dialed since the backup")
    if again := _rings(run, since=stopped_at):
        run.notes.append(f"{len(again)} numbers were rung while the server was held")
    run.system.manage("release")
    run.rename_rings, run.elsewhere = True, told["elsewhere"]


def _is_held() -> bool:
    return Installation.objects.filter(held_because__in=["restored", "doubtful"]).exists()


def _rings(run: Run, *, since: float) -> list[dict[str, float]]:
    rings = run.system.rings(caller_id=run.caller_id.number)["rings"]
    return [ring for ring in rings if ring["start"] > since]


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")
