"""`make up`, with a stand-in project: it starts what the Procfile names and stops everything that it has started."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from tools.local import cpu_groups, process_groups
from tools.local.ports import free_ports
from tools.local.restarts import Restarts

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds, for what takes one or two
HEALTHY_AFTER = 15.0  # seconds; a process that is killed at once must not live for so long on a busy machine

# Writes its pid, then sleeps: a process to look for afterwards.
SLEEPER = "exec python -c \"import os, time; open('{name}.pid', 'w').write(str(os.getpid())); time.sleep(600)\""
STUBBORN = SLEEPER.replace(
    "import os, time;", "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
)


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass
class Project:
    """A folder with a Procfile and a manage.py, and the runs of `up` on it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    runs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.folder / ".data"

    def has(self, manage: str = "", **commands: str) -> None:
        """Write the Procfile and what manage.py does (`step` is the name of its command)."""
        lines = [f"{name}: {command.replace('{name}', name)}" for name, command in commands.items()]
        (self.folder / "Procfile").write_text("\n".join(lines) + "\n")
        (self.folder / "manage.py").write_text(
            "import sys, time\nstep = sys.argv[1]\nopen('steps', 'a').write(step + '\\n')\n" + manage
        )

    def up(self, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("ab") as output:
            run = subprocess.Popen(
                [sys.executable, "-m", "tools.local.up", "--procfile", self.folder / "Procfile", *options],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.runs.append(run)
        return run

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def is_up(self) -> bool:
        assert self.runs[-1].poll() is None, self.output()
        return "Trunkline is up" in self.output()

    def pid(self, name: str) -> int:
        """Return the pid that a sleeper has written."""
        path = self.folder / f"{name}.pid"
        wait_until(lambda: path.exists() and path.read_text(), f"the start of {name}")
        return int(path.read_text())

    def next_pid(self, name: str, last: int) -> int:
        wait_until(lambda: self.pid(name) != last, f"the next start of {name}")
        return self.pid(name)

    def wait_for_words(self, words: str, times: int) -> None:
        wait_until(lambda: self.output().count(words) == times, f"{times} times {words}")

    def servers(self) -> dict[str, Any]:
        """Return the entries of the embedded servers: pid and URL by name. One that is just started has none yet."""
        path = self.data_dir / "services.json"
        wait_until(lambda: path.exists() and len(json.loads(path.read_text())) == 2, "the entries of both servers")
        return dict(json.loads(path.read_text()))

    def steps(self) -> list[str]:
        path = self.folder / "steps"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A stand-in project on the tests' own servers."""
    project = Project(tmp_path)
    project.environment["DATA_DIR"] = str(project.data_dir)
    yield project
    for run in project.runs:
        if run.poll() is None:
            run.terminate()
            run.wait(timeout=PATIENCE)


@pytest.fixture
def project_alone(project: Project) -> Project:
    """A stand-in project with no servers given: it starts embedded ones."""
    for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
        project.environment.pop(name, None)
    return project


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_process_and_the_embedded_servers(project_alone: Project, number: signal.Signals) -> None:
    project = project_alone
    project.has(one=SLEEPER, two=SLEEPER)
    run = project.up()
    wait_until(project.is_up, "the start")
    started = [project.pid("one"), project.pid("two")]
    servers = json.loads((project.data_dir / "services.json").read_text())
    started += [server["pid"] for server in servers.values()]
    assert len(started) == 4
    assert all(lives(pid) for pid in started)

    run.send_signal(number)

    assert run.wait(timeout=PATIENCE) == 0, project.output()
    assert not any(lives(pid) for pid in started)
    assert not (project.data_dir / "services.json").exists()
    assert not (project.data_dir / "processes.json").exists()


def test_the_database_and_static_files_are_prepared_before_the_processes_start(project: Project) -> None:
    project.has(one="exec python -c \"import shutil; shutil.copy('steps', 'seen'); import time; time.sleep(600)\"")
    project.up()

    seen = project.folder / "seen"
    wait_until(lambda: seen.exists() and seen.read_text().count("\n") == 1, "the start")
    assert project.steps() == ["prepare"]


def test_the_processes_get_the_addresses_of_the_embedded_servers(project_alone: Project) -> None:
    project = project_alone
    project.has(one='env > environment; echo "done" > done; exec sleep 600')
    project.up()
    wait_until((project.folder / "done").exists, "the start")

    lines = dict(
        line.split("=", 1) for line in (project.folder / "environment").read_text().splitlines() if "=" in line
    )
    servers = json.loads((project.data_dir / "services.json").read_text())
    assert lines["DATABASE_URL"] == servers["postgres"]["url"]
    assert lines["REDIS_URL"] == lines["CELERY_BROKER_URL"] == servers["valkey"]["url"]
    assert lines["DATA_DIR"] == str(project.data_dir)
    assert lines["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_a_process_that_ends_stops_the_others_and_is_named(project: Project) -> None:
    project.has(one=SLEEPER, two="while [ ! -s one.pid ]; do sleep 0.1; done; exit 7")
    run = project.up()

    assert run.wait(timeout=PATIENCE) == 7
    assert "two ended (exit code 7)" in project.output()
    assert not lives(project.pid("one"))


def test_a_process_that_ends_without_an_error_is_a_failure_too(project: Project) -> None:
    project.has(one="exit 0")

    assert project.up().wait(timeout=PATIENCE) == 1
    assert "one ended (exit code 0)" in project.output()


def test_a_process_that_ends_long_after_its_start_is_started_again(project: Project) -> None:
    project.has(control=SLEEPER, beat=SLEEPER)
    run = project.up("--healthy-after", str(HEALTHY_AFTER))
    first, other = project.pid("control"), project.pid("beat")
    time.sleep(HEALTHY_AFTER + 0.5)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: project.pid("control") != first, "the second start of control")
    assert run.poll() is None
    assert lives(other)
    assert "control ended (exit code 137) and is started again" in project.output()


def test_a_process_that_was_healthy_is_started_again_however_often_it_ends(project: Project) -> None:
    project.has(control=SLEEPER, beat=SLEEPER)
    run = project.up("--healthy-after", str(HEALTHY_AFTER))
    pid, other = project.pid("control"), project.pid("beat")
    time.sleep(HEALTHY_AFTER + 0.5)
    for _ in range(3):
        last = pid
        os.kill(last, signal.SIGKILL)
        pid = project.next_pid("control", last)
    assert run.poll() is None
    assert lives(pid)
    assert lives(other)
    assert "is started again in 1 s" in project.output()
    assert "is started again in 2 s" in project.output()


def test_a_process_that_waits_for_its_start_is_not_started_while_all_stops(project: Project) -> None:
    project.has(control=SLEEPER)
    run = project.up("--healthy-after", str(HEALTHY_AFTER))
    pid = project.pid("control")
    time.sleep(HEALTHY_AFTER + 0.5)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: project.pid("control") != pid, "the second start of control")
    second = project.pid("control")
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: "in 1 s" in project.output(), "the wait")
    run.terminate()
    assert run.wait(timeout=PATIENCE) == 0
    assert project.pid("control") == second


