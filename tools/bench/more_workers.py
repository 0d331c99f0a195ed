"""Two worker processes beside one."""

import os

from tools.bench import servers, workers
from tools.bench.attempts import CHANNELS, completed_rate
from tools.bench.figures import FEWEST_PAIRS, Row, at_least, paired, row
from tools.bench.run import Run
from tools.bench.system import System, system
from tools.local.project import with_services

NAME = "more-workers"
UNIT = "attempts/s"
# PostgreSQL, Valkey, the first worker, its dialer and beat need cores; a second worker needs more.
CORES = 6
CALLS = 20_000


def measure(run: Run) -> list[Row]:
    """Measure completed attempts a second, with one control and one dial process, and with two of each."""
    cores = len(os.sched_getaffinity(0))
    figure, target = "completed attempts, simulated carrier, two worker processes beside one", at_least(1.8)
    if cores < CORES:
        return [row(f"{figure}: needs {CORES} cores, this machine has {cores}", None, UNIT, NAME, target=target)]
    calls = run.count(CALLS, least=500)
    pairs = [(_rate(run, 2, calls), _rate(run, 1, calls)) for _ in range(FEWEST_PAIRS)]
    return [paired(f"{figure}, one campaign of {calls:,} calls", pairs, UNIT, NAME, target=target)]


def _rate(run: Run, processes: int, calls: int) -> float:
    run.say(f"{calls:,} calls with worker processes: {processes}")
    with system(run, f"workers-{processes}", {"CONTROL_CONCURRENCY": "1", "DISPATCH_CONCURRENCY": "1"}) as whole:
        campaign = whole.campaign(whole.account("bench", channels=CHANNELS, trunk="simulated"), calls)
        with servers.started(_second_ones() if processes == 2 else {}, _variables(whole), whole.stack.data_dir):
            return completed_rate(whole, campaign)


def _second_ones() -> dict[str, str]:
    commands = workers.worker_commands()
    return {f"{name}-2": commands[name].replace("@%h", "-2@%h") for name in ("control", "dispatch", "dial")}


def _variables(whole: System) -> dict[str, str]:
    urls = {"DATABASE_URL": whole.database_url, "REDIS_URL": whole.redis_url}
    return with_services(whole.stack.environment, urls)
