"""`make release-check`: what an operator will do with this version, done here before anybody else does it.

    python -m tools.release_check [--from TAG] [--numbers N]

Packs the version before and the last commit as they are published, and follows the commands of install-systemd.md with
a fresh user, an empty home and nothing but Python and make: versions side by side, a link to the one in use. Runs a
first campaign; upgrades with a campaign half way, and goes back half way through another one; restores the backup that
was made before. What systemd would do, `make up` does, from the link. The sandbox carrier's ring log judges: nobody
is rung twice, and everybody is rung. Without an earlier tag the version before is this one.

Takes some minutes. Everything is on loopback and in a temporary folder, and ended and removed afterwards.
"""

import argparse
import contextlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from rich.console import Console

from core import services_file
from core.version import VERSION
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.postgres import programs
from tools.local.project import PROJECT
from tools.local.signals import interrupt_on_stop_signals
from tools.stack import Client, Stack, StackFailed

USER = "trunkline-release"
INSTALL_SECONDS = 600
PATIENCE_SECONDS = 300
SID, FLOW_ID, CALLER_ID, CHANNELS = "acme", "1", "08012345678", 20
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
# Two seconds a call, so that a campaign of 300 takes half a minute over 20 channels.
SCRIPT = {"default": [{"outcome": "completed", "ring": 0.5, "talk": 1.5}]}

GUIDE = "docs/operator/install-systemd.md"
INSTALL, UPGRADE = "2. The code and its packages", "**Upgrade.**"
"""What stands before their commands in the guide."""

console = Console()


