"""The limits of calls over HTTP in Python: the three requests of a call between the same servers, and nothing else.

A client of aiohttp asks a carrier of aiohttp for a call; the carrier tells a gunicorn as the Procfile starts it of the
answer and of the end. Either that reads both and keeps neither, without Django, database and broker; or it is this
system's own web process, which keeps both in the inbox, where nobody takes them out. No flow, no worker.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import django
from aiohttp import web

from tools.bench import servers
from tools.bench.arithmetic import steady_rate
from tools.bench.run import Run
from tools.local.ports import free_ports
from tools.local.project import own_environment, read_procfile, with_services

# As many calls as one batch of a dialer has, over as many connections.
AT_ONCE = 100
PATIENCE_SECONDS = 120
# Of the length of the sandbox's own callbacks.
EVENT = {"CallSid": "0" * 32, "Status": "completed", "Details": "x" * 300}


def application(environ: Mapping[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """What gunicorn serves."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("204 No Content", [])
    return []


def rate(run: Run, calls: int) -> float:
    """Calls a second whose three requests have all been answered, and nothing kept."""
    data_dir = run.folder / "bare-http"
    data_dir.mkdir()
    no_servers = with_services(own_environment(data_dir, servers.SETTINGS), {"REDIS_URL": ""})
    return _rate(no_servers, data_dir, calls, module="tools.bench.bare_http")


def kept_rate(run: Run, calls: int) -> float:
    """The same, and both events kept."""
    data_dir = run.folder / "kept-events"
    with servers.migrated(data_dir) as variables:
        return _rate(variables, data_dir, calls, module="campaigns_project.wsgi")


def _rate(variables: Mapping[str, str], data_dir: Path, calls: int, *, module: str) -> float:
    carrier_port, web_port = free_ports(2)
    # The address for events is made from it, and must be that of no other server.
    variables = {**variables, "WEB_PORT": str(web_port), "PUBLIC_URL": f"http://127.0.0.1:{web_port}"}
    commands = {
        "web": read_procfile()["web"].replace("campaigns_project.wsgi", module),
        "carrier": f"exec {sys.executable} -m tools.bench.bare_http {carrier_port}",
    }
    with servers.started(commands, variables, data_dir):
        return steady_rate(asyncio.run(_place(f"http://127.0.0.1:{carrier_port}", calls)))


async def _place(carrier: str, calls: int) -> list[tuple[float, float]]:
    """(seconds, calls that are over so far)."""
    done: list[tuple[float, float]] = []
    free = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as session:
        await _until_ready(session, carrier)

        async def place() -> None:
            async with free, session.post(carrier, data={"From": "+919810000000", "Url": "x" * 100}) as answer:
                await answer.json()

        await asyncio.gather(*(_noted(place(), done) for _ in range(calls)))
    return done


async def _noted(call: Any, done: list[tuple[float, float]]) -> None:
    await call
    done.append((time.monotonic(), float(len(done) + 1)))


async def _until_ready(session: aiohttp.ClientSession, carrier: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            async with session.post(carrier) as answer:
                answer.raise_for_status()
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the bare servers do not answer")


def _carrier(events_url: str) -> web.Application:
    """Answers a call when both its events have been taken: then the rate is that of whole calls."""
    app = web.Application()

    async def take_call(request: web.Request) -> web.Response:
        await request.post()
        for _ in ("answered", "terminal"):
            async with app["session"].post(events_url, json=EVENT) as answer:
                answer.raise_for_status()
        return web.json_response({"Call": {"Sid": "0" * 32, "Status": "in-progress"}})

    async def begin(app: web.Application) -> None:
        app["session"] = aiohttp.ClientSession()

    app.on_startup.append(begin)
    app.router.add_post("/", take_call)
    return app


def main(port: int) -> None:
    """The carrier, with the address for events that this system would give it."""
    django.setup()
    from dialer import links

    web.run_app(_carrier(links.events_url("sandbox", uuid4())), host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
