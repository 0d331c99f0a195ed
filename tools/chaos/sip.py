"""`make chaos CARRIER=sip`: the gateway is killed, and the trunk falls silent. sipp's log and the database are judges.

    python -m tools.chaos.sip [--rows 12a,12d] [--seeds 2]

One system for all runs, and sipp as the trunk (tools/sipp/trunk.xml). A run is a campaign of its own, and a fault in
the middle of it. Exit status 1 for any violation.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from core import services_file
from tools import sipp_party
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.project import read_procfile
from tools.local.signals import interrupt_on_stop_signals
from tools.sipp_party import Ring, Sipp
from tools.stack import Client, Stack

CHANNELS = 10
NUMBERS = 40
# What the last two digits of numbers make sipp do: answer, be busy, decline, know no such number, ring, hang up.
ENDINGS = ("00", "01", "02", "03", "04", "05", "11", "12", "13", "15", "17")
SETTINGS = {
    "RETRY_MINUTE_SECONDS": "1",
    "RING_TIMEOUT_SECONDS": "4",
    "SIP_SILENCE_SECONDS": "3",
    "CARRIER_POLL_AFTER_SECONDS": "5",
    "CARRIER_LOOK_UPS_PER_MINUTE": "1200",
    "LOG_LEVEL": "WARNING",
    "CELERY_TASK_EVENTS": "False",
}
# Calls of a dead gateway are settled within 4 + 32 + 8 s, once another one has been at work for 15 s.
PATIENCE_SECONDS = 180
RESTART_SECONDS = 0.5
SAY = {"say": "There is no class tomorrow."}
# What the numbers do that a callee is connected to: the first is busy, the second takes the call and hangs up later.
LEG_ENDINGS = ("11", "17")
console = Console(width=None if sys.stdout.isatty() else 140)


class System:
    """A stack, its gateway, which is started again when it ends, and the trunk's far end."""

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder, SETTINGS)
        self.failpoint = folder / "failpoint"
        [port] = free_ports(1)
        self._environment = {**self.stack.environment, "SIP_PORT": str(port), "FAILPOINT_FILE": str(self.failpoint)}
        self.parties = [Sipp(folder, "trunk")]
        self.gateway: process_groups.Process | None = None
        self._is_over = threading.Event()
        self.deaths = 0

    def start(self) -> None:
        self.stack.start()
        self.stack.wait_until_ready()
        self.stack.manage("create_trunk", "sip", "--carrier", "sip", "--base-url", f"sip:127.0.0.1:{self.party.port}")
        threading.Thread(target=self._keep_gateway, daemon=True).start()
        self.wait_until(lambda: self.ask("SELECT count(*) FROM sipgateway_gateway") != [(0,)], "no gateway started")

    def stop(self) -> None:
        self._is_over.set()
        if self.gateway is not None:
            process_groups.stop([self.gateway])
        for party in self.parties:
            party.stop()
        self.stack.stop()

    @property
    def party(self) -> Sipp:
        return self.parties[-1]

    def silence(self, seconds: float) -> None:
        """Take the far end away, and bring it back at the same address."""
        self.party.stop()
        time.sleep(seconds)
        self.parties.append(Sipp(self.stack.data_dir, "trunk", port=self.party.port))

    def freeze(self, seconds: float) -> None:
        """Let the far end stand still. It takes and answers then what came meanwhile."""
        self.party.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.party.process.send_signal(signal.SIGCONT)

    def kill_gateway(self) -> None:
        if self.gateway is not None:
            process_groups.signal_group(self.gateway, signal.SIGKILL)

    def rings(self) -> list[Ring]:
        return [ring for party in self.parties for ring in party.rings()]

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        url = services_file.running_services(self.stack.data_dir)["DATABASE_URL"]
        with psycopg.connect(url) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.05)

    def _keep_gateway(self) -> None:
        while not self._is_over.is_set():
            with (self.stack.data_dir / "sipgateway.log").open("ab") as log:
                self.gateway = process_groups.spawn(read_procfile()["sipgateway"], self._environment, stdout=log)
            self.gateway.wait()
            self.deaths += 1
            self._is_over.wait(RESTART_SECONDS)


Fault = Callable[[System, random.Random], None]


def _at(point: str) -> Fault:
    def fault(system: System, chance: random.Random) -> None:
        system.failpoint.write_text(f"{point}:{chance.randrange(1, 12)}")
        system.wait_until(lambda: not system.failpoint.exists(), f"nobody came to {point}")

    return fault


def _while(status: str, *, of_leg: bool = False) -> Fault:
    def fault(system: System, chance: random.Random) -> None:
        statement = "SELECT count(*) FROM sipgateway_sipcall WHERE status = %s AND (leg_of IS NOT NULL) = %s"
        system.wait_until(lambda: system.ask(statement, status, of_leg) != [(0,)], f"no call is {status}")
        time.sleep(chance.uniform(0, 0.5))
        system.kill_gateway()

    return fault


def _later(act: Callable[[System], None]) -> Fault:
    def fault(system: System, chance: random.Random) -> None:
        time.sleep(chance.uniform(1, 3))
        act(system)

    return fault


FAULTS: dict[str, tuple[str, Fault]] = {
    "12a": ("kill -9 of the SIP gateway before an INVITE", _at("sip-before-invite")),
    "12b": ("kill -9 of the SIP gateway after an INVITE", _at("sip-after-invite")),
    "12c": ("kill -9 of the SIP gateway while a phone rings", _while("ringing")),
    "12d": ("kill -9 of the SIP gateway while a person talks", _while("talking")),
    "12e": ("the SIP trunk silent for 12 s, and back", _later(lambda system: system.silence(12))),
    "12f": ("the SIP trunk stands still for 6 s", _later(lambda system: system.freeze(6))),
    "12g": ("kill -9 of the SIP gateway while another number rings", _while("ringing", of_leg=True)),
    "12h": ("kill -9 of the SIP gateway while callees talk to another number", _while("talking", of_leg=True)),
}
# Rows whose callees are connected to other numbers. They start slowly, or no channel is left for those.
CONNECTING = {"12g", "12h"}


