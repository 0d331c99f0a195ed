"""Contacts as Exotel's v2 API has them: parse, call, render."""

from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.views import AccountView
from api.http import bulk, envelope, queries
from api.http.errors import NotFound
from api.http.fields import ObjectSerializer, TextField
from api.http.idempotency import idempotent
from api.http.parsers import printable
from contacts import address_book, lists, numbers
from contacts.models import Contact, ContactList
from core import ids
from core.errors import Conflict, InvalidRequest
from core.ids import wire_id

KEY = "contacts"


class CustomField(serializers.Field):  # type: ignore[type-arg]
    """An object of the client's own keys and values."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError("must be an object of keys and values")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


def _text() -> TextField:
    return TextField(max_length=255, allow_blank=True, required=False)


class ContactSerializer(ObjectSerializer):
    """Validated data are columns of a contact. context: account."""

    number = TextField(max_length=64)
    first_name = _text()
    last_name = _text()
    company_name = _text()
    email = _text()
    tag = _text()
    custom_field = CustomField(required=False)
    custom = CustomField(required=False, help_text="The same as custom_field.")

    def validate_number(self, given: str) -> str:
        e164 = numbers.to_e164(given, self.context["account"].region)
        if e164 is None:
            raise ValidationError(f"{given} is not a valid number; write it in E.164, as in +919810012345")
        return e164

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = attrs.pop("custom_field", None)
        return attrs if given is None else attrs | {"custom": given}


class ContactsQuery(queries.PageQuery):
    """Exotel answers at most 20 contacts at once."""

    status = None  # type: ignore[assignment]
    name = serializers.CharField(required=False, allow_blank=True)
    list_sids = serializers.CharField(required=False, allow_blank=True)
    filter = serializers.CharField(required=False, allow_blank=True)

    most = 20
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


class ContactView(AccountView):
    def contact(self, contact_sid: str) -> Contact:
        contact = Contact.objects.filter(account=self.account, pk=ids.parse_or_nil(contact_sid)).first()
        if contact is None:
            raise NotFound(f"there is no contact {printable(contact_sid)} in this account")
        return contact

    def data(self, contact: Contact, in_lists: list[ContactList] | None = None) -> dict[str, Any]:
        return contact_data(contact, self.account.zone, in_lists)

    def taken(self, number: str) -> str:
        return f"'number': {number} is the number of another contact: nothing was changed"


class ContactListView(ContactView):
    """/contacts"""

    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(ContactsQuery, request)
        found = address_book.find(self.account, name=query.get("name", ""), list_ids=query.get("list_sids") or None)
        page = list(queries.page_of(found, query))
        of = lists.of_contacts([contact.pk for contact in page]) if query.get("filter") else {}
        shown = [self.data(contact, of.get(contact.pk)) for contact in page]
        return bulk.page(request, shown, total=found.count(), query=query)

    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        serializer = ContactSerializer(context={"account": self.account})
        checked = [bulk.validated(serializer, body) for body in bulk.bodies(request, KEY)]
        added = iter(address_book.add(self.account, [columns for columns, error in checked if not error]))
        return bulk.answer(request, [error or self._added(next(added)) for _, error in checked])

    def put(self, request: Request, account_sid: str) -> Response:
        serializer = ContactSerializer(context={"account": self.account}, partial=True)
        given = bulk.bodies(request, KEY)
        sids = [ids.parse(body.get("sid")) if isinstance(body, dict) else None for body in given]
        known = Contact.objects.filter(account=self.account).in_bulk([sid for sid in sids if sid])
        checked = []
        for body, sid in zip(given, sids, strict=True):
            columns, error = bulk.validated(serializer, body)
            if not error and (sid is None or sid not in known):
                error = envelope.error_item(404, "'sid': there is no such contact in this account")
            checked.append((sid, columns, error))
        wanted = [(known[sid], columns) for sid, columns, error in checked if sid and not error]
        changed = iter(address_book.change(self.account, wanted))
        return bulk.answer(request, [error or self._changed(next(changed), columns) for _, columns, error in checked])

    def _added(self, added: address_book.ContactAddition) -> dict[str, Any]:
        if added.is_new:
            return envelope.item(self.data(added.contact))
        description = f"'number': {added.contact.number} is a contact already; its sid is in data"
        return envelope.error_item(409, description, self.data(added.contact))

    def _changed(self, contact: Contact | None, columns: dict[str, Any]) -> dict[str, Any]:
        if contact is None:
            return envelope.error_item(409, self.taken(columns["number"]))
        return envelope.item(self.data(contact))


class ContactDetailsView(ContactView):
    """/contacts/<sid>"""

    def get(self, request: Request, account_sid: str, contact_sid: str) -> Response:
        return bulk.one(request, self.data(self.contact(contact_sid)))

    def put(self, request: Request, account_sid: str, contact_sid: str) -> Response:
        contact = self.contact(contact_sid)
        serializer = ContactSerializer(context={"account": self.account}, partial=True)
        columns = dict(serializer.run_validation(bulk.one_body(request, KEY)))
        if not columns:
            raise InvalidRequest("nothing to change: give the fields that shall change")
        (changed,) = address_book.change(self.account, [(contact, columns)])
        if changed is None:
            raise Conflict(self.taken(columns["number"]))
        return bulk.one(request, self.data(changed))

    def delete(self, request: Request, account_sid: str, contact_sid: str) -> Response:
        """From every list, too. Calls that were made from it stay: they have its number and name."""
        contact = self.contact(contact_sid)
        data = self.data(contact)
        contact.delete()
        return bulk.one(request, data)


def contact_data(contact: Contact, zone: Any, in_lists: list[ContactList] | None = None) -> dict[str, Any]:
    """The contact resource; in_lists: only where they were asked for."""
    data = {
        "sid": wire_id(contact.pk),
        "number": contact.number,
        **{name: getattr(contact, name) for name in address_book.TEXT_COLUMNS},
        "custom_field": contact.custom,
        "date_created": local(contact.created_at, zone),
        "date_updated": local(contact.updated_at, zone),
    }
    if in_lists is not None:
        data["lists"] = [{"sid": wire_id(each.pk), "name": each.name} for each in in_lists]
    return data


def local(moment: datetime, zone: Any) -> str:
    return moment.astimezone(zone).isoformat(timespec="seconds")
