"""Dispatch cost per attempt: does it stay flat as calls and campaigns become many?"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer
from typing import NamedTuple

from tools.bench import servers
from tools.bench.arithmetic import median
from tools.bench.figures import Row, at_most, paired, row
from tools.bench.run import Run
from tools.local import process_groups

NAME = "dispatch-cost"
FEW, MANY, CAMPAIGNS, MOST_CAMPAIGNS, ACCOUNTS = 10_000, 1_000_000, 1_000, 10_000, 10_000
# As many channels as one dispatch takes at most; and a few, as calls end one by one.
FULL, SOME = 500, 5
# So many pairs, each the median of so many rounds (more of the small ones), and rounds before them that count for
# nothing.
PAIRS, ROUNDS, WARM_UP = 5, {FULL: 3, SOME: 9}, 3
PATIENCE_SECONDS = 900


class Situation(NamedTuple):
    """What a process of `dispatch_rounds` is given."""

    campaigns: int | str
    calls: int
    channels: int
    listed: int = 0
    past_attempts: int = 0


def measure(run: Run) -> list[Row]:
    """Measure dispatch.dispatch alone, without workers, in milliseconds of CPU per attempt, the servers' included.

    Each situation has a process, a PostgreSQL and a Valkey of its own. The two of a pair take turns.
    """
    many, most = run.count(MANY, least=2 * FEW), run.count(MOST_CAMPAIGNS, least=300)
    campaigns = run.count(CAMPAIGNS, least=100)
    few = Situation(1, FEW, FULL)
    among, alone = (Situation(count, FEW // count, SOME) for count in (campaigns, 1))
    comparisons: list[tuple[str, Situation, Situation, float]] = [
        (f"dispatch, {many:,} waiting calls: beside {FEW:,}", Situation(1, many, FULL), few, 1.15),
        (
            f"dispatch of {FULL}, {campaigns:,} campaigns: beside one, with as many calls in all",
            Situation(campaigns, FEW // campaigns, FULL),
            few,
            1.5,
        ),
        (
            f"dispatch of {SOME}, {campaigns:,} running campaigns: beside one, with as many calls in all",
            among,
            alone,
            1.3,
        ),
        (
            f"dispatch of {SOME}, {most:,} campaigns: beside one, with as many calls in all",
            Situation(most, 1, SOME),
            Situation(1, most, SOME),
            2,
        ),
    ]
    rows = [compare(run, figure, value, limit, bound, NAME) for figure, value, limit, bound in comparisons]
    return [*rows, _idle_accounts(run)]


def compare(run: Run, figure: str, value: Situation, limit: Situation, bound: float, name: str) -> Row:
    """Measure two situations by turns. name: of the figure, as `--only` takes it."""
    run.say(figure)
    each = ROUNDS[value.channels]
    with ExitStack() as stack:
        processes_ = [stack.enter_context(_situation(run, situation)) for situation in (value, limit)]
        rounds = [[_round(process) for process in processes_] for _ in range(WARM_UP + PAIRS * each)][WARM_UP:]
    pairs = []
    for first in range(0, len(rounds), each):
        values, limits = zip(*rounds[first : first + each], strict=True)
        pairs.append((median(values), median(limits)))
    return paired(figure, pairs, "ms CPU per attempt", name, target=at_most(bound))


def _idle_accounts(run: Run) -> Row:
    """Measure the tick that finds the accounts with a call to dial. It comes once a second."""
    accounts = run.count(ACCOUNTS, least=100)
    figure = f"{accounts:,} accounts with due calls, all of them outside their calling hours"
    run.say(figure)
    with _situation(run, Situation("accounts", accounts, 1)) as process:
        ticks = [_round(process) for _ in range(WARM_UP + PAIRS)][WARM_UP:]
    return row(figure, median(ticks) / 1000, "cores", NAME, target=at_most(0.2))


@contextmanager
def _situation(run: Run, situation: Situation) -> Iterator[process_groups.Process]:
    """Start a process in this situation, which waits for its rounds."""
    with servers.migrated(run.own_folder("dispatch")) as variables:
        command = [sys.executable, "-m", "tools.bench.dispatch_rounds", *map(str, situation)]
        pipe = subprocess.PIPE
        process = process_groups.spawn(command, variables, stdin=pipe, stdout=pipe, stderr=None, text=True)
        # If the process hangs, waiting for its line ends with its output.
        patience = Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            yield process
        finally:
            patience.cancel()
            process_groups.stop([process])


def _round(process: process_groups.Process) -> float:
    """Let the process make a round; returns its milliseconds of CPU."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise OSError(f"the process that dispatches has ended with {process_groups.collect(process)}")
    return float(line)
