"""Dispatch cost per attempt: does it stay flat as calls and campaigns become many?"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer

from tools.bench import servers
from tools.bench.arithmetic import median
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.local import processes

NAME = "dispatch-cost"
FEW, MANY, CAMPAIGNS = 10_000, 1_000_000, 1_000
# Of 500 attempts each, so that the ten thousand calls suffice.
ROUNDS, WARM_UP = 18, 3
PATIENCE_SECONDS = 900


def measure(run: Run) -> list[Row]:
    """Measure dispatch.dispatch alone, without workers and with 500 channels free, in milliseconds per attempt.

    A million waiting calls stand beside ten thousand, and a thousand campaigns in progress beside one. Each situation
    has a process, a PostgreSQL and a Valkey of its own. They take turns, so that other load of the machine falls on
    all of them.
    """
    many, campaigns = run.count(MANY, least=2 * FEW), run.count(CAMPAIGNS, least=20)
    run.say(f"dispatch of one campaign of {FEW:,} calls, of one of {many:,}, and of {campaigns:,} campaigns")
    situations = [(1, FEW), (1, many), (campaigns, FEW // campaigns)]
    with ExitStack() as stack:
        dispatchers = [stack.enter_context(_situation(run, *situation)) for situation in situations]
        rounds = [[_round(dispatcher) for dispatcher in dispatchers] for _ in range(ROUNDS)]
    few, waiting, running = (median(costs) for costs in zip(*rounds[WARM_UP:], strict=True))
    unit = "ms per attempt"
    return [
        row(f"dispatch, {many:,} waiting calls: beside {FEW:,}", waiting, unit, NAME, limit=few, target=at_most(1.15)),
        row(
            f"dispatch, {campaigns:,} running campaigns: beside one, with as many calls in all",
            running,
            unit,
            NAME,
            limit=few,
            target=at_most(1.5),
        ),
    ]


@contextmanager
def _situation(run: Run, campaigns: int, calls: int) -> Iterator[processes.Process]:
    """Start a process with so many campaigns of so many calls each, which waits for its rounds."""
    data_dir = run.folder / f"dispatch-{campaigns}-{calls}"
    with servers.migrated(data_dir) as variables:
        command = [sys.executable, "-m", "tools.bench.dispatch_rounds", str(campaigns), str(calls)]
        pipe = subprocess.PIPE
        process = processes.spawn(command, variables, stdin=pipe, stdout=pipe, stderr=None, text=True)
        # If the process hangs, waiting for its line ends with its output.
        patience = Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            yield process
        finally:
            patience.cancel()
            processes.stop([process])


def _round(process: processes.Process) -> float:
    """Let the process dispatch once; returns milliseconds per attempt."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise OSError(f"the process that dispatches has ended with {processes.collect(process)}")
    return float(line)
