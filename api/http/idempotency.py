"""`Idempotency-Key`: a request that is sent twice is done once, and both get the first answer, for 24 hours.

The claim, the work and the answer are one transaction: a crash leaves none of them. The key's row is the lock as well,
as PostgreSQL lets a second insert of the same key wait until the first has committed, and then answer, or has rolled
back, and then take its place.

Only good answers are remembered. A refused request has done nothing, so it may be corrected and sent again under its
key; Stripe, whose header this is, does the same with requests that fail validation.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import LockNotAvailable
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api.http.parsers import take_chunked_body
from api.models import IdempotentRequest

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY_LENGTH = 255
KEPT = timedelta(hours=24)
# How long a second request waits for the first. The largest create takes about two seconds; gunicorn ends a request
# after sixty.
WAIT_SECONDS = 10.0
PURGE_BATCH = 1000

Handler = Callable[..., Response]


class StillRunning(APIException):
    status_code = 409
    default_detail = f"the first request with this {HEADER} is still running: send it again in a few seconds"


class AnotherRequest(APIException):
    status_code = 422
    default_detail = f"this {HEADER} was used for another request within the last 24 hours: use a new key"


def idempotent(handler: Handler) -> Handler:
    """Makes a handler of an AccountView heed the header. Its request has a JSON body; without the header, no change."""

    @wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = _key(request)
        if key is None:
            return handler(view, request, *args, **kwargs)
        digest = _digest(request)  # reads the body, which may take its time, before anything is locked
        now = timezone.now()
        with transaction.atomic():
            if not _claim(view.account.pk, key, digest, now):
                return _first_answer(view.account.pk, key, digest)
            response = handler(view, request, *args, **kwargs)
            _remember(view.account.pk, key, response)
        return response

    return once


def purge(now: datetime) -> int:
    """Deletes a batch of answers that are no longer replayed; answers how many."""
    # An hour later than they expire: a second request that has just found its key taken can still read the row.
    old = IdempotentRequest.objects.filter(created_at__lt=now - KEPT - timedelta(hours=1)).order_by("created_at")
    return IdempotentRequest.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PURGE_BATCH])).delete()[0]


def _key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise ValidationError(f"{HEADER} must be 1 to {MAX_KEY_LENGTH} printable ASCII characters, such as a UUID")
    return key


def _digest(request: Request) -> str:
    """Of what is asked for. Two bodies that mean the same are the same, in whatever order a program wrote the keys."""
    take_chunked_body(request._request)
    asked = [request.method, request.path, request.data]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


# Takes a free key, or one whose answer has expired. While another transaction holds the key, it waits for its end.
_CLAIM = """
    INSERT INTO api_idempotentrequest AS held (account_id, key, request_digest, created_at)
    VALUES (%(account)s, %(key)s, %(digest)s, %(now)s)
    ON CONFLICT (account_id, key) DO UPDATE
       SET request_digest = excluded.request_digest, created_at = excluded.created_at, status = NULL, answer = NULL
     WHERE held.created_at <= %(expired)s
    RETURNING id
"""


def _claim(account_id: int, key: str, digest: str, now: datetime) -> bool:
    """False where an answer is there already. Raises StillRunning after WAIT_SECONDS."""
    values: dict[str, Any] = {"account": account_id, "key": key, "digest": digest, "now": now, "expired": now - KEPT}
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{WAIT_SECONDS * 1000:.0f}ms"])
        try:
            cursor.execute(_CLAIM, values)
        except OperationalError as error:
            if isinstance(error.__cause__, LockNotAvailable):
                raise StillRunning from error
            raise
        return cursor.fetchone() is not None


def _first_answer(account_id: int, key: str, digest: str) -> Response:
    first = IdempotentRequest.objects.get(account_id=account_id, key=key)
    if first.request_digest != digest:
        raise AnotherRequest
    return Response(json.loads(first.answer or ""), status=first.status, headers={REPLAYED: "true"})


def _remember(account_id: int, key: str, response: Response) -> None:
    claimed = IdempotentRequest.objects.filter(account_id=account_id, key=key)
    if response.status_code >= 400:
        claimed.delete()
    else:
        claimed.update(status=response.status_code, answer=JSONRenderer().render(response.data).decode())
