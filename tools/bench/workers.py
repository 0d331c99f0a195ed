"""The workers of the Procfile with tasks of the bench in their queues: how many a second do they take?"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis
from honcho.environ import parse_procfile

from tools.bench.arithmetic import steady_rate
from tools.bench.run import Run, environment
from tools.local import services
from tools.stack import PROJECT

Process = subprocess.Popen[bytes]
Processes = Mapping[str, Process]

# The two that Trunkline's own attempts go through.
QUEUES = ("control", "dial")
SAMPLE_SECONDS = 0.05
STOP_SECONDS = 10
PATIENCE_SECONDS = 300


def rate(run: Run, kind: str, count: int) -> float:
    """Tasks a second of one kind (empty or plain), by the workers as `make up` starts them, from full queues.

    Only PostgreSQL, the broker and the workers run: no web process, no beat and no Flower take their share, which
    favours the peer. It is the rate of the middle, while no queue has run dry.
    """
    data_dir = run.folder / f"tasks-{kind}"
    with services.embedded_services(data_dir, environ={}) as urls:
        variables = environment(urls, data_dir)
        fill = [sys.executable, "-m", "tools.bench.fill_queues", kind, str(count), *QUEUES]
        subprocess.run(fill, cwd=PROJECT, env=variables, check=True, timeout=PATIENCE_SECONDS)
        module = {"empty": "tools.bench.empty_task", "plain": "tools.bench.plain_celery"}[kind]
        with started(worker_commands(f"--include {module}"), variables, data_dir) as running:
            return steady_rate(_drained(urls["REDIS_URL"], count, running))


def worker_commands(options: str = "") -> dict[str, str]:
    """The Procfile's workers by name, with further options."""
    lines: Mapping[str, str] = parse_procfile((PROJECT / "Procfile").read_text()).processes
    return {name: f"{line} {options}" for name, line in lines.items() if " worker " in line}


@contextmanager
def started(commands: Mapping[str, str], variables: Mapping[str, str], data_dir: Path) -> Iterator[Processes]:
    """Runs the commands for the length of the `with` block; their output goes to NAME.log in data_dir."""
    processes: dict[str, Process] = {}
    try:
        for name, command in commands.items():
            with (data_dir / f"{name}.log").open("wb") as log:
                shell = ["/bin/sh", "-c", command]
                processes[name] = subprocess.Popen(shell, cwd=PROJECT, env=variables, stdout=log, stderr=log)
        yield processes
    finally:
        _stop(list(processes.values()))


def _stop(processes: Sequence[Process]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _drained(redis_url: str, count: int, running: Processes) -> list[tuple[float, float]]:
    """(seconds, tasks taken so far) until the first queue is empty."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    samples = []
    with redis.Redis.from_url(redis_url) as client:
        while time.monotonic() < deadline:
            lengths = [int(client.llen(queue)) for queue in QUEUES]
            samples.append((time.monotonic(), float(count - sum(lengths))))
            if not all(lengths):
                return samples
            if ended := [name for name, process in running.items() if process.poll() is not None]:
                raise OSError(f"workers have ended: {', '.join(ended)}")
            time.sleep(SAMPLE_SECONDS)
    raise TimeoutError(f"the workers have not emptied their queues after {PATIENCE_SECONDS} s")