@pytest.mark.parametrize(("healthy", "waits"), [(True, [1, 2, 4, 8, 16, 30, 30]), (False, [None])])
def test_waits_grow_up_to_a_bound(healthy: bool, waits: list[float | None]) -> None:
    restarts = Restarts()
    if healthy:
        assert restarts.wait_after(11, healthy_after=10) == 0
    assert [restarts.wait_after(1, healthy_after=10) for _ in waits] == waits
    if healthy:
        assert restarts.wait_after(11, healthy_after=10) == 0
        assert restarts.wait_after(1, healthy_after=10) == 1


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_an_embedded_server_that_was_killed_is_started_again_at_its_address(project_alone: Project, name: str) -> None:
    project = project_alone
    project.has(one=SLEEPER)
    run = project.up()
    wait_until(project.is_up, "the start")
    before = project.servers()
    keep(before, "kept")

    os.kill(before[name]["pid"], signal.SIGKILL)
    wait_until(lambda: f"{name} runs again" in project.output(), "the second start of the server")

    after = project.servers()
    assert after[name]["url"] == before[name]["url"]
    assert after[name]["pid"] != before[name]["pid"]
    assert kept(after) == ["kept", "kept"]
    assert run.poll() is None
    assert lives(project.pid("one"))
    run.terminate()
    assert run.wait(timeout=PATIENCE) == 0, project.output()
    assert not any(lives(server["pid"]) for server in after.values())


def test_both_servers_killed_twice_come_back(project_alone: Project) -> None:
    project = project_alone
    project.has(one=SLEEPER)
    run = project.up()
    wait_until(project.is_up, "the start")
    keep(project.servers(), "kept")
    for times in (1, 2):
        for server in project.servers().values():
            os.kill(server["pid"], signal.SIGKILL)
        project.wait_for_words("runs again", 2 * times)
    assert kept(project.servers()) == ["kept", "kept"]
    assert run.poll() is None


