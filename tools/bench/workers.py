"""How many tasks of the peers a second their workers take."""

import subprocess
import sys
import time

import redis

from tools.bench import servers
from tools.bench.arithmetic import steady_rate
from tools.bench.peer_app import WORKERS
from tools.bench.run import Run
from tools.local.processes import Supervisor
from tools.local.project import PROJECT, read_procfile

SAMPLE_SECONDS = 0.05
PATIENCE_SECONDS = 300


def rate(run: Run, kind: str, count: int) -> float:
    """Return tasks a second of one kind (empty or plain), by the workers of `peer_app`, from full queues.

    Only PostgreSQL, the broker and the workers run: no web process, no beat and no Flower take their share, which
    favours the peer. It is the rate of the middle, while no queue has run dry.
    """
    folder = run.own_folder(f"tasks-{kind}")
    with servers.empty(folder) as environment:
        # Without settings Celery does not load Django. With those of the product it would load the product.
        environment["DJANGO_SETTINGS_MODULE"] = "tools.bench.plain_settings" if kind == "plain" else ""
        fill = [sys.executable, "-m", "tools.bench.fill_queues", kind, str(count), *WORKERS]
        subprocess.run(fill, cwd=PROJECT, env=environment, check=True, timeout=PATIENCE_SECONDS)
        module = {"empty": "tools.bench.empty_task", "plain": "tools.bench.plain_celery"}[kind]
        commands = {name: f"{command} --include {module}" for name, command in WORKERS.items()}
        with servers.started(commands, environment, folder) as workers:
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
            lengths = [int(client.llen(queue)) for queue in WORKERS]
            samples.append((time.monotonic(), float(count - sum(lengths))))
            if not all(lengths):
                return samples
            if ended := [name for name in WORKERS if workers.has_ended(name)]:
                raise OSError(f"workers have ended: {', '.join(ended)}")
            time.sleep(SAMPLE_SECONDS)
    raise TimeoutError(f"the workers have not emptied their queues after {PATIENCE_SECONDS} s")
