"""Lists of contacts, and the contacts in them, as responses show them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rest_framework import serializers

from api.contacts.responses import ContactSerializer
from api.http.envelope import Item, PageEnvelope, Result, WrittenEnvelope
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from contacts.models import ContactList


class ContactListSerializer(ResponseSerializer):
    # context: zone; sizes, with every list that is shown.
    sid = WireId("32 hexadecimal digits.", source="pk")
    name = Text()
    tag = Text()
    type = Text("static or dynamic")
    contact_count = Count("Entries.")
    allow_blanks = serializers.BooleanField(
        source="allows_blanks", help_text="Of a dynamic list: whether rows may have no value for a column."
    )
    date_created = Moment(source="created_at")
    date_updated = Moment(source="updated_at")

    def get_contact_count(self, contact_list: ContactList) -> int:
        sizes: dict[UUID, int] = self.context["sizes"]
        return sizes[contact_list.pk]


class ContactListItem(Item):
    data_ = ContactListSerializer(source="*")


class ContactListRead(WrittenEnvelope):
    response = ContactListItem(many=True, source="rows")


class ListsPage(PageEnvelope):
    response = ContactListItem(many=True, source="rows")


class ContactListResult(Result):
    data_ = ContactListSerializer(source="*", allow_null=True)


class ContactListResults(WrittenEnvelope):
    response = ContactListResult(many=True, source="rows")


class ListEntrySerializer(ContactSerializer):
    # Of an entry: the fields of its contact, and the values of its row.
    values = serializers.DictField(required=False, help_text="In a dynamic list: the row's values.")

    lists = None  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name, field in fields.items():
            if name != "values":
                field.source = f"contact.{field.source or name}"
        return fields


class ListEntryItem(Item):
    data_ = ListEntrySerializer(source="*")


class ListEntriesPage(PageEnvelope):
    response = ListEntryItem(many=True, source="rows")


@dataclass(frozen=True)
class Membership:
    list_id: UUID
    contact_id: UUID


class ListMembership(ResponseSerializer):
    list_id = WireId("The list.")
    sid = WireId("The contact.", source="contact_id")


class MembershipItem(Item):
    data_ = ListMembership(source="*")


class MembershipRead(WrittenEnvelope):
    response = MembershipItem(many=True, source="rows")


class MembershipResult(Result):
    data_ = ListMembership(source="*", allow_null=True)


class MembershipResults(WrittenEnvelope):
    response = MembershipResult(many=True, source="rows")
