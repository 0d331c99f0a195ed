"""The limit of requests from one account in any minute."""

import math
from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from api.http.rate_limits import Reading, TooManyRequests, meter

if TYPE_CHECKING:
    from api.http.authentication import Caller


class AccountThrottle(BaseThrottle):
    """Admit `requests_per_minute` of the account; 200 by default, as in Exotel's Campaigns API.

    Refused requests are not counted, so that a client which does not wait is admitted as soon as one that does. While
    Redis is unreachable every request is admitted: the API should not be down because its counter is.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True and add the headers of the limit to the response. Raises TooManyRequests above the limit."""
        caller: Caller = request.user  # type: ignore[assignment]
        limit = caller.account.requests_per_minute
        reading = meter().admit(f"account/{caller.account.pk}", limit)
        if reading is None:
            return True
        view.headers.update(_headers(reading))
        if not reading.admitted:
            wait = reading.retry_after
            raise TooManyRequests(f"too many requests: {limit:,} a minute is the limit; come back in {wait} s", wait)
        return True


def _headers(reading: Reading) -> dict[str, str]:
    """Return the headers by Exotel's names. Reset is the Unix time when there is room for one more request."""
    return {
        "X-RateLimit-Limit": str(reading.limit),
        "X-RateLimit-Remaining": str(reading.remaining),
        "X-RateLimit-Reset": str(math.ceil(reading.resets_at)),
    }
