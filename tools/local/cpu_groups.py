"""CPU control groups: of cores that are short, each process gets what its unit of systemd would give it.

For measurements: `make up` without them treats all processes alike, which no server does
(docs/decisions/0079 and 0082). A group stands beside all others of the machine, as a unit in system.slice does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.local.process_groups import wait_for
from tools.local.project import PROJECT

MOUNT = Path("/sys/fs/cgroup")
UNITS = PROJECT / "deploy" / "systemd"

DEFAULT_WEIGHT = 100
"""What systemd gives to a unit that says nothing."""

SERVERS = {"postgres": "system-postgresql.slice.d", "valkey": "redis-server.service.d"}
"""Where the weights of the servers' own units are."""

KILLED_SECONDS = 5.0
"""How long the kernel may take to end processes that were killed, on a busy machine."""

_NAME = re.compile(r"trunkline-(\d+)-")
"""A group's name begins with the pid of the process that made it."""


def unit_weight(name: str) -> int:
    """Return the weight that the unit of this process or server gives it; DEFAULT_WEIGHT where it has none."""
    files = sorted((UNITS / SERVERS.get(name, f"trunkline@{name}.service.d")).glob("*.conf"))
    if f"trunkline@{name}.service" in (UNITS / "trunkline.target").read_text():
        files.insert(0, UNITS / "trunkline@.service")
    given = [weight for file in files for weight in re.findall(r"^CPUWeight=(\d+)$", file.read_text(), re.MULTILINE)]
    return int(given[-1]) if given else DEFAULT_WEIGHT


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made: its folder, the file of a group that takes the weight, and what a weight of 1 is there."""

    folder: Path
    file: str
    unit: float

    def make(self, group: str, weight: int) -> Path:
        """Make the group unless it is there, and set its weight; returns its folder. Raises OSError."""
        folder = self.folder / group
        folder.mkdir(exist_ok=True)
        with (folder / self.file).open("r+") as file:  # the kernel makes the file where it knows of weights
            file.write(str(round(weight * self.unit)))
        return folder

    def may_be_used(self) -> bool:
        """Try to make a group: files may be read-only, as in a container, or another user's."""
        probe = f"trunkline-{os.getpid()}-probe"
        if not (self.folder / "cgroup.procs").exists():
            return False
        try:
            self.make(probe, DEFAULT_WEIGHT)
        except OSError:
            return False
        finally:
            _remove(self.folder / probe)
        return True


def hierarchies(mount: Path = MOUNT) -> list[Hierarchy]:
    """Return where groups may be, in version 2 and in version 1, whether or not this machine has them."""
    return [Hierarchy(mount, "cpu.weight", 1), Hierarchy(mount / "cpu", "cpu.shares", 10.24)]


def usable(mount: Path = MOUNT) -> Hierarchy | None:
    """Return where this user may make groups on this machine; None where nowhere."""
    return next((found for found in hierarchies(mount) if found.may_be_used()), None)


class CpuGroups:
    """The groups of one run, a group for each process.

    Args:
        hierarchy: where they are made; None for no groups at all.
    """

    def __init__(self, hierarchy: Hierarchy | None) -> None:
        self._hierarchy = hierarchy

    def place(self, name: str, pid: int) -> None:
        """Put the process into the group of its name, and what it has started. What it starts from now on is in it.

        Raises OSError.
        """
        if self._hierarchy is not None:
            group = self._hierarchy.make(f"trunkline-{os.getpid()}-{name}", unit_weight(name))
            _move(pid, group / "cgroup.procs")


NO_GROUPS = CpuGroups(None)


def _move(pid: int, members: Path) -> None:
    """Move a process before its children are looked up: those that it has afterwards are born in the group."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        members.write_text(str(pid))
        for child in psutil.Process(pid).children():
            _move(child.pid, members)


def remove_unused(mount: Path = MOUNT, *, seconds: float = 0.0) -> None:
    """Remove the groups of this process, and those of processes that have ended, unless something runs in them.

    Args:
        seconds: to wait for what was killed and has not quite ended.
    """

    def are_removed() -> bool:
        for group in _groups(mount):
            _remove(group)
        return not any(_groups(mount))

    wait_for(are_removed, seconds)


def _groups(mount: Path) -> Iterator[Path]:
    for hierarchy in hierarchies(mount):
        for folder in hierarchy.folder.glob("trunkline-*"):
            made_by = _NAME.match(folder.name)
            if made_by and (int(made_by[1]) == os.getpid() or not psutil.pid_exists(int(made_by[1]))):
                yield folder


def _remove(group: Path) -> None:
    with suppress(OSError):  # the kernel refuses while something runs in it
        group.rmdir()
