"""The base of every view below an account: who may come in, and how its responses are built."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.audit import Actor
from accounts.models import Account
from api.http import queries
from api.http.authentication import Caller
from api.http.envelope import Content, Envelope, PageContent
from api.http.errors import NotFound
from api.http.negotiation import AlwaysJSON
from api.http.parsers import printable
from api.http.rate_limits import TooManyRequests
from api.http.throttling import AccountThrottle
from core import places
from core.places import Place

# How long a large read waits for those before it, in seconds. Refusing at once would refuse a page that asks for a few
# lists at the same time.
WAIT_FOR_A_PLACE = 2.0
# So many requests of an account may wait in a web process: a quarter of its eight threads, so that those at work and
# those that wait leave half of them to others.
MOST_WAITING = 2


class AccountView(APIView):
    """A view below /v2/accounts/<sid>, where only the account that has signed in exists."""

    content_negotiation_class = AlwaysJSON
    throttle_classes = [AccountThrottle]
    metadata_class = None  # refuse OPTIONS like any method that an address does not have: it would describe our code

    # Whether a read may look at very many rows: an account has a few of those at once.
    reads_much = False
    # Its parameters that no index knows, so that PostgreSQL looks at each row of the account.
    searched_by: tuple[str, ...] = ("name", "list_sids")

    account: Account
    actor: Actor
    _place: Place | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        _refuse_another_site(request)
        super().initial(request, *args, **kwargs)
        caller: Caller = request.user  # type: ignore[assignment]
        if caller.account.sid != kwargs["account_sid"]:
            raise NotFound(f"there is no account {printable(kwargs['account_sid'])} for these credentials")
        self.account, self.actor = caller.account, caller.actor
        if self.reads_much and request.method in SAFE_METHODS:
            is_search = queries.is_search(request.query_params.dict(), self.searched_by)
            self._place = self._take_place(is_search=is_search)

    def _take_place(self, *, is_search: bool = False) -> Place:
        """Take one of the account's places for large reads. Raises TooManyRequests where all are taken.

        Searches have half as many, of their own: each keeps a core of the database, and a small machine has two.
        """
        most, name, told = settings.READS_AT_ONCE_PER_ACCOUNT, "reads", "requests for lists"
        if is_search:
            most, name, told = max(most // 2, 1), "searches", "searches"
        place = places.take_within(WAIT_FOR_A_PLACE, f"{name}/{self.account.pk}", most, waiting=MOST_WAITING)
        if place is None:
            raise TooManyRequests(
                f"{most} {told} of this account are at work: send this one when one of them has its response",
                retry_after=1,
            )
        return place

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let no cache keep numbers of people, and give back the place for a large read."""
        response["Cache-Control"] = "private, no-store"
        if self._place and isinstance(response, StreamingHttpResponse):
            response.streaming_content = self._place.leave_after(response)
        elif self._place:
            self._place.leave()
        return super().finalize_response(request, response, *args, **kwargs)

    def respond(
        self, envelope: type[Envelope], rows: Sequence[Any], *, http_code: int = 200, **context: Any
    ) -> Response:
        """Build the response that shows these rows; context: what their serializers need beside the account's zone."""
        return self._response(envelope, Content(self.request.method, rows, http_code), context)

    def respond_page(
        self, envelope: type[Envelope], rows: Sequence[Any], *, total: int, query: Mapping[str, Any], **context: Any
    ) -> Response:
        """Build the response that shows one page of `total` rows; query: its validated offset and limit."""
        bounds = {"total": total, "offset": query["offset"], "limit": query["limit"]}
        content = PageContent(self.request.method, rows, **bounds)
        return self._response(envelope, content, context)

    def _response(self, envelope: type[Envelope], content: Content, context: dict[str, Any]) -> Response:
        shown = envelope.shown(content, {"account": self.account, "zone": self.account.zone, **context})
        return Response(shown, status=content.http_code)


def _refuse_another_site(request: Request) -> None:
    """Refuse a change that a page of another site asks for: a browser may send credentials that it remembers.

    Programs send neither header. Raises PermissionDenied.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin", "")
    is_ours = not origin or origin.partition("://")[2] == request.get_host()
    if request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"} or not is_ours:
        raise PermissionDenied("a page of another site may not send this: send it from a program, or from this server")
