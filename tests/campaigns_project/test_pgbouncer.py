"""The dialer over a real PgBouncer in transaction mode, which gives each transaction the next of its sessions.

What a session keeps beyond its transaction (a lock, a setting, a cursor) is there for the next client, and not for
its own. Debian's package `pgbouncer` has the program; without it these tests are skipped.
"""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from campaigns_project import database_session
from core import statement_time
from dialer import holds, rehearsal
from dialer.models import CallAttempt
from reports import csv_report
from tests.conftest import NUMBERS, Rig, states
from tests.factories import ACTOR
from tests.pgbouncer import PROGRAM, PgBouncer
from tools.local.ports import free_ports

SESSIONS = 3

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no pgbouncer: install Debian's package pgbouncer")


@pytest.fixture
def pooled(rig: Rig) -> Iterator[Rig]:
    """The dialer in this process, whose connection is one to PgBouncer."""
    settings, options = connection.settings_dict, connection.settings_dict["OPTIONS"]
    host = options.get("host") or settings["HOST"]
    server = f"host={host} port={settings['PORT'] or 5432} user={settings['USER']}"
    if settings["PASSWORD"]:
        server += f" password={settings['PASSWORD']}"
    [port] = free_ports(1)
    with PgBouncer(server, port, sessions=SESSIONS):
        kept = {name: settings[name] for name in ("HOST", "PORT")}, dict(options)
        connection.close()
        settings.update(HOST="127.0.0.1", PORT=str(port))
        options.pop("host", None)
        try:
            _open_all_sessions()
            yield rig
        finally:
            connection.close()
            settings.update(kept[0])
            options.update(kept[1])


def _session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [[pid]] = cursor.fetchall()
        return int(pid)


def _open_all_sessions() -> None:
    """PgBouncer opens the sessions of its pool by and by; from then on it takes them in turn."""
    while len({_session() for _ in range(2 * SESSIONS)}) < SESSIONS:
        pass


def _advisory_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
        [[count]] = cursor.fetchall()
        return int(count)


def test_recovery_goes_on_sweep_after_sweep_and_leaves_no_lock(pooled: Rig):
    """The lock of a session stayed on one that nobody used any more: lost replies were never asked for."""
    campaign = pooled.campaign(6, retries=1)
    for number in NUMBERS[:3]:
        pooled.carrier.script[number] = ["lost-before-ring", "completed"]
    pooled.tick()
    assert CallAttempt.objects.filter(status="unknown").count() == 3
    for _ in range(4):
        pooled.clock.shift(20)
        pooled.recover()
        assert _advisory_locks() == 0
    pooled.tick()
    assert set(states(campaign).values()) == {"completed"}


def test_a_hold_is_seen_by_every_session(pooled: Rig):
    pooled.campaign(3)
    holds.hold(holds.Because.OPERATOR, "a test", actor=ACTOR, now=timezone.now())
    pooled.tick()
    assert pooled.rings() == []
    holds.release(actor=ACTOR, now=timezone.now())
    pooled.tick()
    assert len(pooled.rings()) == 3


def test_reports_and_rehearsals_read_all_of_their_rows(pooled: Rig):
    campaign = pooled.campaign(600)
    found = rehearsal.rehearse(rehearsal.of_campaign(campaign, timezone.now()), rehearsal.DEFAULT, seed=1)
    assert found.forecast.numbers == 600
    lines = b"".join(csv_report.stream(campaign)).decode().splitlines()
    assert len(lines) == 1 + 600


def test_no_setting_stays_with_a_session_for_the_next_client(pooled: Rig):
    """pooled: unused but for its connection."""
    with statement_time.unlimited():
        pass
    for _ in range(SESSIONS):
        with connection.cursor() as cursor:
            cursor.execute("SELECT source FROM pg_settings WHERE name = 'statement_timeout'")
            assert cursor.fetchall() == [("default",)]


def test_settings_that_the_pooler_drops_are_told(pooled: Rig):
    assert "ALTER ROLE trunkline SET lock_timeout" in database_session.lost_settings()
