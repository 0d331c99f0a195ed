"""The limits of calls over HTTP in Python: the three requests of a call between the same servers, nothing else.

An aiohttp client asks an aiohttp carrier for a call; the carrier reports the answer and the end to a server of events.
That is an aiohttp server that reads both events and stores neither, without Django, database and broker; or it is this
system's own events process, which stores both in the inbox, where no worker applies them. No flow is read.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
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

# Calls at once, over as many connections: as many as in one batch of a dialer.
AT_ONCE = 100
PATIENCE_SECONDS = 120
KINDS = ("json", "form")
# As long as the sandbox's own callbacks.
EVENT = {"CallSid": "0" * 32, "Status": "completed", "Details": "x" * 300}

Rate = Callable[[int], float]
"""Makes so many calls; returns how many a second."""


def rate(run: Run, calls: int) -> float:
    """Return calls a second whose three requests are all done, with nothing stored."""
    data_dir = run.own_folder("bare-http")
    no_servers = with_services(own_environment(data_dir, servers.SETTINGS), {"REDIS_URL": ""})
    server = f"exec {sys.executable} -m tools.bench.bare_http events $EVENTS_PORT"
    with _started(no_servers, data_dir, server) as carriers:
        return carriers["json"](calls)


@contextmanager
def storing(run: Run) -> Iterator[Mapping[str, Rate]]:
    """Yield what measures the same with events stored: `json`, two of them, or `form`, one at the end.

    The form is multipart, as the events of Exotel's flows are.
    """
    data_dir = run.own_folder("stored-events")
    with (
        servers.migrated(data_dir) as variables,
        _started(variables, data_dir, read_procfile()["events"]) as carriers,
    ):
        yield carriers


@contextmanager
def _started(variables: Mapping[str, str], data_dir: Path, server: str) -> Iterator[Mapping[str, Rate]]:
    events_port, *carrier_ports = free_ports(1 + len(KINDS))
    events = {"EVENTS_PORT": str(events_port), "EVENTS_URL": f"http://127.0.0.1:{events_port}"}
    ports = dict(zip(KINDS, carrier_ports, strict=True))
    carriers = {kind: f"exec {sys.executable} -m tools.bench.bare_http {kind} {port}" for kind, port in ports.items()}
    with servers.started({"events": server} | carriers, {**variables, **events}, data_dir):
        yield {kind: partial(_rate, f"http://127.0.0.1:{port}") for kind, port in ports.items()}


def _rate(carrier: str, calls: int) -> float:
    return steady_rate(asyncio.run(_place(carrier, calls)))


async def _place(carrier: str, calls: int) -> list[tuple[float, float]]:
    """Return (seconds, calls that are over so far)."""
    done: list[tuple[float, float]] = []
    free = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as session:
        await _until_ready(session, carrier)

        async def place() -> None:
            async with free, session.post(carrier, data={"From": "+919810000000", "Url": "x" * 100}) as response:
                await response.json()

        await asyncio.gather(*(_recorded(place(), done) for _ in range(calls)))
    return done


async def _recorded(call: Any, done: list[tuple[float, float]]) -> None:
    await call
    done.append((time.monotonic(), float(len(done) + 1)))


async def _until_ready(session: aiohttp.ClientSession, carrier: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            async with session.post(carrier) as response:
                response.raise_for_status()
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the bare servers do not respond")


def _carrier(events_url: str, *, as_form: bool) -> web.Application:
    """Respond to a call when its events have been accepted, so that the rate is that of whole calls."""
    app = web.Application()

    async def take_call(request: web.Request) -> web.Response:
        await request.post()
        for _ in ("terminal",) if as_form else ("answered", "terminal"):
            async with app["session"].post(events_url, **_event(as_form=as_form)) as response:
                response.raise_for_status()
        return web.json_response({"Call": {"Sid": "0" * 32, "Status": "in-progress"}})

    async def begin(app: web.Application) -> None:
        app["session"] = aiohttp.ClientSession()

    app.on_startup.append(begin)
    app.router.add_post("/", take_call)
    return app


def _event(*, as_form: bool) -> dict[str, Any]:
    if not as_form:
        return {"json": EVENT}
    writer = aiohttp.MultipartWriter("form-data")
    for name, text in EVENT.items():
        writer.append(text).set_content_disposition("form-data", name=name)
    return {"data": writer}


def _events() -> web.Application:
    app = web.Application()

    async def take_event(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    app.router.add_post("/{any:.*}", take_event)
    return app


def main(kind: str, port: int) -> None:
    """Run the server of bare events, or the carrier, with the address for events that this system would give it."""
    if kind == "events":
        app = _events()
    else:
        django.setup()
        from dialer import links

        app = _carrier(links.events_url("sandbox", uuid4()), as_form=kind == "form")
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
