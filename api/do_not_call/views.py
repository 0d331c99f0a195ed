"""The account's do-not-call list, in the style of Exotel's contacts: list, add one or many, show, remove."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.do_not_call.requests import (
    KEY,
    DoNotCallBody,
    DoNotCallRequestSerializer,
    RemovalBody,
    RemovalSerializer,
    e164,
)
from api.do_not_call.responses import DoNotCallPage, DoNotCallRead, DoNotCallResults
from api.http import bulk, openapi, queries
from api.http.account_view import AccountView
from api.http.envelope import Failure
from api.http.errors import NotFound
from api.http.idempotency import idempotent
from api.http.parsers import printable, take_chunked_body
from contacts import do_not_call
from contacts.models import DoNotCall
from core.errors import Conflict

TAGS = ["Do not call"]
_EXAMPLE = OpenApiExample(
    "Two numbers",
    value={KEY: [{"number": "+919810012345", "note": "asked by mail"}, {"number": "098100 12346"}]},
    request_only=True,
)


class DoNotCallQuery(queries.SortedQuery):
    number = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="This number alone, in any spelling; also where it is listed for all accounts.",
    )

    sorts = {"date_created": "id"}  # in the order in which they were added


class DoNotCallListView(AccountView):
    reads_much = True

    @extend_schema(
        operation_id="list_do_not_call",
        parameters=openapi.query(DoNotCallQuery),
        responses=openapi.responses(DoNotCallPage),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(DoNotCallQuery, request)
        if number := query.get("number"):
            found = do_not_call.entries_of(self.account, _e164(number, self.account.region))
        else:
            found = self.account.do_not_call.all()
        page = list(queries.page_of(found, query))
        return self.respond_page(DoNotCallPage, page, total=found.count(), query=query)

    @extend_schema(
        operation_id="add_do_not_call",
        parameters=[openapi.IDEMPOTENCY_KEY],
        request=openapi.json_body("AddDoNotCallBody", DoNotCallBody, DoNotCallRequestSerializer),
        examples=[_EXAMPLE],
        responses=openapi.bulk_responses(DoNotCallResults),
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        """Add numbers. From the response on none of them is dialed, and calls to them that wait have ended."""
        serializer = DoNotCallRequestSerializer(context={"account": self.account})
        checked = [bulk.validated(serializer, body) for body in bulk.bodies(request, KEY, beside=())]
        wanted = [fields for fields, failure in checked if not failure]
        # Of two with one number the first counts.
        notes = {fields["number"]: fields.get("note", "") for fields in reversed(wanted)}
        given = [fields["number"] for fields in wanted]
        added = iter(do_not_call.add(self.account, given, source=do_not_call.Source.API, actor=self.actor, notes=notes))
        rows = [failure or _added(next(added)) for _, failure in checked]
        return self.respond(DoNotCallResults, rows, http_code=bulk.MULTI_STATUS)


class DoNotCallNumberView(AccountView):
    @extend_schema(operation_id="get_do_not_call", responses=openapi.responses(DoNotCallRead), tags=TAGS)
    def get(self, request: Request, account_sid: str, number: str) -> Response:
        return self.respond(DoNotCallRead, self._entries(number))

    @extend_schema(
        operation_id="remove_do_not_call",
        parameters=[
            OpenApiParameter(
                "reason", OpenApiTypes.STR, description="Why the number may be called again; or in the body."
            )
        ],
        request=RemovalBody,
        responses=openapi.responses(DoNotCallRead, 413, conflict="The operator has listed it for all accounts."),
        tags=TAGS,
    )
    def delete(self, request: Request, account_sid: str, number: str) -> Response:
        """Remove a number: it may be called again. The reason is mandatory."""
        entries = self._entries(number)
        take_chunked_body(request._request)
        body = request.data or {}
        if isinstance(body, dict) and body.get("reason") is None:
            body = {**body, **queries.parse(RemovalSerializer, request)}
        reason = RemovalBody().run_validation(body)["reason"]
        own = [entry for entry in entries if entry.account_id]
        if not own:
            raise Conflict("the number is listed for all accounts: only the operator of this server can remove it")
        response = self.respond(DoNotCallRead, own)
        do_not_call.remove(own, reason=reason, actor=self.actor)
        return response

    def _entries(self, number: str) -> list[DoNotCall]:
        """Return the entries of a number: the account's own first. Raises NotFound where there is none."""
        entries = list(do_not_call.entries_of(self.account, _e164(number, self.account.region)).order_by("account"))
        if not entries:
            raise NotFound(f"{printable(number)} is not on the do-not-call list of this account")
        return entries


def _e164(number: str, region: str) -> str:
    """Return a number of an address in E.164. Raises ValidationError.

    A `+` that is not written as %2B in a query comes as a blank.
    """
    try:
        return e164(number.replace(" ", "+", 1) if number.startswith(" ") else number, region)
    except ValidationError as error:
        raise ValidationError({"number": error.detail}) from error


def _added(added: do_not_call.Addition) -> DoNotCall | Failure:
    if added.is_new:
        return added.entry
    return Failure(409, f"'number': {added.entry.number} is on the list already: nothing was changed", added.entry)
