"""CPU control groups: their weights are those of the units, and nothing of them is left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools.local import cpu_groups, up
from tools.local.cpu_groups import NO_GROUPS, CpuGroups, Hierarchy

HIERARCHY = cpu_groups.usable()
needs_groups = pytest.mark.skipif(HIERARCHY is None, reason="this user can't make CPU control groups here")
# Starts a child, says so, and another one when it is told to.
PARENT = """
import subprocess, sys
while True:
    subprocess.Popen(["sleep", "600"])
    print("started", flush=True)
    sys.stdin.readline()
"""


def group_of(pid: int) -> str:
    """Return the name of the process's CPU group; "" where it is in none of ours."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return "".join(line.rsplit("/", 1)[1] for line in lines if "/trunkline-" in line)


def ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process with a child."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        kill(process)
    cpu_groups.remove_unused(seconds=60)


def kill(parent: subprocess.Popen[str]) -> None:
    if parent.poll() is None:
        for child in psutil.Process(parent.pid).children():
            child.kill()
        parent.kill()
        parent.wait()


def test_weights_are_those_of_the_units() -> None:
    given = {name: cpu_groups.unit_weight(name) for name in ("web", "events", "sipgateway", "dial", "control", "beat")}
    assert given == {"web": 100, "events": 100, "sipgateway": 100, "dial": 33, "control": 33, "beat": 33}


def test_servers_have_the_weights_of_their_own_units() -> None:
    assert [cpu_groups.unit_weight(name) for name in ("postgres", "valkey")] == [300, 300]


def test_what_has_no_unit_has_the_weight_that_systemd_gives_by_itself() -> None:
    assert {cpu_groups.unit_weight(name) for name in ("sandbox", "setup")} == {100}


def test_a_weight_stands_in_the_units_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_groups, "UNITS", tmp_path)
    (tmp_path / "trunkline.target").write_text("Wants=trunkline@web.service trunkline@dial.service\n")
    (tmp_path / "trunkline@.service").write_text("[Service]\nCPUWeight=20\n")
    (tmp_path / "trunkline@web.service.d").mkdir()
    (tmp_path / "trunkline@web.service.d" / "weight.conf").write_text("[Service]\nCPUWeight=70\n")
    assert [cpu_groups.unit_weight(name) for name in ("web", "dial", "postgres")] == [70, 20, 100]


@pytest.mark.parametrize(("version", "file", "written"), [(2, "cpu.weight", "33"), (1, "cpu.shares", "338")])
def test_each_version_has_a_scale_of_its_own(tmp_path: Path, version: int, file: str, written: str) -> None:
    """In the first, 1,024 is what a group has by default, in the second 100."""
    hierarchy = {2: cpu_groups.hierarchies(tmp_path)[0], 1: cpu_groups.hierarchies(tmp_path)[1]}[version]
    assert hierarchy.file == file
    group = hierarchy.folder / "group"
    group.mkdir(parents=True)
    (group / file).touch()
    hierarchy.make("group", 33)
    assert (group / file).read_text() == written


def test_a_folder_that_is_no_hierarchy_is_not_used(tmp_path: Path) -> None:
    assert cpu_groups.usable(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_hierarchy_without_weights_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    assert cpu_groups.usable(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["cgroup.procs"]


def test_groups_of_ended_processes_and_our_own_are_removed(tmp_path: Path) -> None:
    ours, left = f"trunkline-{os.getpid()}-web", f"trunkline-{ended_pid()}-web"
    kept = {f"trunkline-{os.getppid()}-web", "trunkline-web", "user.slice"}
    for name in {ours, left} | kept:
        (tmp_path / name).mkdir()
    cpu_groups.remove_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_without_a_hierarchy_nothing_is_moved(parent: subprocess.Popen[str]) -> None:
    NO_GROUPS.place("web", parent.pid)
    assert group_of(parent.pid) == ""


@needs_groups
def test_a_process_its_children_and_its_later_children_are_in_its_group(parent: subprocess.Popen[str]) -> None:
    assert parent.stdin
    assert parent.stdout
    CpuGroups(HIERARCHY).place("dial", parent.pid)
    parent.stdin.write("\n")
    parent.stdin.flush()
    parent.stdout.readline()
    pids = [parent.pid, *(child.pid for child in psutil.Process(parent.pid).children())]
    assert [group_of(pid) for pid in pids] == [f"trunkline-{os.getpid()}-dial"] * 3


@needs_groups
def test_a_group_has_its_weight_and_stays_while_something_runs_in_it(parent: subprocess.Popen[str]) -> None:
    assert isinstance(HIERARCHY, Hierarchy)
    CpuGroups(HIERARCHY).place("dial", parent.pid)
    group = HIERARCHY.folder / f"trunkline-{os.getpid()}-dial"
    cpu_groups.remove_unused()
    assert (group / HIERARCHY.file).read_text().strip() == str(round(33 * HIERARCHY.unit))

    kill(parent)
    cpu_groups.remove_unused(seconds=60)
    assert not group.exists()


@needs_groups
def test_a_process_that_has_ended_is_no_error() -> None:
    CpuGroups(HIERARCHY).place("web", ended_pid())
    cpu_groups.remove_unused()


def test_up_says_where_groups_can_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cpu_groups, "usable", lambda: None)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert up.main(["--weights"]) == 1
    assert "--weights: this user can't make CPU control groups on this machine" in capsys.readouterr().err
