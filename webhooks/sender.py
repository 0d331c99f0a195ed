"""Send one webhook: signed JSON by HTTP POST, to public addresses only."""

import json
import os
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

import aiohttp
import structlog
from django.conf import settings
from standardwebhooks import Webhook as Signature

from core import clocks, http_loop
from core.encryption import UnreadableSecret
from webhooks import addresses, names
from webhooks.addresses import PrivateAddress, UnusableAddress
from webhooks.models import WebhookDelivery
from webhooks.tries import Result

log = structlog.get_logger(__name__)

# Bytes of a response that are stored with its try.
RESPONSE_BYTES = 1024

# What a receiver has for the first try of a webhook, in seconds, and for how long its last silence counts.
FIRST_TRY_SECONDS = 3.0
SILENCE_COUNTS_FOR = 60.0
# When a receiver was last silent, by the monotonic clock; as far as this process knows, the longest ago first.
_silent_at: dict[UUID, float] = {}

# By process id: a session belongs to the loop of its process.
_sessions: dict[int, aiohttp.ClientSession] = {}


async def send(delivery: WebhookDelivery) -> Result:
    """Try once to deliver a webhook, whose account is loaded. Never raises: every failure is a result."""
    at, started = clocks.last_known_now(), time.monotonic()
    names.account_id.set(delivery.account_id)
    limit = _time_limit(delivery, started)
    status, error, response, retry_after = None, "", "", None
    try:
        status, response, retry_after = await _post(delivery, at, limit)
        error = _refusal(status)
        _silent_at.pop(delivery.receiver, None)
    except TimeoutError:
        error = f"no answer within {limit:g} s"
        _silent_at.pop(delivery.receiver, None)
        _silent_at[delivery.receiver] = time.monotonic()
    except aiohttp.ClientConnectorError as failure:
        error = _why_no_connection(failure)
    except (aiohttp.InvalidURL, UnusableAddress):
        error = "this address can't be used"
    except (aiohttp.ClientError, OSError) as failure:
        error = f"no answer: {_without_address(failure)}"
    except UnreadableSecret as failure:
        error = f"the account's webhook secret can't be read: {failure}"
    except Exception as failure:
        # One that can't be sent must not hold up the others, nor be claimed every half minute for ever.
        log.exception("webhook_not_sent", webhook=delivery.webhook_id.hex)
        error = f"it could not be sent: {type(failure).__name__}"
    seconds = time.monotonic() - started
    return Result(at, seconds, status, error.replace("\0", ""), response, retry_after)


def _time_limit(delivery: WebhookDelivery, now: float) -> float:
    """Return the seconds that the receiver has: few for the first try of a webhook while it has been silent lately.

    So a receiver that never responds keeps few of its account's places. A slow one has all of its time in later tries.
    """
    for receiver, at in list(_silent_at.items()):
        if now - at < SILENCE_COUNTS_FOR:
            break
        del _silent_at[receiver]
    is_short = delivery.tries == 1 and delivery.receiver in _silent_at
    return min(FIRST_TRY_SECONDS, settings.WEBHOOK_TIMEOUT_SECONDS) if is_short else settings.WEBHOOK_TIMEOUT_SECONDS


async def _post(delivery: WebhookDelivery, at: datetime, limit: float) -> tuple[int, str, float | None]:
    """Return the status, the beginning of the response, and the seconds that it asks to wait."""
    body = json.dumps(delivery.payload, ensure_ascii=False, separators=(",", ":"))
    headers = _signed(delivery, body, at) | {"Content-Type": "application/json", "User-Agent": "Trunkline-Webhooks"}
    timeout = aiohttp.ClientTimeout(total=limit)
    # No redirects: nobody has checked where one leads, and a payload holds phone numbers.
    url = addresses.request_url(delivery.url)
    request = _session().post(url, data=body.encode(), headers=headers, timeout=timeout, allow_redirects=False)
    async with request as response:
        beginning = await response.content.read(RESPONSE_BYTES)
        retry_after = _seconds_until(response.headers.get("Retry-After", ""), at)
        return response.status, beginning.decode(errors="replace").replace("\0", ""), retry_after


def _seconds_until(retry_after: str, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or an HTTP date; None for anything else."""
    if retry_after.isascii() and retry_after.strip().isdigit():
        return float(retry_after.strip()[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def _signed(delivery: WebhookDelivery, body: str, at: datetime) -> dict[str, str]:
    """Return the three headers of Standard Webhooks. Raises UnreadableSecret."""
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


def _without_address(error: Exception) -> str:
    """Return what happened without the address that many of these errors print: it may hold the receiver's key."""
    message = str(getattr(error, "message", "") or getattr(error, "strerror", "") or type(error).__name__)
    return message.splitlines()[0]


def _session() -> aiohttp.ClientSession:
    """Return the one session of this process, so that connections are used again. Call it in the HTTP loop."""
    process = os.getpid()
    if process not in _sessions:
        _sessions[process] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=addresses.open_socket, resolver=names.Resolver()),
            # Tenants share the session: a cookie of one receiver must not be sent to another.
            cookie_jar=aiohttp.DummyCookieJar(),
            # A response is only read for the log: a small compressed one must not become a large one.
            auto_decompress=False,
        )
        http_loop.close_at_exit(_sessions[process].close)
    return _sessions[process]
