"""`make chaos CARRIER=sip`: the gateway is killed, and the trunk falls silent. sipp's log and the database are judges.

    python -m tools.chaos.sip [--rows 12a,12d] [--seeds 2] [--at-once 3] [--minutes 8] [--keep FOLDER]

One system for all runs, and sipp as the trunk (tools/sipp/trunk.xml). A run is a campaign of its own, and a fault in
the middle of it. With `--at-once` the next ones begin while it heals, so that their faults strike it, too. Exit status
1 for any violation.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.chaos import result
from tools.chaos.sip_faults import CONNECTING, FAULTS, OF_TRUNK
from tools.chaos.sip_judge import CHANNELS, Found, Judged, judge
from tools.chaos.sip_system import System
from tools.local.signals import interrupt_on_stop_signals
from tools.stack import Client

NUMBERS = 40
# What the last two digits of numbers make sipp do: answer, be busy, decline, know no such number, ring, hang up.
ENDINGS = ("00", "01", "02", "03", "04", "05", "11", "12", "13", "15", "17")
# What the numbers do that a callee is connected to: the first is busy, the second takes the call and hangs up later.
LEG_ENDINGS = ("11", "17")
SAY = {"say": "There is no class tomorrow."}
# Calls of a dead gateway are settled within 4 + 32 + 8 s, once gateways were at work for 15 s since its death, and one
# that is at work has watched for 3 s.
PATIENCE_SECONDS = 180
# Of runs side by side: less than a gateway needs alone to tell that the one before it is dead.
STRIKES_EVERY = 12.0
console = Console(width=None if sys.stdout.isatty() else 140)

Job = tuple[str, int]


@dataclass(frozen=True)
class UnderWay:
    """A run whose fault has struck. problem: why it has not."""

    fault: str
    seed: int
    client: Client
    campaign_id: str
    numbers: list[str]
    others: list[str]
    began: float
    problem: str

    def has_ended(self) -> bool:
        return bool(self.client.campaign(self.campaign_id)["status"] == "Completed")

    @property
    def is_overdue(self) -> bool:
        return time.monotonic() - self.began > PATIENCE_SECONDS


def begin(system: System, fault: str, seed: int, at: int) -> UnderWay:
    """Dial a campaign, and strike in the middle of it. at: of the run, among all of this system."""
    chance = random.Random(f"{fault}-{seed}")
    numbers = [f"+91981{at:03d}{place:02d}{ENDINGS[place % len(ENDINGS)]}" for place in range(NUMBERS)]
    others = [f"+9180{at:06d}{ending}" for ending in LEG_ENDINGS] if fault in CONNECTING else []
    client = _account(system, fault, at, others)
    began = time.monotonic()
    campaign = client.post_campaign(
        {
            "name": f"{fault} seed {seed}",
            "caller_id": f"0801234{at:04d}",
            "url": f"http://my.exotel.com/run{at}/exoml/start_voice/1",
            "from": numbers,
            "retries": {"number_of_retries": 1, "interval_mins": 1, "mechanism": "Linear"},
        }
    )
    problem = ""
    try:
        FAULTS[fault][1](system, chance, [*numbers, *others])
    except TimeoutError as error:
        problem = f"nothing was tried: {error}"
    return UnderWay(fault, seed, client, campaign["id"], numbers, others, began, problem)


def _account(system: System, fault: str, at: int, others: Sequence[str]) -> Client:
    sid = f"run{at}"
    options = ["--caller-id", f"0801234{at:04d}", "--trunk", "sip", "--channels", str(CHANNELS)]
    pace = "120" if fault in CONNECTING else "6000"
    hours = ["--calling-hours", "00:00-24:00", "--starts-per-minute", pace, "--requests-per-minute", "6000"]
    client = system.stack.create_account(sid, *options, *hours)
    connect = [{"connect": {"numbers": list(others), "ring": 5}}] if others else []
    system.stack.create_flow(sid, "1", {"steps": [*connect, SAY]})
    return client


def end(system: System, run: UnderWay, keep: Path | None) -> Judged:
    """Judge a run that has ended, or should have. keep: takes the logs where there is a violation."""
    rings = [ring for ring in system.rings() if ring.number in {*run.numbers, *run.others}]
    problem = run.problem if run.has_ended() else "the campaign has not ended"
    judged = judge(run.fault, run.seed, rings, _found(system, run.campaign_id), time.monotonic() - run.began, problem)
    if judged.violations and keep is not None:
        system.keep_logs(keep / f"{run.fault}-{run.seed}-{run.campaign_id}")
    return judged


def _found(system: System, campaign_id: str) -> Found:
    calls = system.ask("SELECT number, status FROM campaigns_call WHERE campaign_id = %s", campaign_id)
    attempts = system.ask(
        "SELECT replace(id::text, '-', ''), callee, status FROM dialer_callattempt WHERE campaign_id = %s", campaign_id
    )
    legs = system.ask(
        "SELECT replace(id::text, '-', ''), outcome FROM dialer_transfer WHERE attempt_id = ANY(%s::uuid[])",
        [attempt_id for attempt_id, *_ in attempts],
    )
    return Found(dict(calls), {attempt_id: (number, status) for attempt_id, number, status in attempts}, dict(legs))


def work(system: System, jobs: Sequence[Job], options: argparse.Namespace, judged: list[Judged]) -> None:
    """Do the jobs, in their order, and begin none once the time is over. Adds each run that was judged."""
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    under_way: list[UnderWay] = []
    struck_at = float("-inf")

    def take_ended() -> None:
        for run in [run for run in under_way if run.has_ended() or run.is_overdue]:
            under_way.remove(run)
            judged.append(end(system, run, options.keep))
            console.print(judged[-1], highlight=False)

    for at, (row, seed) in enumerate(jobs):
        while len(under_way) >= options.at_once or (under_way and time.monotonic() - struck_at < STRIKES_EVERY):
            time.sleep(0.3)
            take_ended()
        if time.monotonic() > deadline:
            break
        under_way.append(begin(system, row, seed, at))
        struck_at = time.monotonic() if row not in OF_TRUNK else struck_at
    while under_way:
        time.sleep(0.3)
        take_ended()


def main() -> int:
    options = _parse()
    interrupt_on_stop_signals()
    judged: list[Judged] = []
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [(row, seed) for seed in seeds for row in options.rows.split(",")]
    # The servers end before their folder goes, by whose files they are found.
    with tempfile.TemporaryDirectory(prefix="trunkline-chaos-sip-") as folder, ExitStack() as stack:
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 -- PostgreSQL runs as another user where this one is root
        system = System(Path(folder))
        stack.callback(system.stop)
        try:
            system.start()
            work(system, jobs, options, judged)
        finally:
            _print(judged, jobs)
    return 1 if any(one.violations for one in judged) or (len(judged) < len(jobs) and not options.minutes) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos CARRIER=sip", description="Break a SIP gateway, and judge it.")
    parser.add_argument("--rows", default=",".join(FAULTS), help="only these faults")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each fault (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1, help="runs under way side by side (%(default)s)")
    parser.add_argument("--minutes", type=float, default=0, help="begin no run after so many minutes")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of runs with a violation")
    options = parser.parse_args()
    if unknown := [row for row in options.rows.split(",") if row not in FAULTS]:
        parser.error(f"--rows {','.join(unknown)}: there are {', '.join(FAULTS)}")
    return options


def _print(judged: Sequence[Judged], jobs: Sequence[Job]) -> None:
    table = Table(title="A SIP gateway under faults")
    for heading in ("", "fault", "seeds", "rings", "double", "lost", "over cap", "longest run", "violations"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for row, (title, _) in FAULTS.items():
        if runs := [one for one in judged if one.fault == row]:
            table.add_row(
                row,
                title,
                result.spans(one.seed for one in runs),
                str(sum(one.rings for one in runs)),
                str(sum(one.double for one in runs)),
                str(sum(one.lost for one in runs)),
                str(max(one.over_cap for one in runs)),
                f"{max(one.seconds for one in runs):.0f} s",
                str(sum(len(one.violations) for one in runs)),
            )
    console.print(table)
    if left := result.not_begun(jobs, [(one.fault, one.seed) for one in judged]):
        console.print(f"not begun: {left}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
