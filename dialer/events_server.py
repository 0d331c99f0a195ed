"""The server of carriers' events: HTTP on one event loop, in front of `event_batches`.

A carrier is told 204 when its event is committed, and 503 when it is not: then it should send the event again. Requests
are judged before their bodies are read, so only somebody with the address of an attempt can make this process hold one.
A client that is slow costs a connection, never a thread, and connections are limited.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from django.conf import settings
from django.db import connection
from django.http.request import split_domain_port, validate_host

from core.client_address import address_of
from dialer import carrier_events, event_signatures
from dialer.carriers.base import Received
from dialer.event_batches import EventBatches, NotStored
from dialer.event_bodies import Bodies, Refused, require_bounded, send_again
from dialer.inbox import Incoming

log = structlog.get_logger(__name__)

# How long a connection may be idle, and how long it may take to send its first headers, in seconds. Longer than proxies
# keep theirs, as a rule: a server that closes first may do so while a request is on its way.
IDLE_SECONDS = 75.0
# How long the rest of a body is read and discarded after a refusal, so that the client reads the response.
LINGERING_SECONDS = 5.0
# Below the usual limit of open files, 1,024. A carrier needs as many as it has requests under way.
MOST_CONNECTIONS = 800
BACKLOG = 1024
# At a stop, how long bodies that are half sent, and all requests under way, may take to end, in seconds. Supervisors
# kill after ten.
LAST_BODY_SECONDS = 1.0
DRAIN_SECONDS = 7.0

_http_log = logging.getLogger(f"{__name__}.http")


def _shorten(record: logging.LogRecord) -> bool:
    """Log what is not HTTP in one line at the level of a warning: anybody may send it."""
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args = f"{record.getMessage()}: {type(record.exc_info[1]).__name__}", ()
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
    return True


_http_log.addFilter(_shorten)

PROBES = ("/healthz", "/readyz")
# Seconds between two questions to the database whether it is there, for /readyz.
ASKED_EVERY = 1.0

_EVENT = re.compile(r"/carrier-events/([^/]+)/([0-9a-f]{32})")


class EventsServer:
    """Responds to carriers. `start` and `stop` run in one event loop."""

    def __init__(self, events: EventBatches) -> None:
        self._events = events
        self._bodies = Bodies()
        self._under_way = 0
        self._is_stopping = False
        self._asked_at = float("-inf")
        self._is_database_there = False

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which matters where the given one is 0 (any free one)."""
        self._server = _BoundedServer(
            self._respond,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            max_headers=60,
            access_log=None,
            logger=_http_log,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.5)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, host, port, backlog=BACKLOG)
        await self._site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Accept no more connections, let the requests under way end, and close the rest."""
        self._is_stopping = True
        await self._site.stop()
        self._bodies.hurry(LAST_BODY_SECONDS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        while self._under_way and loop.time() < deadline:
            await asyncio.sleep(0.02)
        await self._runner.cleanup()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self._under_way += 1
        try:
            response = await self._take(request)
        except Refused as refused:
            log.warning("event_refused", status=refused.status, reason=refused.text.strip(), **_named(request))
            response = web.Response(status=refused.status, text=refused.text, headers=refused.headers)
        except ConnectionError:
            raise  # the client has gone
        except Exception:
            log.exception("event_not_stored", **_named(request))
            response = web.Response(status=500, text="the event could not be stored\n")
        finally:
            self._under_way -= 1
        if self._is_stopping:
            response.force_close()
        return response

    async def _take(self, request: web.BaseRequest) -> web.Response:
        """Judge the request before its body is read. Raises Refused."""
        require_bounded(request.content_length or 0)
        path = path_below(request.path)
        if path in PROBES:
            return await self._respond_to_probe(path)
        _require_host(request)
        carrier, attempt_id = _addressee(request, path)
        async with self._bodies.of(request) as body:
            payload = carrier_events.read(request.headers.get("Content-Type", ""), body)
            if payload is None:
                raise Refused(400, carrier_events.NOT_READABLE)
            with self._server.keeping(request.protocol):
                try:
                    await self._require_signature(request, carrier, body)
                    await self._events.put(Incoming(carrier, attempt_id, payload))
                except NotStored:
                    raise send_again("the event was not stored in time") from None
        return web.Response(status=204)

    async def _respond_to_probe(self, path: str) -> web.Response:
        """Respond to any host, and without TLS: a load balancer asks by the address of a machine or a pod."""
        if path == "/healthz":
            return web.json_response({"status": "up"})
        if (now := asyncio.get_running_loop().time()) - self._asked_at >= ASKED_EVERY:
            # Others who ask meanwhile get the last answer: nobody can fill the thread that stores events with this.
            self._asked_at = now
            try:
                self._is_database_there = await self._events.ask(_takes_writes)
            except NotStored:
                self._is_database_there = False
        is_ready = self._is_database_there and not self._is_stopping
        body = {
            "status": "ready" if is_ready else "not ready",
            "database": "ok" if self._is_database_there else "not ok",
        }
        return web.json_response(body, status=200 if is_ready else 503)

    async def _require_signature(self, request: web.BaseRequest, carrier: str, body: bytes) -> None:
        """Raise Refused for an event without the signature that its carrier gives it."""
        if not event_signatures.is_checked(carrier):
            return
        url = f"{settings.EVENTS_URL}{path_below(request.raw_path)}"
        received = Received(url, request.headers, request.headers.get("Content-Type", ""), body)
        if not await self._events.ask(lambda: event_signatures.is_right(carrier, received)):
            raise Refused(403, carrier_events.NOT_SIGNED)


def path_below(path: str) -> str:
    """Return a path without the prefix that EVENTS_URL may have, whether or not the proxy has removed it."""
    prefix = urlsplit(settings.EVENTS_URL).path
    return path.removeprefix(prefix) if prefix and path.startswith(f"{prefix}/") else path


def _takes_writes() -> bool:
    """Ask whether the database takes what this process stores. In the thread that may ask."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT pg_is_in_recovery()")
        [[takes_writes]] = cursor.fetchall()
    return bool(takes_writes)


