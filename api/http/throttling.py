"""How many requests an account may send in any minute."""

import math
from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from api.http.rate_limits import Reading, TooManyRequests, meter

if TYPE_CHECKING:
    from api.http.authentication import Caller


class AccountThrottle(BaseThrottle):
    """`requests_per_minute` of the account, 200 by default as Exotel's Campaigns API has it.

    Refused requests are not counted, so that a client which hammers on is let in as soon as one that waits. Without
    Redis everybody is let in: an API that is down because its counter is down helps nobody.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """True, with the headers of the limit on the answer. Raises TooManyRequests, which says when to come back."""
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
    """As Exotel names them. Reset is Unix time: when there is room for one more request than now."""
    return {
        "X-RateLimit-Limit": str(reading.limit),
        "X-RateLimit-Remaining": str(reading.remaining),
        "X-RateLimit-Reset": str(math.ceil(reading.resets_at)),
    }
