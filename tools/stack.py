"""A whole Trunkline of its own, as separate processes: for the demo, and for tests that must be real."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import requests

PROJECT = Path(__file__).resolve().parent.parent
# From cold: PostgreSQL's first start, the migrations, and the imports of six processes on a busy machine.
START_SECONDS = 120
# `up` kills what does not stop within ten seconds.
STOP_SECONDS = 30


class StackFailed(RuntimeError):
    """The processes did not come up; the message holds the end of their output."""


# Below those that the system gives to outgoing connections: it is seconds until our processes listen on them.
PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on at the moment, by chance: several systems may start at once."""
    candidates = iter(random.sample(PORTS, len(PORTS)))
    return list(islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


class Stack:
    """`make up` with its data in data_dir and on free ports. settings are environment variables."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        web, sandbox, flower = free_ports(3)
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{web}"
        self.sandbox_url = f"http://127.0.0.1:{sandbox}"
        self.flower_url = f"http://127.0.0.1:{flower}"
        # Not the servers of the environment: this one has its own, to be thrown away.
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_SERVER}
        self.environment = inherited | {
            "DATA_DIR": str(data_dir),
            "WEB_PORT": str(web),
            "SANDBOX_PORT": str(sandbox),
            "FLOWER_PORT": str(flower),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the processes; their output goes to data_dir/logs. `wait_until_ready` tells when they are up."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "up.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.local.up", "--quiet"],
                cwd=PROJECT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C is for the demo, which then stops this in its own time.
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Returns when /readyz says so. Raises StackFailed when a process ended, or after START_SECONDS."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StackFailed(f"make up ended with {self._process.returncode}:\n{self.tail()}")
            try:
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise StackFailed(f"not ready after {START_SECONDS} s:\n{self.tail()}")

    def stop(self) -> int:
        """Stops every process; answers the exit status of `up`."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def manage(self, *arguments: str) -> str:
        """Runs a `manage.py` command beside the running server; answers what it printed. Raises StackFailed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackFailed(f"manage.py {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def create_account(self, sid: str, *options: str) -> "Client":
        """A new account, and a client that is signed in as it."""
        made = json.loads(self.manage("create_account", sid, "--json", *options))
        return Client(self.url, sid, made["api_key"], made["api_token"])

    def script(self, script: Mapping[str, Any]) -> None:
        """Tells the sandbox carrier how callees behave."""
        requests.put(f"{self.sandbox_url}/_sandbox/script", json=script, timeout=10).raise_for_status()

    def rings(self, **filters: str) -> dict[str, Any]:
        """The sandbox's ring log."""
        answer = requests.get(f"{self.sandbox_url}/_sandbox/rings", params=filters, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())

    def tail(self, lines: int = 15) -> str:
        """The end of each process's output."""
        logs = [self.data_dir / "up.log", *sorted((self.data_dir / "logs").glob("*.log"))]
        texts = {log.stem: log.read_text(errors="replace").splitlines()[-lines:] for log in logs if log.exists()}
        return "\n".join(f"{name:8} | {line}" for name, kept in texts.items() for line in kept)


@contextmanager
def running(data_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A stack that is ready, and stopped at the end whatever happens."""
    stack = Stack(data_dir, settings)
    try:
        stack.start()
        stack.wait_until_ready()
        yield stack
    finally:
        stack.stop()


class Client:
    """An API client of one account."""

    def __init__(self, url: str, sid: str, key: str, token: str) -> None:
        self.base = f"{url}/v2/accounts/{sid}"
        self.session = requests.Session()
        self.session.auth = (key, token)

    def post_campaign(self, campaign: Mapping[str, Any]) -> dict[str, Any]:
        """Creates the campaign; answers its `data`. Raises requests.HTTPError with the server's sentence."""
        return self._data(self.session.post(f"{self.base}/campaigns", json={"campaigns": [campaign]}, timeout=60))

    def campaign(self, campaign_id: str) -> dict[str, Any]:
        return self._data(self.session.get(f"{self.base}/campaigns/{campaign_id}", timeout=30))

    @staticmethod
    def _data(answer: requests.Response) -> dict[str, Any]:
        item = answer.json()["response"][0]
        if answer.status_code != 200:
            raise requests.HTTPError(f"{answer.status_code}: {item['error_data']['description']}", response=answer)
        return dict(item["data"])


_OF_ANOTHER_SERVER = {
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "PUBLIC_URL",
    "SANDBOX_URL",
    "SECRET_KEY",
    "DJANGO_SETTINGS_MODULE",
}
