"""Contacts as responses show them."""

from typing import Any

from rest_framework import serializers

from api.http.envelope import Item, PageEnvelope, Result, WrittenEnvelope
from api.http.responses import Moment, ResponseSerializer, Text, WireId
from contacts.models import Contact, ContactList


class ListOfContact(ResponseSerializer):
    sid = WireId(source="pk")
    name = Text()


class ConsentSerializer(ResponseSerializer):
    date = serializers.DateField(source="consent_date")
    source_ = Text("Where it is recorded.", source="consent_source")
    scope = Text("recorded-voice, promotional or all.", source="consent_scope")


class ContactSerializer(ResponseSerializer):
    # context: zone; lists, if they are asked for: those that each contact is in, by its id.
    sid = WireId("32 hexadecimal digits.", source="pk")
    number = Text("E.164.")
    first_name = Text()
    last_name = Text()
    company_name = Text()
    email = Text()
    tag = Text()
    time_zone = Text("Where this person is. Ours.", required=False)
    consent = ConsentSerializer(required=False, help_text="Ours.")
    custom_field = serializers.DictField(source="custom")
    date_created = Moment(source="created_at")
    date_updated = Moment(source="updated_at")
    lists = ListOfContact(many=True, required=False, help_text="With filter=show_list.")

    def get_lists(self, contact: Contact) -> list[ContactList] | None:
        lists: dict[Any, list[ContactList]] = self.context.get("lists", {})
        return lists.get(contact.pk)


class ContactItem(Item):
    data_ = ContactSerializer(source="*")


class ContactRead(WrittenEnvelope):
    response = ContactItem(many=True, source="rows")


class ContactsPage(PageEnvelope):
    response = ContactItem(many=True, source="rows")


class ContactResult(Result):
    data_ = ContactSerializer(source="*", allow_null=True)


class ContactResults(WrittenEnvelope):
    response = ContactResult(many=True, source="rows")
