"""How many tasks a second the Procfile's workers take, with tasks of the bench in their queues."""

import subprocess
import sys
import time

import redis

from tools.bench import servers
from tools.bench.arithmetic import steady_rate
from tools.bench.run import Run
from tools.local.processes import Supervisor
from tools.local.project import PROJECT, read_procfile

# Those that Trunkline's own attempts go through.
QUEUES = ("control", "dispatch", "dial")
SAMPLE_SECONDS = 0.05
PATIENCE_SECONDS = 300


def rate(run: Run, kind: str, count: int) -> float:
    """Return tasks a second of one kind (empty or plain), by the workers as `make up` starts them, from full queues.

    Only PostgreSQL, the broker and the workers run: no web process, no beat and no Flower take their share, which
    favours the peer. It is the rate of the middle, while no queue has run dry.
    """
    data_dir = run.folder / f"tasks-{kind}"
    with servers.empty(data_dir) as environment:
        fill = [sys.executable, "-m", "tools.bench.fill_queues", kind, str(count), *QUEUES]
        subprocess.run(fill, cwd=PROJECT, env=environment, check=True, timeout=PATIENCE_SECONDS)
        module = {"empty": "tools.bench.empty_task", "plain": "tools.bench.plain_celery"}[kind]
        commands = {name: f"{command} --include {module}" for name, command in worker_commands().items()}
        with servers.started(commands, environment, data_dir) as workers:
            return steady_rate(_drained(environment["REDIS_URL"], count, workers))


def worker_commands() -> dict[str, str]:
    """Return the commands of the Procfile's workers by name."""
    return {name: command for name, command in read_procfile().items() if " worker " in command}


def _drained(redis_url: str, count: int, workers: Supervisor) -> list[tuple[float, float]]:
    """Return (seconds, tasks taken so far) until the first queue is empty."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    samples = []
    with redis.Redis.from_url(redis_url) as client:
        while time.monotonic() < deadline:
            lengths = [int(client.llen(queue)) for queue in QUEUES]
            samples.append((time.monotonic(), float(count - sum(lengths))))
            if not all(lengths):
                return samples
            if ended := [name for name in worker_commands() if workers.has_ended(name)]:
                raise OSError(f"workers have ended: {', '.join(ended)}")
            time.sleep(SAMPLE_SECONDS)
    raise TimeoutError(f"the workers have not emptied their queues after {PATIENCE_SECONDS} s")