@pytest.mark.skipif(cpu_groups.usable() is None, reason="this user can't make CPU control groups here")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_processes_and_servers_are_in_groups_of_which_nothing_is_left(
    project_alone: Project, how: signal.Signals
) -> None:
    """Also after `up` itself was killed: by the next one."""
    project = project_alone
    project.has(one=SLEEPER)
    run = project.up("--weights")
    wait_until(project.is_up, "the start")
    first = project.servers()["postgres"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: "postgres runs again" in project.output(), "the second start of the server")

    servers = {name: server["pid"] for name, server in project.servers().items()}
    assert servers["postgres"] != first
    for name, pid in ({"one": project.pid("one")} | servers).items():
        assert f"/trunkline-{run.pid}-{name}\n" in Path(f"/proc/{pid}/cgroup").read_text()

    run.send_signal(how)
    run.wait(timeout=PATIENCE)
    if how == signal.SIGKILL:
        (project.folder / "output").unlink()
        project.up()
        wait_until(project.is_up, "the next start")
        assert all(f"/trunkline-{run.pid}-" in Path(f"/proc/{pid}/cgroup").read_text() for pid in servers.values())
        project.runs[-1].terminate()
        assert project.runs[-1].wait(timeout=PATIENCE) == 0
    for hierarchy in cpu_groups.hierarchies():
        assert not list(hierarchy.folder.glob(f"trunkline-{run.pid}-*"))


