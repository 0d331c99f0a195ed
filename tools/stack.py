"""A whole Trunkline of its own, as separate processes: for the demo, the bench, and tests that must be real."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from tools.local import cpu_groups, process_groups, processes, services, up
from tools.local.ports import free_ports
from tools.local.project import PROJECT, own_environment

# From cold: PostgreSQL's first start, the migrations, and the imports of six processes on a busy machine.
START_SECONDS = 240
# `up` kills what does not stop within ten seconds, and then stops the servers.
STOP_SECONDS = 90


class StackFailed(RuntimeError):
    """The processes did not come up; the message holds the end of their output."""


class Stack:
    """`make up` with its data in data_dir and on free ports.

    Args:
        settings: environment variables.
        project: the folder of the code, with its `.venv`; this one's own by default.
        as_user: words that run a command as another user, put before each.
    """

    # Further arguments of `up`.
    up_options: tuple[str, ...] = ()

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        *,
        project: Path | None = None,
        as_user: Sequence[str] = (),
    ) -> None:
        self._project = project or PROJECT
        self._python = [*as_user, str(project / ".venv/bin/python") if project else sys.executable]
        web, events, sandbox, flower = free_ports(4)
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{web}"
        self.events_url = f"http://127.0.0.1:{events}"
        self.sandbox_url = f"http://127.0.0.1:{sandbox}"
        self.flower_url = f"http://127.0.0.1:{flower}/admin/flower"
        ports = {"WEB_PORT": web, "EVENTS_PORT": events, "SANDBOX_PORT": sandbox, "FLOWER_PORT": flower}
        self.environment = own_environment(
            data_dir, {name: str(port) for name, port in ports.items()} | dict(settings or {})
        )
        self._up: process_groups.Process | None = None
        self._beside: list[process_groups.Process] = []

    def start(self) -> None:
        """Start the processes; their output goes to data_dir/logs. `wait_until_ready` tells when they are up."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "up.log").open("wb") as log:
            command = [*self._python, "-m", "tools.local.up", "--quiet", *self.up_options]
            self._up = process_groups.spawn(command, self.environment, cwd=self._project, stdout=log)

    def wait_until_ready(self) -> None:
        """Return when /readyz says so. Raises StackFailed when `up` ended, or after START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._up is not None and process_groups.has_ended(self._up):
                raise StackFailed(f"make up ended with {process_groups.collect(self._up)}:\n{self.tail()}")
            with suppress(requests.RequestException):
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            time.sleep(0.2)
        raise StackFailed(f"not ready after {START_SECONDS} s:\n{self.tail()}")

    def stop(self) -> None:
        """Stop every process, those too that an `up` which was killed has left."""
        process_groups.stop(self._beside)
        if self._up is not None:
            process_groups.stop([self._up], STOP_SECONDS)
            processes.end_leftovers(self.data_dir / up.RECORD)
            services.stop_services(self.data_dir)
            cpu_groups.remove_unused(seconds=cpu_groups.KILLED_SECONDS)

    def start_beside(self, process: process_groups.Process) -> None:
        """Let a process that was started with this environment stop with the others, before them."""
        self._beside.append(process)

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run a `manage.py` command beside the running server; returns its output. Raises StackFailed."""
        command = [*self._python, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=self._project, env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackFailed(f"manage.py {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def create_account(self, sid: str, *options: str) -> "Client":
        """Create an account; returns a client that is signed in as it."""
        made = json.loads(self.manage("create_account", sid, "--json", *options))
        return Client(self.url, sid, made["api_key"], made["api_token"])

    def create_trunk(self, name: str, carrier: str) -> None:
        """Create a trunk at the sandbox that is dialled over another carrier's API than Exotel's."""
        access = ["--base-url", self.sandbox_url, "--account-sid", "AC0sandbox", "--api-key", "AC0sandbox"]
        self.manage("create_trunk", name, "--carrier", carrier, *access, stdin="token of the sandbox\n")

    def create_flow(self, sid: str, flow_id: str, document: Mapping[str, Any]) -> None:
        file = self.data_dir / "flow.json"
        file.write_text(json.dumps(document))
        self.manage("create_flow", sid, flow_id, "--file", str(file))

    def script(self, script: Mapping[str, Any]) -> None:
        """Tell the sandbox carrier how callees behave."""
        requests.put(f"{self.sandbox_url}/_sandbox/script", json=script, timeout=60).raise_for_status()

    def rings(self, **filters: str) -> dict[str, Any]:
        """Return the sandbox's ring log."""
        response = requests.get(f"{self.sandbox_url}/_sandbox/rings", params=filters, timeout=60)
        response.raise_for_status()
        return dict(response.json())

    def legs(self) -> list[dict[str, Any]]:
        """Return the other numbers that the sandbox has connected calls to over Twilio's API."""
        response = requests.get(f"{self.sandbox_url}/_sandbox/legs", timeout=60)
        response.raise_for_status()
        return list(response.json()["legs"])

    def tail(self, lines: int = 15) -> str:
        """Return the end of each process's output."""
        logs = [self.data_dir / "up.log", *sorted((self.data_dir / "logs").glob("*.log"))]
        texts = {log.stem: log.read_text(errors="replace").splitlines()[-lines:] for log in logs if log.exists()}
        return "\n".join(f"{name:8} | {line}" for name, last in texts.items() for line in last)


@contextmanager
def running(data_dir: Path, settings: Mapping[str, str] | None = None, kind: type[Stack] = Stack) -> Iterator[Stack]:
    """Run a stack for the length of a `with` block; it is ready at the start."""
    stack = kind(data_dir, settings)
    try:
        stack.start()
        stack.wait_until_ready()
        yield stack
    finally:
        stack.stop()


class Client:
    """An API client of one account."""

    def __init__(self, url: str, sid: str, key: str, token: str) -> None:
        self.sid = sid
        self.base = f"{url}/v2/accounts/{sid}"
        self.session = requests.Session()
        self.session.auth = (key, token)

    def post_campaign(self, campaign: Mapping[str, Any]) -> dict[str, Any]:
        """Create the campaign; returns its `data`. Raises requests.HTTPError with the server's sentence."""
        return self._data(self.session.post(f"{self.base}/campaigns", json={"campaigns": [campaign]}, timeout=60))

    def campaign(self, campaign_id: str) -> dict[str, Any]:
        return self._data(self.session.get(f"{self.base}/campaigns/{campaign_id}", timeout=30))

    def act(self, campaign_id: str, action: str) -> dict[str, Any]:
        """Pause, resume or complete the campaign; returns its `data`."""
        body = {"campaigns": [{"action": action}]}
        return self._data(self.session.put(f"{self.base}/campaigns/{campaign_id}", json=body, timeout=60))

    @staticmethod
    def _data(response: requests.Response) -> dict[str, Any]:
        item = response.json()["response"][0]
        if response.status_code != 200:
            message = f"{response.status_code}: {item['error_data']['description']}"
            raise requests.HTTPError(message, response=response)
        return dict(item["data"])
