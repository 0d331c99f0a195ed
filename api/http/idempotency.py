"""`Idempotency-Key`: a request that is sent twice is done once, and both get the first response, for 24 hours.

The claim of the key, the work and the stored response are one transaction: a crash leaves none of them. The key's row
is also the lock: PostgreSQL lets a second insert of the same key wait for the first transaction. If that one commits,
its response is sent again; if it rolls back, the second request takes its place.

Only successful responses are stored. A refused request has changed nothing, so it may be corrected and sent again with
its key. Stripe's API, which the header is from, does the same with requests that fail validation.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api.http.old_responses import LIFETIME
from api.http.parsers import take_chunked_body
from api.models import IdempotentRequest
from core import clocks

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY_LENGTH = 255
# How long a second request waits for the first. The largest create takes about two seconds; gunicorn ends a
# request after sixty.
WAIT_SECONDS = 10.0

Handler = Callable[..., Response]


class StillRunning(APIException):
    status_code = 409
    default_detail = f"the first request with this {HEADER} is still running: send it again in a few seconds"


class AnotherRequest(APIException):
    status_code = 422
    default_detail = f"this {HEADER} was used for another request within the last 24 hours: use a new key"


def idempotent(handler: Handler) -> Handler:
    """Decorate a method of an AccountView, whose request has a JSON body, so that it obeys the header."""

    @wraps(handler)
    def handled(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = _key(request)
        if key is None:
            return handler(view, request, *args, **kwargs)
        digest = _digest(request)  # reads the body, which may take long, before anything is locked
        return once(view.account.pk, key, digest, lambda: handler(view, request, *args, **kwargs))

    return handled


def once(account_id: int, key: str, digest: str, work: Callable[[], Response]) -> Response:
    """Do the work of a request and store its response, or return the first response to the key.

    Args:
        digest: of the request, which another one with the same key does not have.
        work: all in one transaction with the claim of the key.

    Raises:
        StillRunning: the first request is at work.
        AnotherRequest: the key was used for another one.
    """
    now = clocks.now()
    with transaction.atomic():
        if not _claim(account_id, key, digest, now):
            return _first_response(account_id, key, digest)
        response = work()
        _store(account_id, key, response)
    return response


def _key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise ValidationError(f"{HEADER} must be 1 to {MAX_KEY_LENGTH} printable ASCII characters, such as a UUID")
    return key


def _digest(request: Request) -> str:
    """Return a digest of the method, the address and the body. The order of the body's keys makes no difference."""
    take_chunked_body(request._request)
    parts = [request.method, request.path, request.data]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


# Takes a free key, or one whose response has expired. Waits while another transaction holds the key.
_CLAIM = """
    INSERT INTO api_idempotentrequest AS held (account_id, key, request_digest, created_at)
    VALUES (%(account)s, %(key)s, %(digest)s, %(now)s)
    ON CONFLICT (account_id, key) DO UPDATE
       SET request_digest = excluded.request_digest, created_at = excluded.created_at, status = NULL, response = NULL
     WHERE held.created_at <= %(expired)s
    RETURNING id
"""


def _claim(account_id: int, key: str, digest: str, now: datetime) -> bool:
    """Claim the key. Returns False if it has a response already. Raises StillRunning after WAIT_SECONDS."""
    values: dict[str, Any] = {
        "account": account_id,
        "key": key,
        "digest": digest,
        "now": now,
        "expired": now - LIFETIME,
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{WAIT_SECONDS * 1000:.0f}ms"])
        try:
            cursor.execute(_CLAIM, values)
        except OperationalError as error:
            if isinstance(error.__cause__, LockNotAvailable):
                raise StillRunning from error
            raise
        return cursor.fetchone() is not None


def _first_response(account_id: int, key: str, digest: str) -> Response:
    first = IdempotentRequest.objects.get(account_id=account_id, key=key)
    if first.request_digest != digest:
        raise AnotherRequest
    return Response(json.loads(first.response or ""), status=first.status, headers={REPLAYED: "true"})


def _store(account_id: int, key: str, response: Response) -> None:
    claimed = IdempotentRequest.objects.filter(account_id=account_id, key=key)
    if response.status_code >= 400:
        claimed.delete()
    else:
        claimed.update(status=response.status_code, response=JSONRenderer().render(response.data).decode())