def keep(servers: Mapping[str, Any], text: str) -> None:
    """Store a text in both servers, on the disk: what is a second old a crash of Valkey may lose."""
    with psycopg.connect(servers["postgres"]["url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (text text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [text])
    with redis.Redis.from_url(servers["valkey"]["url"]) as client:
        client.set("kept", text)
        assert client.execute_command("WAITAOF", 1, 0, 60_000)[0] == 1


def kept(servers: Mapping[str, Any]) -> list[str]:
    with psycopg.connect(servers["postgres"]["url"]) as connection:
        [[in_postgres]] = connection.execute("SELECT text FROM kept").fetchall()
    with redis.Redis.from_url(servers["valkey"]["url"], decode_responses=True) as client:
        return [in_postgres, str(client.get("kept"))]


def test_a_failed_step_stops_everything(project_alone: Project) -> None:
    project = project_alone
    project.has("print('no such table')\nsys.exit(3)\n", one=SLEEPER)

    assert project.up().wait(timeout=PATIENCE) == 3
    assert "`manage.py prepare --verbosity 0` failed (exit code 3)" in project.output()
    assert "no such table" in project.output()
    assert not (project.folder / "one.pid").exists()
    assert not (project.data_dir / "services.json").exists()


def test_a_signal_during_the_start_stops_everything(project_alone: Project) -> None:
    project = project_alone
    project.has("time.sleep(600)\n", one=SLEEPER)
    run = project.up()
    wait_until(project.steps, "the first step")

    run.terminate()

    assert run.wait(timeout=PATIENCE) == 0, project.output()
    assert project.steps() == ["prepare"]
    assert not (project.data_dir / "services.json").exists()


def test_a_second_signal_kills_what_ignores_the_first(project: Project) -> None:
    project.has(one=STUBBORN)
    run = project.up()
    wait_until(project.is_up, "the start")
    stubborn = project.pid("one")

    run.terminate()
    wait_until(lambda: "stopping" in project.output(), "the first stop")
    time.sleep(0.2)
    assert lives(stubborn)
    run.terminate()

    # The first signal alone would kill it after KILL_AFTER.
    assert run.wait(timeout=process_groups.KILL_AFTER - 2) == 0
    assert not lives(stubborn)


def test_children_of_a_process_do_not_outlive_it(project: Project) -> None:
    project.has(one='python -c "import time; time.sleep(600)" & echo $! > child.pid; wait')
    run = project.up()
    wait_until(project.is_up, "the start")
    child = project.pid("child")

    run.terminate()

    assert run.wait(timeout=PATIENCE) == 0
    assert not lives(child)


def test_the_next_start_ends_what_a_killed_one_left(project_alone: Project) -> None:
    project = project_alone
    project.has(one=SLEEPER)
    killed = project.up()
    wait_until(project.is_up, "the start")
    left = project.pid("one")
    servers = json.loads((project.data_dir / "services.json").read_text())
    killed.kill()
    killed.wait(timeout=PATIENCE)
    assert lives(left)

    (project.folder / "output").write_text("")
    (project.folder / "one.pid").unlink()
    run = project.up()
    wait_until(project.is_up, "the second start")

    assert not lives(left)
    assert json.loads((project.data_dir / "services.json").read_text()) == servers  # adopted
    run.terminate()
    assert run.wait(timeout=PATIENCE) == 0
    assert not any(lives(server["pid"]) for server in servers.values())


def test_two_runs_on_one_data_dir_are_refused(project: Project) -> None:
    project.has(one=SLEEPER)
    first = project.up()
    wait_until(project.is_up, "the start")

    second = project.up()

    assert second.wait(timeout=PATIENCE) == 1
    assert f"Trunkline already runs on {project.data_dir} (process {first.pid})" in project.output()
    assert first.poll() is None
    assert lives(project.pid("one"))


@pytest.mark.parametrize(
    ("name", "variable"),
    [("web", "WEB_PORT"), ("events", "EVENTS_PORT"), ("sandbox", "SANDBOX_PORT"), ("flower", "FLOWER_PORT")],
)
def test_a_port_in_use_is_named_with_the_variable_to_change(project: Project, name: str, variable: str) -> None:
    project.has(**{name: SLEEPER})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        project.environment[variable] = str(port)

        assert project.up().wait(timeout=PATIENCE) == 1

    assert f"Port {port} for {name} is in use" in project.output()
    assert variable in project.output()
    assert project.steps() == []


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_a_value_that_is_no_port_number_is_refused(project: Project, value: str) -> None:
    project.has(web=SLEEPER)
    project.environment["WEB_PORT"] = value

    assert project.up().wait(timeout=PATIENCE) == 78
    assert f"WEB_PORT is '{value}': it must be a port number from 1 to 65535." in project.output()


def test_the_addresses_are_printed_once_they_take_connections(project: Project) -> None:
    [port] = free_ports(1)
    project.environment["WEB_PORT"] = str(port)
    project.has(web="sleep 0.5; exec python -m http.server --bind 127.0.0.1 ${WEB_PORT:-8000}")
    project.up()

    wait_until(project.is_up, "the start")
    assert f"http://127.0.0.1:{port}" in project.output()
    socket.create_connection(("127.0.0.1", port), timeout=60).close()


def test_an_ipv6_address_is_listened_at_and_named(project: Project) -> None:
    [port] = free_ports(1)
    project.environment |= {"WEB_PORT": str(port), "WEB_HOST": "::1"}
    project.has(web="exec python -m http.server --bind ${WEB_HOST} ${WEB_PORT}")
    project.up()

    wait_until(project.is_up, "the start")
    assert f"http://[::1]:{port}" in project.output()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_data_dir_that_can_not_be_written_to_is_named(project: Project, name: str) -> None:
    (project.folder / "file").write_text("")
    project.environment["DATA_DIR"] = str(project.folder / name)
    project.has(one=SLEEPER)

    assert project.up().wait(timeout=PATIENCE) == 1
    assert f"DATA_DIR is {project.folder / name}, which can't be written to" in project.output()
    assert "Traceback" not in project.output()


def test_an_env_file_that_can_not_be_read_is_a_sentence(project: Project) -> None:
    project.has(one=SLEEPER)
    (project.folder / ".env").write_text("A=1\nSECRET_KEY='hunter2\n")

    assert project.up().wait(timeout=PATIENCE) == 78
    assert "line 2: the value of SECRET_KEY begins with '" in project.output()
    assert "hunter2" not in project.output()
    assert "Traceback" not in project.output()


def test_only_the_chosen_processes_are_started(project: Project) -> None:
    project.has(one=SLEEPER, two=SLEEPER)
    project.up("--only", "two")
    wait_until(project.is_up, "the start")

    assert lives(project.pid("two"))
    assert not (project.folder / "one.pid").exists()


def test_a_process_that_the_procfile_does_not_name_cannot_be_chosen(project: Project) -> None:
    project.has(one=SLEEPER)

    assert project.up("--only", "one,three").wait(timeout=PATIENCE) == 1
    assert "--only three: the Procfile has one." in project.output()


def test_quiet_writes_the_output_to_log_files_and_shows_the_end_of_a_failed_one(project: Project) -> None:
    project.has("print('step', step)\n", one="echo something happened; exit 4")

    assert project.up("--quiet").wait(timeout=PATIENCE) == 4
    assert "something happened" in (project.data_dir / "logs" / "one.log").read_text()
    setup = (project.data_dir / "logs" / "setup.log").read_text()
    assert setup.split("\n") == ["step prepare", ""]
    assert "one ended (exit code 4)" in project.output()
    assert "  something happened" in project.output()


def test_the_env_file_is_read_and_the_environment_wins_over_it(project: Project) -> None:
    project.has(one='echo "$FROM_FILE $FROM_BOTH" > seen; exec sleep 600')
    (project.folder / ".env").write_text("FROM_FILE=file\nFROM_BOTH=file\n# a comment\n")
    project.environment["FROM_BOTH"] = "environment"
    project.up()

    seen = project.folder / "seen"
    wait_until(lambda: seen.exists() and seen.read_text(), "the start")
    assert seen.read_text() == "file environment\n"
