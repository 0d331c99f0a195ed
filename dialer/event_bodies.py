"""Bodies of requests over aiohttp, within limits: of bytes and seconds each, and of the bytes of all together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from django.conf import settings

# How long a body may take, in seconds. Events have a few hundred bytes.
BODY_SECONDS = 10.0
# Bytes of all bodies that are held at once.
MOST_BYTES = 64 * 1024 * 1024


class Refused(Exception):
    """A request that is refused, with the response's status, sentence and headers of its own."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


def send_again(text: str) -> Refused:
    """Return the refusal of a request that may succeed a second later."""
    return Refused(503, f"{text}: send the event again\n", {"Retry-After": "1"})


class Bodies:
    """Reads bodies, in one event loop."""

    def __init__(self) -> None:
        self._held = 0
        self._seconds = BODY_SECONDS
        self._being_read: set[asyncio.Timeout] = set()

    def hurry(self, seconds: float) -> None:
        """Let no body take longer than this from now on."""
        self._seconds = seconds
        latest = asyncio.get_running_loop().time() + seconds
        for deadline in self._being_read:
            if not deadline.expired():
                deadline.reschedule(min(latest, deadline.when() or latest))

    @asynccontextmanager
    async def of(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """Return the body, which counts as held until the end of the `with` block. Raises Refused."""
        body = bytearray()
        try:
            await self._read_in_time(request, body)
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _read_in_time(self, request: web.BaseRequest, body: bytearray) -> None:
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                self._being_read.add(deadline)
                try:
                    await self._read(request, body)
                finally:
                    self._being_read.discard(deadline)
        except TimeoutError:
            raise Refused(408, "the body took too long: send the event again\n") from None
        except web.RequestPayloadError:
            raise Refused(400, "the body can't be read to its end: send the event again\n") from None

    async def _read(self, request: web.BaseRequest, body: bytearray) -> None:
        require_bounded(request.content_length or 0)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # or aiohttp takes the response for begun
        while piece := await request.content.readany():
            body += piece
            self._held += len(piece)
            require_bounded(len(body))
            if self._held > MOST_BYTES:
                raise send_again("there are too many events at once")


def require_bounded(length: int) -> None:
    """Raise Refused for a body of more than MAX_REQUEST_BYTES."""
    if length > settings.MAX_REQUEST_BYTES:
        raise Refused(413, f"the body is larger than {settings.MAX_REQUEST_BYTES:,} bytes\n")