class ReleaseFailed(RuntimeError):
    """A step did not go as an operator must be able to rely on; the message says which."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make release-check", description="Install, upgrade, go back and restore.")
    parser.add_argument("--from", dest="before", metavar="TAG", help="the version before (default: the last tag)")
    parser.add_argument("--numbers", type=int, default=300, help="people of each campaign (%(default)s)")
    options = parser.parse_args()
    interrupt_on_stop_signals()
    try:
        with tempfile.TemporaryDirectory(prefix="trunkline-release-", ignore_cleanup_errors=True) as folder:
            _check(Path(folder), options.before or last_tag(), options.numbers)
    except KeyboardInterrupt:
        console.print("[yellow]stopped before its end")
        return 130
    except (ReleaseFailed, StackFailed, subprocess.SubprocessError, requests.RequestException) as error:
        console.print(f"not fit to be released: {error}", style="red", markup=False, highlight=False)
        return 1
    console.print(f"[green]{VERSION} is fit to be released")
    return 0


def _check(folder: Path, before: str, numbers: int) -> None:
    folder.chmod(0o755)
    if not before:
        console.print("there is no earlier tag: this version stands in for the one before")
    with _fresh_user(folder / "home") as as_user:
        machine = Machine(folder, as_user)
        old = Version(before or "HEAD", before.removeprefix("v") or f"{VERSION}-before")
        new = Version("HEAD", VERSION)
        with _step(f"installing {before or 'the version before'}, by the guide"):
            machine.publish(old)
            machine.follow(guide(INSTALL), old)
        data_dir = folder / "data"
        data_dir.mkdir()
        if as_user:
            shutil.chown(data_dir, USER)
        with _carrier(machine) as carrier:
            trial = _Trial(machine, data_dir, carrier, numbers)
            _check_upgrade(trial, old, new)
            _check_restore(trial)


# What an operator has ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """What is published of a commit, and the name that its archive and its folder end with."""

    commit: str
    name: str


def guide(after: str) -> list[str]:
    """Return the commands that stand after these words in the guide, without those of systemd.

    Raises:
        ReleaseFailed: there are none.
    """
    text = (PROJECT / GUIDE).read_text().partition(after)[2]
    block = re.search(r"\n\n((?: {4,}.+\n)+)", text)
    commands = [line.strip() for line in block[1].splitlines()] if block else []
    if not commands:
        raise ReleaseFailed(f"{GUIDE} has no commands after {after!r}")
    return [command for command in commands if "systemctl" not in command and "/etc/systemd" not in command]


@dataclass(frozen=True)
class Machine:
    """A folder that stands for the machine's root, and the user that runs the program.

    as_user: words that run a command as that user, put before each.
    """

    folder: Path
    as_user: tuple[str, ...]

    @property
    def link(self) -> Path:
        """What leads to the version in use."""
        return self.folder / "opt" / "trunkline"

    def environment(self, home: str = "home") -> dict[str, str]:
        """Nothing of this shell's: an operator's has none of it."""
        given = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT"))}
        return given | {"PATH": SYSTEM_PATH, "HOME": str(self.folder / home), "LANG": "C.UTF-8"}

    def publish(self, version: Version) -> None:
        """Pack a commit as it is published."""
        for needed in ("opt", "root"):
            (self.folder / needed).mkdir(exist_ok=True)
        name = f"trunkline-{version.name}"
        command = ["git", "archive", f"--prefix={name}/", f"--output={self.folder / name}.tar.gz", version.commit]
        subprocess.run(command, cwd=PROJECT, check=True)

    def follow(self, commands: Sequence[str], version: Version) -> None:
        """Run commands of the guide, as root where this is root, with this version and this folder for those in it."""
        for command in commands:
            here = re.sub(r"trunkline-\d+\.\d+\.\d+", f"trunkline-{version.name}", command)
            here = re.sub(r"/opt\b", str(self.folder / "opt"), here)
            self.run(["bash", "-c", f"umask 022; {here}"], self.environment("root"), cwd=self.folder)

    def make(self, version: Version, *arguments: str) -> None:
        """Run a command of a version's Makefile as the program's user, who may write nothing there."""
        environment = self.environment() | {"DATA_DIR": str(self.folder / "home" / "data")}
        self.run(
            [*self.as_user, "make", *arguments], environment, cwd=self.folder / "opt" / f"trunkline-{version.name}"
        )

    def run(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        """Run a command to its end. Raises ReleaseFailed with the end of its output."""
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
        if done.returncode:
            raise ReleaseFailed(f"`{command[-1]}` failed:\n{(done.stdout + done.stderr)[-2000:]}")


class Server(Stack):
    """A stack of the version that the link leads to, with the settings of its `.env`."""

    def __init__(self, machine: Machine, data_dir: Path, carrier_url: str, ports: Mapping[str, str]) -> None:
        super().__init__(data_dir, project=machine.link, as_user=machine.as_user)
        self.environment = machine.environment() | {"PATH": f"{machine.link}/.venv/bin:{SYSTEM_PATH}"}
        self.url = f"http://127.0.0.1:{ports['WEB_PORT']}"
        self.sandbox_url = carrier_url


@contextmanager
def _fresh_user(home: Path) -> Iterator[tuple[str, ...]]:
    """Make a user with an empty home, which is removed at the end; yields the words that run a command as that user.

    Only root can. Somebody else runs everything as themselves, with an empty home.
    """
    if os.geteuid() != 0:
        home.mkdir()
        yield ()
        return
    with contextlib.suppress(KeyError):  # of a run that was killed
        pwd.getpwnam(USER)
        subprocess.run(["userdel", USER], check=True)
    subprocess.run(["useradd", "--system", "--create-home", "--home-dir", home, USER], check=True, capture_output=True)
    try:
        yield "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"
    finally:
        subprocess.run(["userdel", USER], check=False, capture_output=True)


@contextmanager
def _carrier(machine: Machine) -> Iterator[str]:
    """Run the sandbox carrier of this commit, whose ring log judges all versions; yields its address."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "sandbox", "--port", str(port)]
    process = process_groups.spawn(command, machine.environment(), cwd=PROJECT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process_groups.stop([process])


def last_tag() -> str:
    """Return the tag of the version before the last commit; "" where there is none."""
    command = ["git", "describe", "--tags", "--match", "v[0-9]*", "--abbrev=0", "HEAD^"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stdout.strip()


# The trial -----------------------------------------------------------------------------------------------------------


@dataclass
class _Trial:
    """One set of data, taken from the old version to the new one and back, beside a carrier that goes on."""

    machine: Machine
    data_dir: Path
    carrier: str
    numbers: int

    def __post_init__(self) -> None:
        web, events, sandbox, flower = map(str, free_ports(4))
        self._ports = {"WEB_PORT": web, "EVENTS_PORT": events, "SANDBOX_PORT": sandbox, "FLOWER_PORT": flower}
        self.client: Client
        self._first_number = 10_000_000
        self._write_settings()

    def _write_settings(self) -> None:
        own = {"SANDBOX_URL": self.carrier, "LOG_LEVEL": "WARNING", "DATA_DIR": str(self.data_dir)}
        settings = self._ports | own | {"SECRET_KEY": secrets.token_urlsafe(64)}
        file = self.machine.link / ".env"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        file.chmod(0o640)
        if self.machine.as_user:
            shutil.chown(file, "root", USER)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Run the version that the link leads to now."""
        server = Server(self.machine, self.data_dir, self.carrier, self._ports)
        try:
            server.start()
            server.wait_until_ready()
            yield server
        finally:
            server.stop()

    def set_up(self, server: Server) -> None:
        server.script(SCRIPT)
        options = ["--caller-id", CALLER_ID, "--calling-hours", "00:00-24:00", "--channels", str(CHANNELS)]
        self.client = server.create_account(SID, *options, "--starts-per-minute", "6000")
        server.create_flow(SID, FLOW_ID, {"steps": [{"say": "There is no class tomorrow."}]})

    def start_campaign(self) -> str:
        """Start a campaign over numbers that no other one has; returns its id."""
        first, self._first_number = self._first_number, self._first_number + self.numbers
        made = self.client.post_campaign(
            {
                "name": "No class tomorrow",
                "caller_id": CALLER_ID,
                "url": f"http://my.exotel.com/{SID}/exoml/start_voice/{FLOW_ID}",
                "from": [f"+9198{number:08d}" for number in range(first, first + self.numbers)],
            }
        )
        return str(made["id"])

    def wait_until(self, campaign: str, what: str, is_so: Callable[[Mapping[str, Any]], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            now = self.client.campaign(campaign)
            if is_so(now):
                return
            time.sleep(0.3)
        raise ReleaseFailed(f"the campaign is not {what} after {PATIENCE_SECONDS} s: {now['status']}, {now['stats']}")

    def wait_until_half_way(self, campaign: str) -> None:
        self.wait_until(campaign, "half way", lambda now: now["stats"]["pending"] < self.numbers / 2)

    def wait_until_ended(self, campaign: str) -> None:
        self.wait_until(campaign, "ended", lambda now: bool(now["report_url"]))

    @property
    def database(self) -> str:
        """The address of the embedded PostgreSQL, while it runs."""
        return services_file.running_services(self.data_dir)["DATABASE_URL"]

    def postgres(self, program: str, *arguments: str) -> None:
        subprocess.run([programs() / program, *arguments], check=True, capture_output=True, timeout=PATIENCE_SECONDS)

    @contextmanager
    def servers_alone(self) -> Iterator[None]:
        """Run the embedded servers without a process that dials."""
        server = Server(self.machine, self.data_dir, self.carrier, self._ports)
        server.up_options = ("--only", "flower")
        try:
            server.start()
            self._wait(lambda: "DATABASE_URL" in services_file.running_services(self.data_dir), "PostgreSQL is not up")
            yield
        finally:
            server.stop()

    def wait_until_held(self, server: Server) -> None:
        def is_held() -> bool:
            return "held" in requests.get(f"{server.url}/readyz", timeout=10).json()["warnings"]

        self._wait(is_held, "the server did not notice that a backup was restored")

    def _wait(self, is_so: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            if time.monotonic() > deadline:
                raise ReleaseFailed(otherwise)
            time.sleep(0.3)

    def judge(self, server: Server) -> None:
        """Everybody of all campaigns so far was rung, and nobody twice."""
        people = self._first_number - 10_000_000
        rings = server.rings()
        numbers = [ring["number"] for ring in rings["rings"]]
        if len(numbers) != len(set(numbers)):
            raise ReleaseFailed(f"{len(numbers) - len(set(numbers))} people were rung twice")
        if len(numbers) != people:
            raise ReleaseFailed(f"{people - len(numbers)} of {people} people were not rung")


def _check_upgrade(trial: _Trial, old: Version, new: Version) -> None:
    machine, commands = trial.machine, guide(UPGRADE)
    switch = [command for command in commands if command.startswith("ln ")]
    settings = [command for command in commands if command.startswith("cp ")]
    with _step(f"installing {new.name} beside it, by the guide"):
        machine.publish(new)
        machine.follow([command for command in commands if command not in {*switch, *settings}], new)
    with _step("a first campaign, from nothing to its report"):
        machine.make(new, "demo", "N=50")
    with _step("the version before, with a campaign half way"), trial.running() as server:
        trial.set_up(server)
        campaign = trial.start_campaign()
        trial.wait_until_half_way(campaign)
        machine.follow(settings + switch, new)
    with _step("the upgrade: the campaign goes on to its end"), trial.running() as server:
        trial.wait_until_ended(campaign)
        trial.judge(server)
        campaign = trial.start_campaign()
        trial.wait_until_half_way(campaign)
        machine.follow(switch, old)
    with _step("back to the version before: the next campaign goes on to its end"), trial.running() as server:
        trial.wait_until_ended(campaign)
        trial.judge(server)
        machine.follow(switch, new)


def _check_restore(trial: _Trial) -> None:
    with _step("a backup half way through a campaign, which goes on"), trial.running() as server:
        campaign = trial.start_campaign()
        trial.wait_until(campaign, "a quarter done", lambda now: now["stats"]["pending"] < trial.numbers * 3 / 4)
        dump = trial.data_dir.parent / "backup.dump"
        trial.postgres("pg_dump", "--format=custom", "--create", f"--file={dump}", trial.database)
        trial.wait_until(campaign, "three quarters done", lambda now: now["stats"]["pending"] < trial.numbers / 4)
    with _step("the backup is restored"), trial.servers_alone():
        beside = urlunsplit(urlsplit(trial.database)._replace(path="/postgres"))
        trial.postgres("psql", "--command", f"DROP DATABASE {urlsplit(trial.database).path[1:]} WITH (FORCE)", beside)
        trial.postgres("pg_restore", "--create", "--exit-on-error", "--dbname", beside, str(dump))
    with _step("held, reconciled and released: nobody is called again"), trial.running() as server:
        trial.wait_until_held(server)
        server.manage("reconcile")
        server.manage("release")
        trial.wait_until_ended(campaign)
        trial.judge(server)


@contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"[green]✓[/green] {what} ({time.monotonic() - began:.0f} s)", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
