"""Lists of contacts as Exotel's v2 API has them: parse, call, render."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.views import AccountView
from api.contacts.views import contact_data, local
from api.http import bulk, envelope, queries
from api.http.errors import NotFound
from api.http.fields import ObjectSerializer, TextField
from api.http.idempotency import idempotent
from api.http.parsers import printable
from contacts import lists
from contacts.models import ContactList
from core import ids
from core.errors import Conflict, InvalidRequest
from core.ids import wire_id

KEY = "lists"
REFERENCES = "contact_references"


class ListSerializer(ObjectSerializer):
    name = TextField(max_length=255)
    tag = TextField(max_length=255, allow_blank=True, required=False)


class ReferenceSerializer(ObjectSerializer):
    contact_sid = TextField()

    def validate_contact_sid(self, given: str) -> UUID:
        contact_id = ids.parse(given)
        if contact_id is None:
            raise ValidationError(f"{printable(given)} is not the sid of a contact")
        return contact_id


class ListsQuery(queries.PageQuery):
    status = None  # type: ignore[assignment]
    name = serializers.CharField(required=False, allow_blank=True)

    sorts = {"date_created": "created_at", "name": "name"}


class EntriesQuery(queries.PageQuery):
    """The contacts of a list, in the order in which they were added."""

    status = None  # type: ignore[assignment]
    sort_by = None  # type: ignore[assignment]

    most = 20


class ListView(AccountView):
    def contact_list(self, list_sid: str) -> ContactList:
        contact_list = ContactList.objects.filter(account=self.account, pk=ids.parse_or_nil(list_sid)).first()
        if contact_list is None:
            raise NotFound(f"there is no list {printable(list_sid)} in this account")
        return contact_list

    def data(self, *rows: ContactList) -> list[dict[str, Any]]:
        """The resource of each, with its count: one query for all."""
        sizes = lists.sizes([row.pk for row in rows])
        return [list_data(row, sizes[row.pk], self.account.zone) for row in rows]


class ListListView(ListView):
    """/lists"""

    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(ListsQuery, request)
        found = ContactList.objects.filter(account=self.account, name__icontains=query.get("name", ""))
        return bulk.page(request, self.data(*queries.page_of(found, query)), total=found.count(), query=query)

    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        serializer = ListSerializer()
        items = []
        for body in bulk.bodies(request, KEY):
            columns, error = bulk.validated(serializer, body)
            items.append(error or self._made(lists.create(self.account, **columns)))
        return bulk.answer(request, items)

    def put(self, request: Request, account_sid: str) -> Response:
        serializer = ListSerializer(partial=True)
        return bulk.answer(request, [self._change(body, serializer) for body in bulk.bodies(request, KEY)])

    def _made(self, made: lists.ListCreation) -> dict[str, Any]:
        (data,) = self.data(made.contact_list)
        if made.is_new:
            return envelope.item(data)
        return envelope.error_item(409, f"'name': {made.contact_list.name} is a list already; its sid is in data", data)

    def _change(self, body: Any, serializer: ListSerializer) -> dict[str, Any]:
        columns, error = bulk.validated(serializer, body)
        if error:
            return error
        try:
            changed = lists.change(self.contact_list(str(body.get("sid", ""))), **columns)
        except NotFound as missing:
            return envelope.error_item(404, str(missing.detail))
        except Conflict as conflict:
            return envelope.error_item(409, str(conflict))
        return envelope.item(self.data(changed)[0])


class ListDetailsView(ListView):
    """/lists/<sid>"""

    def get(self, request: Request, account_sid: str, list_sid: str) -> Response:
        return bulk.one(request, self.data(self.contact_list(list_sid))[0])

    def put(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        columns = dict(ListSerializer(partial=True).run_validation(bulk.one_body(request, KEY)))
        if not columns:
            raise InvalidRequest("nothing to change: give a name or a tag")
        return bulk.one(request, self.data(lists.change(contact_list, **columns))[0])

    def delete(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        (data,) = self.data(contact_list)
        lists.delete(contact_list)
        return bulk.one(request, data)


class ListEntriesView(ListView):
    """/lists/<sid>/contacts"""

    def get(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        query = queries.parse(EntriesQuery, request)
        entries = contact_list.entries.select_related("contact").order_by("id")
        page = entries[query["offset"] : query["offset"] + query["limit"]]
        shown = [contact_data(entry.contact, self.account.zone) | _values(entry.values) for entry in page]
        return bulk.page(request, shown, total=entries.count(), query=query)

    @idempotent
    def post(self, request: Request, account_sid: str, list_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        serializer = ReferenceSerializer()
        checked = [bulk.validated(serializer, body) for body in bulk.bodies(request, REFERENCES)]
        wanted = [columns["contact_sid"] for columns, error in checked if not error]
        is_new = lists.add_contacts(contact_list, wanted)
        items = []
        for columns, error in checked:
            items.append(error or self._entry(contact_list, columns["contact_sid"], is_new))
        return bulk.answer(request, items)

    def _entry(self, contact_list: ContactList, contact_id: UUID, is_new: dict[UUID, bool]) -> dict[str, Any]:
        if contact_id not in is_new:
            return envelope.error_item(404, f"there is no contact {wire_id(contact_id)} in this account")
        data = _membership(contact_list, contact_id)
        if is_new[contact_id]:
            is_new[contact_id] = False  # named once more in the same request, it is there already
            return envelope.item(data)
        return envelope.error_item(409, f"the contact {wire_id(contact_id)} is in the list already", data)


class ListEntryView(ListView):
    """/lists/<sid>/contacts/<contact_sid>"""

    def delete(self, request: Request, account_sid: str, list_sid: str, contact_sid: str) -> Response:
        contact_list = self.contact_list(list_sid)
        contact_id = ids.parse(contact_sid)
        if contact_id is None or not lists.remove_contact(contact_list, contact_id):
            raise NotFound(f"there is no contact {printable(contact_sid)} in this list")
        return bulk.one(request, _membership(contact_list, contact_id))


def list_data(contact_list: ContactList, size: int, zone: Any) -> dict[str, Any]:
    return {
        "sid": wire_id(contact_list.pk),
        "name": contact_list.name,
        "tag": contact_list.tag,
        "type": contact_list.type,
        "contact_count": size,
        "date_created": local(contact_list.created_at, zone),
        "date_updated": local(contact_list.updated_at, zone),
    }


def _membership(contact_list: ContactList, contact_id: UUID) -> dict[str, Any]:
    return {"list_id": wire_id(contact_list.pk), "sid": wire_id(contact_id)}


def _values(values: dict[str, str] | None) -> dict[str, Any]:
    """What stands in the row of a dynamic list, for a text to name."""
    return {} if values is None else {"values": values}
