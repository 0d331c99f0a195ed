"""Completed attempts a second, beside the empty task and the plain Celery dialer.

One campaign of one account, with channels and pace far beyond what is reached; every first attempt is answered.
"""

from collections.abc import Mapping

from tools.bench import bare_http, workers
from tools.bench.arithmetic import steady_rate
from tools.bench.figures import Row, at_least, row
from tools.bench.run import Run, cpu_seconds
from tools.bench.system import System, system

NAME = "attempts"
CALLS = 30_000
CHANNELS = 2_000
TASKS = 60_000
BARE_CALLS = 10_000
PATIENCE_SECONDS = 900
# Calls through the sandbox are as short as possible: the figure measures the way there and back.
SHORT = {"seed": 1, "default": [{"outcome": "completed", "ring": 0.05, "talk": 0.05}]}


def measure(run: Run) -> list[Row]:
    """Measure the simulated carrier (events through the real inbox) and the sandbox over HTTP, on one machine.

    Attempts are made by whole systems with web, beat and Flower. The empty and the plain tasks have the machine to
    themselves, with the same workers, broker and PostgreSQL.
    """
    run.say("the empty Celery task")
    empty = workers.rate(run, "empty", run.count(TASKS, least=2_000))
    run.say("the plain Celery dialer")
    plain = workers.rate(run, "plain", run.count(TASKS // 2, least=1_000))
    run.say("the bare requests of a call over HTTP")
    bare = bare_http.rate(run, run.count(BARE_CALLS, least=500))
    run.say("the same, with its events stored")
    stored = bare_http.stored_rate(run, run.count(BARE_CALLS, least=500))
    calls = run.count(CALLS, least=500)
    run.say(f"{calls:,} calls over the simulated carrier")
    simulated, simulated_cpu = _rate(run, "simulated", calls)
    run.say(f"{calls:,} calls through HTTP to the sandbox")
    over_http, http_cpu = _rate(run, "sandbox", calls)
    on = f"one campaign of {calls:,} calls"
    unit = "attempts/s"
    simulated_on = f"completed attempts, simulated carrier, {on}"
    http_on = f"completed attempts, HTTP to the sandbox and back, {on}"
    return [
        row(f"{simulated_on}: beside an empty Celery task", simulated, unit, NAME, limit=empty, target=at_least(3)),
        row(f"{simulated_on}: beside the plain Celery dialer", simulated, unit, NAME, limit=plain, target=at_least(8)),
        row(f"{http_on}: beside an empty Celery task", over_http, unit, NAME, limit=empty, target=at_least(0.5)),
        row(f"{http_on}: beside the bare requests of as many calls", over_http, unit, NAME, limit=bare),
        row(f"{http_on}: beside those requests, with the events kept", over_http, unit, NAME, limit=stored),
        *_cpu_rows("simulated carrier", simulated_cpu),
        *_cpu_rows("HTTP to the sandbox and back", http_cpu),
    ]


def _cpu_rows(on: str, cpu: Mapping[str, float]) -> list[Row]:
    return [row(f"CPU of an attempt, {on}: {part}", used * 1000, "ms", NAME) for part, used in cpu.items()]


def _rate(run: Run, trunk: str, calls: int) -> tuple[float, dict[str, float]]:
    """Return attempts a second, and the CPU seconds that one attempt takes in each part of the system."""
    with system(run, f"attempts-{trunk}") as whole:
        whole.stack.script(SHORT)
        client = whole.account("bench", channels=CHANNELS, trunk=trunk)
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
