"""Sending webhooks: signed JSON by HTTP POST, many at once, one at a time in each queue."""

import json
import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import datetime
from uuid import UUID

import aiohttp
import structlog
from django.conf import settings
from django.utils import timezone
from standardwebhooks import Webhook as Signature

from core import http_loop
from core.encryption import UnreadableSecret
from webhooks import addresses, outbox
from webhooks.addresses import PrivateAddress
from webhooks.models import WebhookDelivery
from webhooks.outbox import Answer

log = structlog.get_logger(__name__)

# Webhooks that one task has on their way. A slow receiver takes one of these places, not a thread.
AT_ONCE = 50
# A task takes up new ones for so long, in seconds, and then only waits for those on their way: a worker that is told to
# stop waits for its tasks.
WORK_SECONDS = 5
# How often it looks for what has become due meanwhile, in seconds: as beat ticks.
LOOK_SECONDS = 1
# So much of an answer is kept in the log, in bytes.
RESPONSE_BYTES = 1024

# By process, as the loop that they live in.
_sessions: dict[int, aiohttp.ClientSession] = {}


def deliver_due() -> bool:
    """Delivers what is due, the next of a queue as soon as the one before it is taken; True where more may be."""
    until, look_at = time.monotonic() + WORK_SECONDS, 0.0
    on_the_way: dict[Future[Answer], WebhookDelivery] = {}
    just_done: list[UUID] = []
    while (is_early := time.monotonic() < until) or on_the_way:
        if is_early and just_done:
            _send(outbox.claim(AT_ONCE - len(on_the_way), timezone.now(), just_done), on_the_way)
        # Looking through all queues takes the longer the more there are, so not for every one that is done.
        if is_early and (len(on_the_way) <= AT_ONCE // 2 or time.monotonic() >= look_at):
            _send(outbox.claim(AT_ONCE - len(on_the_way), timezone.now()), on_the_way)
            look_at = time.monotonic() + LOOK_SECONDS
        if not on_the_way:
            return False
        done, _ = wait(on_the_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        just_done = [on_the_way[each].queue for each in done]
        for each in done:
            outbox.note(on_the_way.pop(each), each.result(), timezone.now())
    return True


def _send(deliveries: list[WebhookDelivery], on_the_way: "dict[Future[Answer], WebhookDelivery]") -> None:
    on_the_way |= {http_loop.submit(post(delivery)): delivery for delivery in deliveries}


async def post(delivery: WebhookDelivery) -> Answer:
    """One try. delivery: with its account loaded. Whatever goes wrong is an answer too."""
    at, begun = timezone.now(), time.monotonic()
    status, error, response = None, "", ""
    try:
        status, response = await _ask(delivery, at)
        error = _refusal(status)
    except TimeoutError:
        error = f"no answer within {settings.WEBHOOK_TIMEOUT_SECONDS:g} s"
    except aiohttp.ClientConnectorError as failure:
        error = _why_no_connection(failure)
    except aiohttp.InvalidURL:
        error = "this address can't be used"
    except (aiohttp.ClientError, OSError) as failure:
        error = f"no answer: {_named(failure)}"
    except UnreadableSecret as failure:
        error = f"the account's webhook secret can't be read: {failure}"
    except Exception as fault:
        # One that can't be sent must not hold up the others, nor come back every half minute for ever.
        log.exception("webhook_broke", webhook=delivery.webhook_id.hex)
        error = f"it could not be sent: {type(fault).__name__}"
    return Answer(at, time.monotonic() - begun, status, error.replace("\0", ""), response)


async def _ask(delivery: WebhookDelivery, at: datetime) -> tuple[int, str]:
    """The receiver's status and the beginning of its answer."""
    body = json.dumps(delivery.payload, ensure_ascii=False, separators=(",", ":"))
    headers = signed(delivery, body, at) | {"Content-Type": "application/json", "User-Agent": "Trunkline-Webhooks"}
    timeout = aiohttp.ClientTimeout(total=settings.WEBHOOK_TIMEOUT_SECONDS)
    # No redirects: where one leads was not checked, and a payload with phone numbers is not for whoever it names.
    request = _session().post(delivery.url, data=body.encode(), headers=headers, timeout=timeout, allow_redirects=False)
    async with request as answer:
        beginning = await answer.content.read(RESPONSE_BYTES)
        return answer.status, beginning.decode(errors="replace").replace("\0", "")


def signed(delivery: WebhookDelivery, body: str, at: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks. Raises UnreadableSecret."""
    webhook_id = delivery.webhook_id.hex
    signature = Signature(delivery.account.webhook_secret.reveal()).sign(webhook_id, at, body)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def _refusal(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return f"answered {status}; redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _why_no_connection(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    return f"refused: {cause}" if isinstance(cause, PrivateAddress) else f"can't connect: {cause.strerror or cause}"


def _named(error: Exception) -> str:
    """What happened, without the address that many of these errors print: it may hold a key of the receiver's."""
    message = str(getattr(error, "message", "") or getattr(error, "strerror", "") or type(error).__name__)
    return message.splitlines()[0]


def _session() -> aiohttp.ClientSession:
    """One for all webhooks of a process, so that a receiver's connection is used again. Called in the loop."""
    process = os.getpid()
    if process not in _sessions:
        _sessions[process] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=addresses.open_socket),
            # Tenants share it: a cookie of one receiver must not be sent to another.
            cookie_jar=aiohttp.DummyCookieJar(),
            # An answer is only read for the log: a small one must not become a large one.
            auto_decompress=False,
        )
        http_loop.close_at_exit(_sessions[process].close)
    return _sessions[process]
