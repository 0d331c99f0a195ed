"""Contacts in Exotel's v2 API: create, list, show, change, delete."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.contacts.requests import (
    KEY,
    ContactChanges,
    ContactChangeSerializer,
    ContactRequestSerializer,
    ContactsBody,
)
from api.contacts.responses import ContactRead, ContactResults, ContactsPage
from api.http import bulk, openapi, queries
from api.http.account_view import AccountView
from api.http.envelope import Failure
from api.http.errors import NotFound
from api.http.idempotency import idempotent
from api.http.parsers import printable
from contacts import address_book, lists
from contacts.models import Contact
from core import ids
from core.errors import Conflict, InvalidRequest

TAGS = ["Contacts and lists"]


class ContactsQuery(queries.SortedQuery):
    # Exotel returns at most 20 contacts at once.
    name = serializers.CharField(required=False, allow_blank=True, help_text="A part of the name.")
    list_sids = serializers.CharField(
        required=False, allow_blank=True, help_text="Comma-separated: in any of these lists."
    )
    filter = serializers.CharField(
        required=False, allow_blank=True, help_text="show_list adds the lists of each contact."
    )

    max_limit = 20
    sorts = {"date_created": "created_at", "name": "first_name"}

    def validate_list_sids(self, text: str) -> list[UUID]:
        given = [sid.strip() for sid in text.split(",") if sid.strip()]
        parsed = [ids.parse(sid) for sid in given]
        if None in parsed:
            raise ValidationError(f"{printable(given[parsed.index(None)])} is not the sid of a list")
        return [list_id for list_id in parsed if list_id]

    def validate_filter(self, word: str) -> bool:
        if word and word != "show_list":
            raise ValidationError("must be show_list, which adds the lists of each contact")
        return bool(word)


class ContactListView(AccountView):
    reads_much = True

    @extend_schema(
        operation_id="list_contacts",
        parameters=openapi.query(ContactsQuery),
        responses=openapi.responses(ContactsPage),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(ContactsQuery, request)
        found = address_book.find(self.account, name=query.get("name", ""), list_ids=query.get("list_sids") or None)
        page = queries.page_of(found, query)
        lists_of = lists.of_contacts([contact.pk for contact in page]) if query.get("filter") else {}
        return self.respond_page(
            ContactsPage, page, total=queries.total_of(found, page, query), query=query, lists=lists_of
        )

    @extend_schema(
        operation_id="create_contacts",
        parameters=[openapi.IDEMPOTENCY_KEY],
        request=openapi.json_body("CreateContactsBody", ContactsBody, ContactRequestSerializer),
        responses=openapi.bulk_responses(ContactResults),
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        serializer = ContactRequestSerializer(context={"account": self.account})
        checked = [bulk.validated(serializer, body) for body in bulk.bodies(request, KEY)]
        wanted = [columns for columns, failure in checked if not failure]
        added = iter(address_book.add(self.account, wanted, actor=self.actor))
        rows = [failure or _added(next(added)) for _, failure in checked]
        return self.respond(ContactResults, rows, http_code=bulk.MULTI_STATUS)

    @extend_schema(
        operation_id="change_contacts",
        request={"application/json": ContactChanges},
        responses=openapi.bulk_responses(ContactResults),
        tags=TAGS,
    )
    def put(self, request: Request, account_sid: str) -> Response:
        serializer = ContactRequestSerializer(context={"account": self.account}, partial=True)
        given = bulk.bodies(request, KEY)
        sids = [ids.parse(body.get("sid")) if isinstance(body, dict) else None for body in given]
        known = Contact.objects.filter(account=self.account).in_bulk([sid for sid in sids if sid])
        checked = []
        for body, sid in zip(given, sids, strict=True):
            columns, failure = bulk.validated(serializer, body)
            if not failure and (sid is None or sid not in known):
                failure = Failure(404, "'sid': there is no such contact in this account")
            checked.append((sid, columns, failure))
        wanted = [(known[sid], columns) for sid, columns, failure in checked if sid and not failure]
        changed = iter(address_book.change(self.account, wanted, actor=self.actor))
        rows = [failure or _changed(next(changed), columns) for _, columns, failure in checked]
        return self.respond(ContactResults, rows, http_code=bulk.MULTI_STATUS)


class ContactDetailsView(AccountView):
    @extend_schema(operation_id="get_contact", responses=openapi.responses(ContactRead), tags=TAGS)
    def get(self, request: Request, account_sid: str, contact_sid: str) -> Response:
        return self.respond(ContactRead, [self._contact(contact_sid)])

    @extend_schema(
        operation_id="change_contact",
        request=openapi.json_body("ChangeContactBody", ContactChangeSerializer, ContactChanges),
        responses=openapi.responses(ContactRead, 413, conflict=openapi.CONFLICT),
        tags=TAGS,
    )
    def put(self, request: Request, account_sid: str, contact_sid: str) -> Response:
        contact = self._contact(contact_sid)
        serializer = ContactRequestSerializer(context={"account": self.account}, partial=True)
        columns = dict(serializer.run_validation(bulk.one_body(request, KEY)))
        if not columns:
            raise InvalidRequest("nothing to change: give the fields that shall change")
        (changed,) = address_book.change(self.account, [(contact, columns)], actor=self.actor)
        if changed is None:
            raise Conflict(_taken(columns["number"]))
        return self.respond(ContactRead, [changed])

    @extend_schema(operation_id="delete_contact", responses=openapi.responses(ContactRead), tags=TAGS)
    def delete(self, request: Request, account_sid: str, contact_sid: str) -> Response:
        """Delete a contact, from every list as well. Calls that were made from it keep its number and name."""
        contact = self._contact(contact_sid)
        response = self.respond(ContactRead, [contact])
        address_book.delete(contact, actor=self.actor)
        return response

    def _contact(self, contact_sid: str) -> Contact:
        contact = self.account.contacts.filter(pk=ids.parse_or_nil(contact_sid)).first()
        if contact is None:
            raise NotFound(f"there is no contact {printable(contact_sid)} in this account")
        return contact


def _added(added: address_book.ContactAddition) -> Contact | Failure:
    if added.is_new:
        return added.contact
    return Failure(409, f"'number': {added.contact.number} is a contact already; its sid is in data", added.contact)


def _changed(contact: Contact | None, columns: dict[str, Any]) -> Contact | Failure:
    return contact or Failure(409, _taken(columns["number"]))


def _taken(number: str) -> str:
    return f"'number': {number} is the number of another contact: nothing was changed"