def _require_host(request: web.BaseRequest) -> None:
    """Refuse what web refuses: a request for another host, and one without TLS where carriers are given https://."""
    host = request.headers.get("Host", "")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        raise Refused(400, "this server is not that host\n")
    is_https = settings.BEHIND_TLS_PROXY and request.headers.get("X-Forwarded-Proto", "").partition(",")[0] == "https"
    if settings.EVENTS_URL.startswith("https://") and not is_https:
        raise Refused(301, "", {"Location": f"https://{host}{request.raw_path}"})


def _addressee(request: web.BaseRequest, path: str) -> tuple[str, UUID]:
    """Return the carrier and the attempt that the address names. Raises Refused."""
    address = _EVENT.fullmatch(path)
    if address is None:
        raise Refused(404, carrier_events.NO_SUCH_ADDRESS)
    if request.method != "POST":
        raise Refused(405, "events are sent by POST\n", {"Allow": "POST"})
    carrier, attempt_id = address[1], UUID(address[2])
    if not carrier_events.may_send(carrier, attempt_id, request.query.get("token", "")):
        raise Refused(403, carrier_events.NO_SUCH_ADDRESS)
    return carrier, attempt_id


def _named(request: web.BaseRequest) -> dict[str, Any]:
    """Return what the log says of a request: nothing of its query, which holds the token."""
    ip = address_of(request.headers.get("X-Forwarded-For", ""), request.remote or "")
    return {"request": f"{request.method} {request.path}", "ip": ip, "content_type": request.content_type}


class _BoundedServer(web.Server):
    """Keeps at most MOST_CONNECTIONS: a new one takes the place of the oldest that waits for no commit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._open: dict[RequestHandler, None] = {}
        self._kept: set[RequestHandler] = set()

    @contextmanager
    def keeping(self, connection: RequestHandler) -> Iterator[None]:
        """Keep the connection for the length of the `with` block."""
        self._kept.add(connection)
        try:
            yield
        finally:
            self._kept.discard(connection)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._open) >= MOST_CONNECTIONS:
            oldest = next((connection for connection in self._open if connection not in self._kept), handler)
            self._open.pop(oldest, None)
            oldest.force_close()
        self._open[handler] = None

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)
