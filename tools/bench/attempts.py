"""Completed attempts a second, beside the empty task and the plain Celery dialer.

One campaign of one account, with channels and pace far beyond what is reached; every first attempt is answered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tools.bench import bare_http, workers
from tools.bench.arithmetic import median, steady_rate
from tools.bench.figures import FEWEST_PAIRS, Row, at_least, at_most, paired, repeated, row
from tools.bench.run import Run, cpu_seconds
from tools.bench.system import System, system

NAME = "attempts"
# For each of the pairs: seconds of work on two cores.
CALLS = {"simulated": 15_000, "sandbox": 4_000}
CHANNELS = 2_000
TASKS = {"empty": 7_500, "plain": 3_000}
BARE_CALLS = 10_000
PATIENCE_SECONDS = 900
# Calls through the sandbox are as short as possible: the figure measures the way there and back.
SHORT = {"seed": 1, "default": [{"outcome": "completed", "ring": 0.05, "talk": 0.05}]}
UNIT = "attempts/s"
CARRIER = "sandbox"


@dataclass(frozen=True)
class _Round:
    """What was measured in turn, a second; cpu is in seconds, of one attempt in each part of the system."""

    empty: float
    plain: float
    simulated: float
    over_http: float
    simulated_cpu: Mapping[str, float]
    http_cpu: Mapping[str, float]


def measure(run: Run) -> list[Row]:
    """Measure the simulated carrier (events through the real inbox) and the sandbox over HTTP, on one machine.

    Attempts are made by whole systems with web, beat and Flower. The empty and the plain tasks have the machine to
    themselves. The system and the peers take turns, each started afresh.
    """
    rounds = [_round(run, number) for number in range(1, FEWEST_PAIRS + 1)]
    run.say("the bare requests of a call over HTTP")
    bare = bare_http.rate(run, run.count(BARE_CALLS, least=500))
    run.say("the same, with its events stored")
    with bare_http.storing(run) as rates:
        stored = rates["json"](run.count(BARE_CALLS, least=500))
    return [*_ratios(run, rounds), *_beside_bare(run, rounds, bare, stored), *_cpu(rounds)]


def _round(run: Run, number: int) -> _Round:
    run.say(f"pair {number} of {FEWEST_PAIRS}: the empty Celery task, the plain Celery dialer")
    empty, plain = (workers.rate(run, kind, run.count(count, least=1_000)) for kind, count in TASKS.items())
    run.say(f"pair {number} of {FEWEST_PAIRS}: calls over the simulated carrier, and through HTTP to the sandbox")
    with system(run, "attempts") as whole:
        whole.stack.script(SHORT)
        (simulated, simulated_cpu), (over_http, http_cpu) = (
            _rate(whole, trunk, run.count(calls, least=500)) for trunk, calls in CALLS.items()
        )
    return _Round(empty, plain, simulated, over_http, simulated_cpu, http_cpu)


def _on(run: Run, trunk: str) -> str:
    way = {"simulated": "simulated carrier", "sandbox": "HTTP to the sandbox and back"}[trunk]
    return f"completed attempts, {way}, campaigns of {run.count(CALLS[trunk], least=500):,} calls"


def _ratios(run: Run, rounds: Iterable[_Round]) -> list[Row]:
    simulated_on, http_on = _on(run, "simulated"), _on(run, "sandbox")
    empty_pairs = [(one.simulated, one.empty) for one in rounds]
    plain_pairs = [(one.simulated, one.plain) for one in rounds]
    http_pairs = [(one.over_http, one.empty) for one in rounds]
    return [
        paired(f"{simulated_on}: beside an empty Celery task", empty_pairs, UNIT, NAME, target=at_least(3)),
        paired(f"{simulated_on}: beside the plain Celery dialer", plain_pairs, UNIT, NAME, target=at_least(8)),
        paired(f"{http_on}: beside an empty Celery task", http_pairs, UNIT, NAME, target=at_least(0.5)),
    ]


def _beside_bare(run: Run, rounds: Iterable[_Round], bare: float, stored: float) -> list[Row]:
    """Return what the requests of a call alone allow: measured once, so these have no target."""
    over_http, on = median([one.over_http for one in rounds]), _on(run, "sandbox")
    return [
        row(f"{on}: beside the bare requests of as many calls", over_http, UNIT, NAME, limit=bare),
        row(f"{on}: beside those requests, with the events kept", over_http, UNIT, NAME, limit=stored),
    ]


def _cpu(rounds: Iterable[_Round]) -> list[Row]:
    over_http = [one.http_cpu for one in rounds]
    by_carrier = {
        "simulated carrier": [one.simulated_cpu for one in rounds],
        "HTTP to the sandbox and back": over_http,
    }
    parts = [
        repeated(f"CPU of an attempt, {on}: {part}", [cpu[part] * 1000 for cpu in found], "ms", NAME)
        for on, found in by_carrier.items()
        for part in found[0]
    ]
    products = [1000 * sum(used for part, used in cpu.items() if part != CARRIER) for cpu in over_http]
    figure = "CPU of an attempt, HTTP to the sandbox and back: all of these but the carrier"
    return [*parts, repeated(figure, products, "ms", NAME, target=at_most(2.0))]


def _rate(whole: System, trunk: str, calls: int) -> tuple[float, dict[str, float]]:
    """Return attempts a second, and the CPU seconds that one attempt takes in each part of the system."""
    client = whole.account(f"bench-{trunk}", channels=CHANNELS, trunk=trunk)
    campaign = whole.campaign(client, calls)
    parts = whole.parts()
    before = {part: cpu_seconds(processes) for part, processes in parts.items()}
    rate = completed_rate(whole, campaign)
    return rate, {part: (cpu_seconds(processes) - before[part]) / calls for part, processes in parts.items()}


def completed_rate(whole: System, campaign: str) -> float:
    """Run the campaign to its end; returns attempts a second in the middle of it, by the moments when they ended."""
    whole.start(campaign)
    whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    return steady_rate(_ended(whole, campaign))


def _ended(whole: System, campaign: str) -> list[tuple[float, float]]:
    """Return (seconds, attempts completed so far). Events are applied in batches, so each batch is one moment."""
    found = whole.db.execute(
        "SELECT extract(epoch FROM at)::float8, sum(count(*)) OVER (ORDER BY at)::float8"
        " FROM dialer_attempthistory JOIN dialer_callattempt AS attempt ON attempt.id = subject_id"
        " WHERE campaign_id = %s AND to_status = 'completed' GROUP BY at ORDER BY at",
        [campaign],
    ).fetchall()
    return [(float(at), float(done)) for at, done in found]
