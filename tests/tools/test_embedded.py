"""The embedded PostgreSQL and Valkey: started, found, adopted and stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import services_file
from tools.local import services, valkey
from tools.local.ports import is_free
from tools.local.process_groups import wait_for

ROOT = Path(__file__).resolve().parents[2]
NOTHING_GIVEN: dict[str, str] = {}
ONLY_VALKEY = {"DATABASE_URL": "postgresql://db.example/trunkline"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A DATA_DIR in which nothing runs after the test."""
    folder = tmp_path / ".data"
    yield folder
    services.stop_services(folder)


def start(data_dir: Path) -> dict[str, str]:
    return services.start_services(data_dir, environ=NOTHING_GIVEN)


def start_and_die(data_dir: Path) -> dict[str, str]:
    """Start both servers in a process that is killed at once; returns the addresses it left behind."""
    program = (
        "import os, sys; from tools.local import services;"
        "services.start_services(sys.argv[1], environ={}); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(data_dir)], cwd=ROOT, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    return services_file.running_services(data_dir)


def query(urls: dict[str, str], sql: str) -> Any:
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchone() if cursor.description else None


def pids(data_dir: Path) -> dict[str, int]:
    record = json.loads((data_dir / "services.json").read_text())
    return {name: service["pid"] for name, service in record.items()}


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_both_servers_respond_and_are_found_until_they_are_stopped(data_dir: Path) -> None:
    urls = start(data_dir)

    assert query(urls, "SELECT current_setting('max_connections'), current_database()") == ("200", "trunkline")
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    assert services_file.running_services(data_dir) == urls
    assert (data_dir / "services.json").stat().st_mode & 0o777 == 0o600

    started = pids(data_dir)
    services.stop_services(data_dir)

    assert services_file.running_services(data_dir) == {}
    assert not (data_dir / "services.json").exists()
    assert not any(lives(pid) for pid in started.values())


def test_valkey_does_nothing_for_users_without_its_password(data_dir: Path) -> None:
    address = urlsplit(start(data_dir)["REDIS_URL"])
    for password in (None, "", "guess"):
        # Retrying would take half a minute.
        with redis.Redis(port=address.port or 0, password=password, retry=Retry(NoBackoff(), 0)) as stranger:
            for command in ("FLUSHALL", "SHUTDOWN", "PING"):
                with pytest.raises((redis.AuthenticationError, redis.ResponseError)):
                    stranger.execute_command(command)
    arguments = psutil.Process(pids(data_dir)["valkey"]).cmdline()
    assert address.password
    assert len(address.password) >= 32
    assert address.password not in " ".join(arguments)


def test_a_server_that_was_left_without_a_password_is_replaced(data_dir: Path) -> None:
    url = start(data_dir)["REDIS_URL"]
    left = pids(data_dir)["valkey"]
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
        client.config_set("requirepass", "")
    open_url = f"redis://127.0.0.1:{urlsplit(url).port}/0"
    services_file.record(data_dir, "valkey", url=open_url, pid=left)
    url = start(data_dir)["REDIS_URL"]
    assert pids(data_dir)["valkey"] != left
    assert urlsplit(url).password
    with redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_data_outlives_a_stop(data_dir: Path) -> None:
    urls = start(data_dir)
    query(urls, "CREATE TABLE kept AS SELECT 42 AS answer")
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.set("kept", "yes")
    services.stop_services(data_dir)

    urls = start(data_dir)

    assert query(urls, "SELECT answer FROM kept") == (42,)
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        assert client.get("kept") == b"yes"


def test_upper_and_lower_case_of_every_script_without_the_locales_of_the_machine(data_dir: Path) -> None:
    assert query(start(data_dir), "SELECT lower('ÄÉЖ')") == ("äéж",)


def test_servers_named_in_the_environment_replace_the_embedded_ones(data_dir: Path) -> None:
    given = {"DATABASE_URL": "postgresql://db.example/trunkline", "REDIS_URL": "redis://redis.example/0"}

    with services.embedded_services(data_dir, environ=given) as urls:
        assert urls == given
        assert services_file.running_services(data_dir) == {}
        assert not (data_dir / "postgres").exists()
        assert not (data_dir / "valkey").exists()


def test_only_what_is_missing_is_started(data_dir: Path) -> None:
    with services.embedded_services(data_dir, environ=ONLY_VALKEY) as urls:
        assert services_file.running_services(data_dir) == {"REDIS_URL": urls["REDIS_URL"]}


def test_a_start_adopts_the_servers_of_a_killed_run_and_a_stop_stops_them(data_dir: Path) -> None:
    left = start_and_die(data_dir)
    left_pids = pids(data_dir)
    assert set(left) == {"DATABASE_URL", "REDIS_URL"}

    assert start(data_dir) == left
    assert pids(data_dir) == left_pids

    services.stop_services(data_dir)
    assert not any(lives(pid) for pid in left_pids.values())


def test_a_stop_alone_stops_the_servers_of_a_killed_run(data_dir: Path) -> None:
    start_and_die(data_dir)
    left_pids = pids(data_dir)

    services.stop_services(data_dir)

    assert not any(lives(pid) for pid in left_pids.values())


def test_servers_that_were_killed_are_started_again(data_dir: Path) -> None:
    urls = start(data_dir)
    query(urls, "CREATE TABLE kept AS SELECT 42 AS answer")
    for pid in pids(data_dir).values():
        os.kill(pid, signal.SIGKILL)
    services.stop_services(data_dir)

    assert query(start(data_dir), "SELECT answer FROM kept") == (42,)


def test_a_valkey_that_was_killed_is_started_where_it_was(data_dir: Path) -> None:
    urls = start(data_dir)
    os.kill(pids(data_dir)["valkey"], signal.SIGKILL)

    assert start(data_dir)["REDIS_URL"] == urls["REDIS_URL"], "processes that still run find it again"


def start_valkey(data_dir: Path, _url: str) -> None:
    services.start_services(data_dir, environ=ONLY_VALKEY)


def restart_valkey(data_dir: Path, url: str) -> None:
    valkey.Valkey(data_dir).restart(url)


@pytest.mark.parametrize("start_again", [start_valkey, restart_valkey])
def test_a_killed_valkey_whose_port_is_released_late_is_started_where_it_was(
    data_dir: Path, start_again: Callable[[Path, str], None]
) -> None:
    url = services.start_services(data_dir, environ=ONLY_VALKEY)["REDIS_URL"]
    port = urlsplit(url).port or 0
    os.kill(pids(data_dir)["valkey"], signal.SIGKILL)
    assert wait_for(lambda: is_free("127.0.0.1", port), 60)
    with socket.create_server(("127.0.0.1", port)) as last_thread:
        release = threading.Timer(2, last_thread.close)
        release.start()
        start_again(data_dir, url)
        release.join()

    assert services_file.running_services(data_dir)["REDIS_URL"] == url


def test_another_programs_pid_in_the_pid_file_is_not_taken_for_the_server(data_dir: Path) -> None:
    start(data_dir)
    services.stop_services(data_dir)
    pid_file = data_dir / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{data_dir / 'postgres'}\n0\n5432\n{data_dir / 'postgres'}\n\n0 0\nready\n")

    assert query(start(data_dir), "SELECT 1") == (1,)


def test_a_stranger_on_the_recorded_port_is_neither_adopted_nor_stopped(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "RELEASE_SECONDS", 0.1)
    with services.embedded_services(tmp_path / "other", environ=ONLY_VALKEY) as other:
        record = json.loads((tmp_path / "other" / "services.json").read_text())
        data_dir.mkdir()
        (data_dir / "services.json").write_text(json.dumps(record))

        assert services.start_services(data_dir, environ=ONLY_VALKEY)["REDIS_URL"] != other["REDIS_URL"]

        services.stop_services(data_dir)
        (data_dir / "services.json").write_text(json.dumps(record))
        services.stop_services(data_dir)
        with redis.Redis.from_url(other["REDIS_URL"]) as client:
            assert client.ping()


def test_a_data_folder_that_was_not_finished_is_made_again(data_dir: Path) -> None:
    half_made = data_dir / "postgres"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    (data_dir / "postgres.unfinished").touch()

    assert query(start(data_dir), "SELECT 1") == (1,)


@pytest.mark.parametrize(
    "name",
    ["x" * 100, "My Projects", "5 $ of 'it' \"all\"", "one, two"],
    ids=["longer than a socket's path", "with a space", "with quotes and a dollar sign", "with a comma"],
)
def test_a_data_dir_may_have_an_awkward_path(tmp_path: Path, name: str) -> None:
    with services.embedded_services(tmp_path / name, environ=NOTHING_GIVEN) as urls:
        assert query(urls, "SELECT 1") == (1,)
        with redis.Redis.from_url(urls["REDIS_URL"]) as client:
            assert client.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_roots_private_parent_folders_stay_unlisted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with services.embedded_services(home / "project" / ".data", environ=NOTHING_GIVEN) as urls:
        assert query(urls, "SELECT 1") == (1,)
    assert home.stat().st_mode & 0o077 == 0o011


def test_a_record_of_processes_that_are_gone_is_no_running_service(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=30)
    record = {"valkey": {"url": "redis://127.0.0.1:1/0", "pid": ended.pid}}
    (tmp_path / "services.json").write_text(json.dumps(record))

    assert services_file.running_services(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"valkey": 1}'])
def test_an_unreadable_record_is_no_running_service(tmp_path: Path, content: str) -> None:
    (tmp_path / "services.json").write_text(content)

    assert services_file.running_services(tmp_path) == {}


def test_one_data_dir_is_for_one_run(tmp_path: Path) -> None:
    first = services.exclusive_use(tmp_path)
    second = services.exclusive_use(tmp_path)
    with first, pytest.raises(services.AlreadyRunning, match=f"process {os.getpid()}"), second:
        pytest.fail("both runs hold the folder")
    with services.exclusive_use(tmp_path):
        pass  # free again