@dataclass(frozen=True)
class Judged:
    """A run, and a sentence for each thing that went wrong."""

    fault: str
    rings: int
    double: int
    most: int
    seconds: float
    violations: list[str]


def run(system: System, fault: str, seed: int, at: int) -> Judged:
    """Dial a campaign, strike in the middle of it, wait for its end, and judge."""
    chance = random.Random(f"{fault}-{seed}")
    numbers = [f"+91981{at:03d}{place:02d}{ENDINGS[place % len(ENDINGS)]}" for place in range(NUMBERS)]
    sid = f"run{at}"
    options = ["--caller-id", f"0801234{at:04d}", "--trunk", "sip", "--channels", str(CHANNELS)]
    pace = "120" if fault in CONNECTING else "6000"
    hours = ["--calling-hours", "00:00-24:00", "--starts-per-minute", pace, "--requests-per-minute", "6000"]
    others = [f"+9180{at:06d}{ending}" for ending in LEG_ENDINGS] if fault in CONNECTING else []
    client: Client = system.stack.create_account(sid, *options, *hours)
    connect = [{"connect": {"numbers": others, "ring": 5}}] if others else []
    system.stack.create_flow(sid, "1", {"steps": [*connect, SAY]})
    began = time.monotonic()
    campaign = client.post_campaign(
        {
            "name": f"{fault} seed {seed}",
            "caller_id": f"0801234{at:04d}",
            "url": f"http://my.exotel.com/{sid}/exoml/start_voice/1",
            "from": numbers,
            "retries": {"number_of_retries": 1, "interval_mins": 1, "mechanism": "Linear"},
        }
    )
    FAULTS[fault][1](system, chance)
    violations: list[str] = []
    try:
        done = lambda: client.campaign(campaign["id"])["status"] == "Completed"  # noqa: E731
        system.wait_until(done, "the campaign has not ended", PATIENCE_SECONDS)
    except TimeoutError as error:
        violations.append(str(error))
    rings = [ring for ring in system.rings() if ring.number in {*numbers, *others}]
    violations += _violations(system, campaign["id"], rings)
    double, most = sipp_party.double_rings(rings), sipp_party.most_at_once(rings)
    if most > CHANNELS:
        violations.append(f"{most} calls were up at once")
    return Judged(fault, len(rings), double, most, time.monotonic() - began, violations)


def _violations(system: System, campaign_id: str, rings: list[Ring]) -> list[str]:
    attempts = system.ask(
        "SELECT replace(id::text, '-', ''), status, callee FROM dialer_callattempt WHERE campaign_id = %s", campaign_id
    )
    legs = system.ask(
        "SELECT replace(id::text, '-', ''), outcome FROM dialer_transfer WHERE attempt_id = ANY(%s::uuid[])",
        [attempt_id for attempt_id, *_ in attempts],
    )
    statuses = {attempt_id: status for attempt_id, status, _ in attempts}
    outcomes = dict(legs)
    found = [
        f"{ring.number} was rung for no attempt, and no leg of one"
        for ring in rings
        if ring.call_id not in statuses and ring.call_id not in outcomes
    ]
    found += ["a leg has not ended" for outcome in outcomes.values() if not outcome]
    found += [
        f"{ring.number} was rung by an attempt that was given back"
        for ring in rings
        if statuses.get(ring.call_id) == "canceled"
    ]
    found += [
        f"{number} was rung {times} times"
        for number, times in Counter(ring.number for ring in rings if ring.call_id not in outcomes).items()
        if times > 2
    ]
    found += [f"an attempt is still {status}" for status in statuses.values() if status in ("placing", "unknown")]
    if double := sipp_party.double_rings(rings):
        found.append(f"{double} attempts rang twice")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos CARRIER=sip", description="Break a SIP gateway, and judge it.")
    parser.add_argument("--rows", default=",".join(FAULTS), help="only these faults")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each fault (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1)
    options = parser.parse_args()
    interrupt_on_stop_signals()
    chosen = options.rows.split(",")
    if unknown := [row for row in chosen if row not in FAULTS]:
        parser.error(f"--rows {','.join(unknown)}: there are {', '.join(FAULTS)}")
    judged: list[Judged] = []
    jobs = [(row, seed) for seed in range(options.first_seed, options.first_seed + options.seeds) for row in chosen]
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="trunkline-chaos-sip-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 -- PostgreSQL runs as another user where this one is root
        system = System(Path(folder))
        stack.callback(system.stop)
        system.start()
        for at, (row, seed) in enumerate(jobs):
            judged.append(run(system, row, seed, at))
            console.print(judged[-1], highlight=False)
    _print(judged)
    return 1 if any(one.violations for one in judged) else 0


def _print(judged: list[Judged]) -> None:
    table = Table(title="A SIP gateway under faults")
    for heading in ("", "fault", "runs", "rings", "double", "most at once", "longest run", "violations"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for row, (title, _) in FAULTS.items():
        if runs := [one for one in judged if one.fault == row]:
            table.add_row(
                row,
                title,
                str(len(runs)),
                str(sum(one.rings for one in runs)),
                str(sum(one.double for one in runs)),
                f"{max(one.most for one in runs)} of {CHANNELS}",
                f"{max(one.seconds for one in runs):.0f} s",
                str(sum(len(one.violations) for one in runs)),
            )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
