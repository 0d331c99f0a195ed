"""Numbers that must not be called, as responses show them."""

from rest_framework import serializers

from api.do_not_call.requests import ACCOUNT, ALL
from api.http.envelope import Item, PageEnvelope, Result, WrittenEnvelope
from api.http.responses import Moment, ResponseSerializer, Text
from contacts.models import DoNotCall


class DoNotCallSerializer(ResponseSerializer):
    # context: zone.
    number = Text("E.164.")
    scope = Text("account, or all: listed by the operator for every account.")
    source_ = Text("Where it came from: api, admin, csv, registry or flow, which is the person called.")
    registry = Text("Of a number from a registry: which one.", required=False)
    registry_date = serializers.DateField(required=False, help_text="Of a number from a registry: its as-of date.")
    note = Text()
    date_created = Moment(source="added_at")

    def get_scope(self, entry: DoNotCall) -> str:
        return ACCOUNT if entry.account_id else ALL


class DoNotCallItem(Item):
    data_ = DoNotCallSerializer(source="*")


class DoNotCallRead(WrittenEnvelope):
    response = DoNotCallItem(many=True, source="rows")


class DoNotCallPage(PageEnvelope):
    response = DoNotCallItem(many=True, source="rows")


class DoNotCallResult(Result):
    data_ = DoNotCallSerializer(source="*", allow_null=True)


class DoNotCallResults(WrittenEnvelope):
    response = DoNotCallResult(many=True, source="rows")
