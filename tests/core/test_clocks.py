"""Every process goes by PostgreSQL's clock, however wrong its own is."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.db import OperationalError, connection

from campaigns_project import readiness
from core import clock_offsets, clocks

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "follows_database", True)
    monkeypatch.setattr(clocks, "_last", None)
    monkeypatch.setattr(clocks, "_failed_at", -60.0)
    monkeypatch.setattr(clock_offsets, "_noted_at", {})


def set_own_clock(seconds: float) -> time_machine.travel:
    return time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True)


def databases_time() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def is_databases_time(told: Callable[[], datetime]) -> bool:
    """However long the machine took to tell it."""
    before, moment, after = databases_time(), told().timestamp(), databases_time()
    return before - 0.2 < moment < after + 0.2


@pytest.mark.parametrize("seconds", [12.0, -12.0, 3600.0, 0.6])
def test_a_clock_that_is_off_is_corrected(seconds: float) -> None:
    with set_own_clock(seconds):
        assert abs(time.time() - databases_time()) > 0.5
        assert is_databases_time(clocks.now)
        assert is_databases_time(clocks.last_known_now)
        assert clocks.seconds_ahead() == pytest.approx(seconds, abs=0.2)


def test_a_clock_that_is_right_is_left_alone() -> None:
    with time_machine.travel(datetime.now(UTC), tick=False):
        assert clocks.now() == datetime.now(UTC)


def test_a_clock_that_is_set_later_is_noticed_at_once() -> None:
    clocks.now()
    with set_own_clock(40):
        assert is_databases_time(clocks.now)
    assert is_databases_time(clocks.now)


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    asked: list[float] = []
    measure = clocks._measure

    def counted() -> clocks.Measurement:
        asked.append(time.monotonic())
        return measure()

    monkeypatch.setattr(clocks, "_measure", counted)
    return asked


def test_the_database_is_asked_every_ten_seconds(queries: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    assert clocks.MEASURE_EVERY == 10
    monkeypatch.setattr(clocks, "MEASURE_EVERY", 3600.0)
    for _ in range(100):
        clocks.now()
    assert len(queries) == 1
    monkeypatch.setattr(clocks, "MEASURE_EVERY", 0.0)
    clocks.now()
    assert len(queries) == 2


def test_without_the_database_the_last_measurement_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away() -> clocks.Measurement:
        asked.append(1)
        raise OperationalError("gone")

    with set_own_clock(12):
        clocks.now()
        monkeypatch.setattr(clocks, "MEASURE_EVERY", 0.0)
        monkeypatch.setattr(clocks, "_measure", away)
        monkeypatch.setattr(clocks, "TRY_AGAIN", 3600.0)
        assert all(is_databases_time(clocks.now) for _ in range(50))
    assert len(asked) == 1, "asked again before TRY_AGAIN has passed"


def test_what_is_noted_of_a_process_is_read_by_all(redis) -> None:
    with set_own_clock(12):
        clock_offsets.note("dial")
    clocks._last = None
    told = {place.process: ahead for place, ahead in clock_offsets.read().items()}
    assert told["dial"] == pytest.approx(12, abs=0.2)
    # Redis's clock is read after the database's: a busy machine takes a while between them.
    assert told["redis"] == pytest.approx(0, abs=6)


def test_a_process_that_is_gone_is_forgotten(redis, monkeypatch: pytest.MonkeyPatch) -> None:
    clock_offsets.note("dial")
    monkeypatch.setattr(clock_offsets, "NOTE_LASTS_SECONDS", -1)
    assert [place.process for place in clock_offsets.read()] == ["redis"]
    assert not redis.hgetall(clock_offsets.key())


def test_readyz_and_metrics_tell_of_it(redis, client, settings) -> None:
    with set_own_clock(12):
        clock_offsets.note("dial")
    clocks._last = None
    assert "clocks" in client.get("/readyz").json()["warnings"]
    [warning] = [found.text for found in readiness.warnings() if found.kind == "clocks"]
    assert "the clock of dial on " in warning
    [told] = re.findall(r"(\d+\.\d) s ahead of PostgreSQL's", warning)
    assert float(told) == pytest.approx(12, abs=0.3)
    lines = client.get("/metrics").content.decode().splitlines()
    [line] = [line for line in lines if line.startswith("trunkline_clock_ahead_seconds{machine=") and '"dial"' in line]
    assert float(line.rpartition(" ")[2]) == pytest.approx(12, abs=0.2)


APPS = (
    *("accounts", "api", "campaigns", "campaigns_project", "contacts", "core", "dialer", "reports"),
    *("sipgateway", "webhooks"),
)
OWN_CLOCK = re.compile(r"timezone\.now\(|datetime\.now\(|datetime\.today\(|date\.today\(|\btime\.time\(")
# The times of files are by it.
MAY_READ_IT = {"core/clocks.py", "campaigns_project/beat.py", "sipgateway/recording_files.py"}


def test_no_other_code_reads_the_machines_clock() -> None:
    root = Path(__file__).resolve().parents[2]
    files = {str(path.relative_to(root)): path for app in APPS for path in (root / app).rglob("*.py")}
    assert len(files) > 100
    assert {name for name, path in files.items() if OWN_CLOCK.search(path.read_text())} == MAY_READ_IT
