"""`python -m sandbox --port 8010`."""

import argparse
import asyncio
import os
import signal
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog

from sandbox.hosts import host_name
from sandbox.server import Server

DEFAULT_PORT = "8010"

log = structlog.get_logger()


def main() -> None:
    """Serve until SIGINT or SIGTERM, then end at once and drop live calls."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A stand-in carrier; see sandbox/README.md.")
    port = os.environ.get("SANDBOX_PORT") or DEFAULT_PORT
    parser.add_argument("--port", type=int, default=port, help="default: SANDBOX_PORT, or %(default)s; 0: any free one")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s; there is no access control")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[host_name(urlsplit(os.environ.get("SANDBOX_URL", "")).netloc)],
        metavar="NAME",
        help="a name under which clients reach it, beside loopback, --host and the one in SANDBOX_URL",
    )
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.host, arguments.port, filter(None, arguments.allow_host)))


async def serve(host: str, port: int, hosts: Iterable[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(hosts=hosts)
    listening = await server.start(host, port)
    log.info("sandbox_listening", host=host, port=listening)
    await stop.wait()
    await server.stop()
    log.info("sandbox_stopped")


if __name__ == "__main__":
    main()
