"""The server: builds the parts of a sandbox and listens."""

from collections.abc import Iterable

import aiohttp
from aiohttp import web

from sandbox.callbacks import RETRY_WAITS, CallbackSender
from sandbox.control_api import ControlApi
from sandbox.exotel_api import ExotelApi
from sandbox.flow_cache import FlowCache
from sandbox.hosts import LOOPBACK, only_for
from sandbox.switchboard import Switchboard
from sandbox.twilio_api import TwilioApi
from sandbox.twiml_runner import TwimlRunner

MAX_BODY_BYTES = 256 * 1024 * 1024  # a script may name a million numbers
BACKLOG = 2048  # connections waiting to be accepted: clients dial a thousand calls a second
SHUTDOWN_SECONDS = 0.1  # for requests under way; those that hang on purpose would delay the exit


class Server:
    """One sandbox. `start` and `stop` must run on the same event loop.

    Args:
        hosts: names under which clients reach it, beside those of the loopback.
    """

    def __init__(self, retry_waits: tuple[float, ...] = RETRY_WAITS, hosts: Iterable[str] = ()) -> None:
        self._retry_waits = retry_waits
        self._hosts = LOOPBACK.union(hosts)

    async def start(self, host: str, port: int) -> int:
        """Listen. Return the port, which matters when the given one is 0 (any free port)."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._callbacks = CallbackSender(self._session, self._retry_waits)
        twiml = TwimlRunner(self._session)
        self._switchboard = Switchboard(FlowCache(self._session), twiml, self._callbacks)
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[only_for({*self._hosts, host})])
        app.add_routes(ExotelApi(self._switchboard).routes())
        app.add_routes(TwilioApi(self._switchboard).routes())
        app.add_routes(ControlApi(self._switchboard, twiml.leg_log).routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=BACKLOG).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Drop live calls and undelivered callbacks, and close everything at once."""
        self._switchboard.close()
        self._callbacks.close()
        await self._runner.cleanup()
        await self._session.close()
