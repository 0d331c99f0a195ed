"""The sandbox's own API: the script in, the ring log out."""

import asyncio
import json
from collections.abc import Iterator

from aiohttp import web

from sandbox.leg_log import LegLog
from sandbox.ring_log import Ring, RingFilter, totals_of
from sandbox.script import parse_script
from sandbox.switchboard import Switchboard
from sandbox.validation import ScriptError

# Rings handled before other requests get their turn; a batch takes about ten milliseconds.
BATCH = 2_000


class ControlApi:
    """Handlers of `/_sandbox`. Without authentication: by default the server listens on loopback."""

    def __init__(self, switchboard: Switchboard, leg_log: LegLog) -> None:
        self._switchboard = switchboard
        self._leg_log = leg_log

    def routes(self) -> list[web.RouteDef]:
        return [
            web.put("/_sandbox/script", self.put_script),
            web.get("/_sandbox/script", self.get_script),
            web.get("/_sandbox/rings", self.get_rings),
            web.delete("/_sandbox/rings", self.delete_rings),
            web.get("/_sandbox/legs", self.get_legs),
            web.get("/_sandbox/healthz", self.get_health),
        ]

    async def put_script(self, request: web.Request) -> web.StreamResponse:
        """Replace the whole script. A response of 400 means that nothing has changed."""
        try:
            self._switchboard.script = parse_script(json.loads(await request.read()))
        except ScriptError as error:
            return web.json_response({"error": str(error)}, status=400)
        except (ValueError, RecursionError) as error:
            return web.json_response({"error": f"script: is not JSON: {error}"}, status=400)
        return await self.get_script(request)

    async def get_script(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._switchboard.script.document)

    async def get_rings(self, request: web.Request) -> web.StreamResponse:
        """Respond with the totals and the rings, all of them or those that match the query.

        Rings are streamed in batches. Calls go on meanwhile: a ring that ends during a long response may show its end
        although the totals, which are taken first, count it as live.
        """
        query = request.query
        wanted = RingFilter(query.get("number"), query.get("attempt_id"), query.get("caller_id"))
        with_list = query.get("totals") != "1"
        log = self._switchboard.ring_log
        if wanted.is_empty():
            totals, rings = log.totals.as_json(), log.snapshot() if with_list else []
        else:
            rings = await _matching(log.snapshot(), wanted)
            totals = totals_of(rings).as_json()
        if not with_list:
            return web.json_response({"totals": totals})
        return await _stream(request, totals, rings)

    async def delete_rings(self, request: web.Request) -> web.StreamResponse:
        """Forget finished rings, legs and totals. Live ones stay; finding calls over `/v1` is not affected."""
        self._switchboard.ring_log.forget()
        self._leg_log.forget()
        return web.json_response({"totals": self._switchboard.ring_log.totals.as_json()})

    async def get_legs(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"legs": [leg.as_json() for leg in self._leg_log.snapshot()]})

    async def get_health(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})


async def _matching(rings: list[Ring], wanted: RingFilter) -> list[Ring]:
    found: list[Ring] = []
    for batch in _batches(rings):
        found += filter(wanted.matches, batch)
        await asyncio.sleep(0)
    return found


async def _stream(request: web.Request, totals: dict[str, object], rings: list[Ring]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    text = f'{{"totals": {json.dumps(totals)}, "rings": ['
    separator = ""
    # The first batch is rendered before anything is awaited, so that in a short log rings and totals agree.
    for batch in _batches(rings):
        text += separator + ",".join(json.dumps(ring.as_json()) for ring in batch)
        separator = ","
        if not response.prepared:
            await response.prepare(request)
        await response.write(text.encode())
        text = ""
        await asyncio.sleep(0)
    if not response.prepared:
        await response.prepare(request)
    await response.write_eof(f"{text}]}}".encode())
    return response


def _batches(rings: list[Ring]) -> Iterator[list[Ring]]:
    return (rings[first : first + BATCH] for first in range(0, len(rings), BATCH))
