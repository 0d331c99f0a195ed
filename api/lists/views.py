"""Lists of contacts in Exotel's v2 API: create, list, show, change, delete, and the contacts in them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.contacts.views import TAGS
from api.http import bulk, openapi, queries
from api.http.account_view import AccountView
from api.http.envelope import Envelope, Failure
from api.http.errors import NotFound
from api.http.idempotency import idempotent
from api.http.parsers import printable
from api.lists.requests import (
    KEY,
    REFERENCES,
    ListChanges,
    ListChangeSerializer,
    ListRequestSerializer,
    ListsBody,
    ReferencesBody,
    ReferenceSerializer,
)
from api.lists.responses import (
    ContactListRead,
    ContactListResults,
    ListEntriesPage,
    ListsPage,
    Membership,
    MembershipRead,
    MembershipResults,
)
from contacts import lists
from contacts.models import ContactList
from core import ids
from core.errors import InvalidRequest
from core.ids import wire_id


class ListsQuery(queries.SortedQuery):
    name = serializers.CharField(required=False, allow_blank=True, help_text="A part of the name.")

    sorts = {"date_created": "created_at", "name": "name"}


class EntriesQuery(queries.PageQuery):
    max_limit = 20


class ListView(AccountView):
    def contact_list(self, list_sid: str) -> ContactList:
        contact_list = self.account.contact_lists.filter(pk=ids.parse_or_nil(list_sid)).first()
        if contact_list is None:
            raise NotFound(f"there is no list {printable(list_sid)} in this account")
        return contact_list

    def respond_lists(
        self, envelope: type[Envelope], rows: Sequence[ContactList | Failure], *, http_code: int = 200
    ) -> Response:
        return self.respond(envelope, rows, http_code=http_code, sizes=_sizes(rows))


class ListListView(ListView):
    reads_much = True

    @extend_schema(
        operation_id="list_lists",
        parameters=openapi.query(ListsQuery),
        responses=openapi.responses(ListsPage),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(ListsQuery, request)
        found = ContactList.objects.filter(account=self.account, name__icontains=query.get("name", ""))
        page = queries.page_of(found, query)
        return self.respond_page(
            ListsPage, page, total=queries.total_of(found, page, query), query=query, sizes=_sizes(page)
        )

    @extend_schema(
        operation_id="create_lists",
        parameters=[openapi.IDEMPOTENCY_KEY],
        request=openapi.json_body("CreateListsBody", ListsBody, ListRequestSerializer),
        responses=openapi.bulk_responses(ContactListResults),
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        serializer = ListRequestSerializer()
        checked = [self._checked(ContactList(), body, serializer) for body in bulk.bodies(request, KEY)]
        wanted = [columns for columns, failure in checked if not failure]
        created = iter(lists.create_all(self.account, wanted, actor=self.actor))
        rows = [failure or _created(next(created)) for _, failure in checked]
        return self.respond_lists(ContactListResults, rows, http_code=bulk.MULTI_STATUS)

    def _checked(
        self, contact_list: ContactList, body: Any, serializer: ListRequestSerializer
    ) -> tuple[dict[str, Any], Failure | None]:
        columns, failure = bulk.validated(serializer, body)
        try:
            if not failure:
                lists.require_blanks_make_sense(contact_list, columns)
        except InvalidRequest as invalid:
            failure = Failure(400, str(invalid))
        return columns, failure

    @extend_schema(
        operation_id="change_lists",
        request={"application/json": ListChanges},
        responses=openapi.bulk_responses(ContactListResults),
        tags=TAGS,
    )
    def put(self, request: Request, account_sid: str) -> Response:
        serializer = ListRequestSerializer(partial=True)
        given = bulk.bodies(request, KEY)
        sids = [str(body.get("sid", "")) if isinstance(body, dict) else "" for body in given]
        known = self.account.contact_lists.in_bulk([ids.parse_or_nil(sid) for sid in sids])
        checked = []
        for body, sid in zip(given, sids, strict=True):
            contact_list = known.get(ids.parse_or_nil(sid))
            columns, failure = self._checked(contact_list or ContactList(), body, serializer)
            if contact_list is None and not bulk.validated(serializer, body)[1]:
                failure = Failure(404, f"there is no list {printable(sid)} in this account")
            checked.append((contact_list, columns, failure))
        wanted = [(row, columns) for row, columns, failure in checked if row and not failure]
        changed = iter(lists.change_all(self.account, wanted, actor=self.actor))
        rows = [failure or _changed(next(changed), columns) for _, columns, failure in checked]
        return self.respond_lists(ContactListResults, rows, http_code=bulk.MULTI_STATUS)


class ListDetailsView(ListView):
    reads_much = True

    @extend_schema(operation_id="get_list", responses=openapi.responses(ContactListRead), tags=TAGS)
    def get(self, request: Request, account_sid: str, list_sid: str) -> Response:
        return self.respond_lists(ContactListRead, [self.contact_list(list_sid)])

    @extend_schema(
        operation_id="change_list",
        request=openapi.json_body("ChangeListBody", ListChangeSerializer, ListChanges),
        responses=openapi.responses(ContactListRead, 413, conflict=openapi.CONFLICT),
        tags=TAGS,
    )
    def put(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        columns = dict(ListRequestSerializer(partial=True).run_validation(bulk.one_body(request, KEY)))
        if not columns:
            raise InvalidRequest("nothing to change: give a name, a tag or allow_blanks")
        return self.respond_lists(ContactListRead, [lists.change(contact_list, actor=self.actor, **columns)])

    @extend_schema(
        operation_id="delete_list",
        responses=openapi.responses(ContactListRead, conflict=openapi.CONFLICT),
        tags=TAGS,
    )
    def delete(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        response = self.respond_lists(ContactListRead, [contact_list])
        lists.delete(contact_list, actor=self.actor)
        return response


class ListEntriesView(ListView):
    reads_much = True

    @extend_schema(
        operation_id="list_contacts_of_a_list",
        parameters=openapi.query(EntriesQuery),
        responses=openapi.responses(ListEntriesPage),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str, list_sid: str) -> Response:
        """List the contacts of a list, in the order in which they were added."""
        contact_list = self.contact_list(list_sid)
        query = queries.parse(EntriesQuery, request)
        entries = contact_list.entries.select_related("contact").order_by("id")
        page = queries.read_page(entries, query)
        total = queries.total_of(entries, page, query)
        return self.respond_page(ListEntriesPage, page, total=total, query=query)

    @extend_schema(
        operation_id="add_contacts_to_a_list",
        parameters=[openapi.IDEMPOTENCY_KEY],
        request={"application/json": ReferencesBody},
        responses=openapi.bulk_responses(MembershipResults),
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        serializer = ReferenceSerializer()
        checked = [bulk.validated(serializer, body) for body in bulk.bodies(request, REFERENCES)]
        is_new = lists.add_contacts(
            contact_list, [columns["contact_sid"] for columns, failure in checked if not failure], actor=self.actor
        )
        rows = [failure or _entered(contact_list, columns["contact_sid"], is_new) for columns, failure in checked]
        return self.respond(MembershipResults, rows, http_code=bulk.MULTI_STATUS)


class ListEntryView(ListView):
    @extend_schema(operation_id="remove_contact_from_a_list", responses=openapi.responses(MembershipRead), tags=TAGS)
    def delete(self, request: Request, account_sid: str, list_sid: str, contact_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        contact_id = ids.parse(contact_sid)
        if contact_id is None or not lists.remove_contact(contact_list, contact_id, actor=self.actor):
            raise NotFound(f"there is no contact {printable(contact_sid)} in this list")
        return self.respond(MembershipRead, [Membership(contact_list.pk, contact_id)])


def _sizes(rows: Sequence[ContactList | Failure]) -> dict[UUID, int]:
    """Count the entries of every list that is shown, those that stand in the way of an item among them."""
    shown = [row.conflicting if isinstance(row, Failure) else row for row in rows]
    return lists.sizes([contact_list.pk for contact_list in shown if contact_list is not None])


def _created(creation: lists.ListCreation) -> ContactList | Failure:
    contact_list = creation.contact_list
    if creation.is_new:
        return contact_list
    return Failure(409, f"'name': {contact_list.name} is a list already; its sid is in data", contact_list)


def _changed(contact_list: ContactList | None, columns: dict[str, Any]) -> ContactList | Failure:
    return contact_list or Failure(409, f"there is another list named {columns['name'][:100]}: choose another name")


def _entered(contact_list: ContactList, contact_id: UUID, is_new: dict[UUID, bool]) -> Membership | Failure:
    if contact_id not in is_new:
        return Failure(404, f"there is no contact {wire_id(contact_id)} in this account")
    membership = Membership(contact_list.pk, contact_id)
    if is_new[contact_id]:
        is_new[contact_id] = False  # named a second time in this request, it is there already
        return membership
    return Failure(409, f"the contact {wire_id(contact_id)} is in the list already", membership)
