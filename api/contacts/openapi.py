"""Contacts, lists and CSV uploads in the OpenAPI document."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers

from api.contacts.views import ContactDetailsView, ContactListView, ContactSerializer, ContactsQuery
from api.csv_uploads.views import CsvStatusView, CsvUploadView, RejectedRowsView
from api.http import bulk
from api.http.fields import TextField
from api.http.openapi import (
    ERRORS,
    IDEMPOTENCY_KEY,
    Component,
    ErrorData,
    ErrorItem,
    Page,
    Written,
    answer,
    component,
    count,
    either,
    item,
    moment,
    query,
    responses,
    text,
)
from api.lists.views import (
    EntriesQuery,
    ListDetailsView,
    ListEntriesView,
    ListEntryView,
    ListListView,
    ListSerializer,
    ListsQuery,
    ReferenceSerializer,
)

TAGS = ["Contacts and lists"]
CSV_TAGS = ["CSV uploads"]
TAKEN = "The name or number is another's, or a campaign or an upload needs the list."


class CustomFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "api.contacts.views.CustomField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {}}


for _sent, _name in ((ContactSerializer, "ContactRequest"), (ListSerializer, "ListRequest")):
    extend_schema_serializer(component_name=_name)(_sent)

Contact = component(
    "Contact",
    sid=text("32 hexadecimal digits."),
    number=text("E.164."),
    first_name=text(),
    last_name=text(),
    company_name=text(),
    email=text(),
    tag=text(),
    custom_field=serializers.DictField(),
    date_created=moment(),
    date_updated=moment(),
    lists=serializers.ListField(child=serializers.DictField(), required=False, help_text="With filter=show_list."),
    values=serializers.DictField(required=False, help_text="In a dynamic list: the row's values."),
)
ContactList = component(
    "ContactList",
    sid=text("32 hexadecimal digits."),
    name=text(),
    tag=text(),
    type=text("static or dynamic"),
    contact_count=count("Entries."),
    date_created=moment(),
    date_updated=moment(),
)
Membership = component("ListMembership", list_id=text("The list."), sid=text("The contact."))


def result(name: str, of: Component) -> Component:
    """One item of HTTP 207: a good one, or a bad one, which at 409 has what is there already."""
    return component(
        name,
        code=count("200, 400, 404 or 409."),
        status=text("success or failure"),
        data=of(allow_null=True),
        error_data=ErrorData(allow_null=True),
    )


def read(name: str, of: Component) -> Component:
    return answer(f"{name}Read", item(f"{name}Item", of), Written)


def several(name: str, of: Component) -> Component:
    return answer(f"{name}Results", result(f"{name}Result", of), Written)


OneContact, OneList, OneMembership = (
    read("Contact", Contact),
    read("ContactList", ContactList),
    read("Membership", Membership),
)
ContactResults, ListResults, MembershipResults = (
    several("Contact", Contact),
    several("ContactList", ContactList),
    several("Membership", Membership),
)
ContactsPage = answer("ContactsPage", item("ContactOfPage", Contact), Page)
ListsPage = answer("ListsPage", item("ContactListOfPage", ContactList), Page)


@extend_schema_serializer(component_name="ContactChange")
class ContactChange(ContactSerializer):
    """A contact's fields to change: all of them optional; sid where several are changed."""

    sid = serializers.CharField(required=False)
    number = TextField(required=False)


@extend_schema_serializer(component_name="ListChange")
class ListChange(ListSerializer):
    """A list's fields to change: all of them optional; sid where several are changed."""

    sid = serializers.CharField(required=False)
    name = TextField(required=False)


ContactsBody = component("ContactsBody", contacts=ContactSerializer(many=True))
ContactChanges = component("ContactChanges", contacts=ContactChange(many=True))
ListsBody = component("ListsBody", lists=ListSerializer(many=True))
ListChanges = component("ListChanges", lists=ListChange(many=True))
ReferencesBody = component("ReferencesBody", contact_references=ReferenceSerializer(many=True))

UploadForm = component(
    "CsvUploadForm",
    list_name=text("The list to fill; it is made where there is none."),
    file_name=serializers.FileField(help_text="The CSV file itself."),
    type=text("static, as it is without it, or dynamic.", required=False),
)
UploadSummary = component("CsvUploadSummary", upload_id=text(), list_sid=text(), url=text("Where its progress stands."))
UploadStats = component("CsvStats", total=count(), success=count(), duplicate=count(), failed=count())
CsvStatus = component(
    "CsvStatus",
    upload_id=text(),
    list_sid=text(),
    status=text("in-progress, completed or failed"),
    stats=UploadStats(),
    rejected_rows_url=text("Null where no row was rejected.", allow_null=True),
    error=text("Why it has failed.", required=False),
)


def alone(name: str, of: Component) -> Component:
    """The envelope of the CSV addresses: one item, and no array around it."""
    return component(name, request_id=text(), method=text(), http_code=count(), response=of())


UploadTaken = alone("CsvUploadTaken", item("CsvUploadItem", component("CsvUploadData", summary=UploadSummary())))
StatusRead = alone("CsvStatusRead", item("CsvStatusItem", CsvStatus))
CsvErrors = component(
    "CsvErrors", request_id=text(), method=text(), http_code=count(), metadata=Written(), response=ErrorItem()
)


def _conflict(made: dict[int, Any], bad: Component | None = None) -> dict[int, Any]:
    return made | {409: OpenApiResponse(bad or made[400].response, TAKEN)}


def _bulk(good: Component, *codes: int) -> dict[int, Any]:
    made = responses(good, 405, 413, 422, *codes, good_code=bulk.MULTI_STATUS)
    return made | {409: OpenApiResponse(made[400].response, f"{ERRORS[409]} {TAKEN}")}


def _json(*bodies: Any, name: str) -> Any:
    return {"application/json": either(name, *bodies)}


def describe() -> None:
    """Attaches the descriptions to the views."""
    extend_schema_view(
        get=extend_schema(
            operation_id="list_contacts", parameters=query(ContactsQuery), responses=responses(ContactsPage), tags=TAGS
        ),
        post=extend_schema(
            operation_id="create_contacts",
            parameters=[IDEMPOTENCY_KEY],
            request=_json(ContactsBody, ContactSerializer, name="CreateContactsBody"),
            responses=_bulk(ContactResults),
            tags=TAGS,
        ),
        put=extend_schema(
            operation_id="change_contacts",
            request={"application/json": ContactChanges},
            responses=_bulk(ContactResults),
            tags=TAGS,
        ),
    )(ContactListView)
    extend_schema_view(
        get=extend_schema(operation_id="get_contact", responses=responses(OneContact), tags=TAGS),
        put=extend_schema(
            operation_id="change_contact",
            request=_json(ContactChange, ContactChanges, name="ChangeContactBody"),
            responses=_conflict(responses(OneContact, 413)),
            tags=TAGS,
        ),
        delete=extend_schema(operation_id="delete_contact", responses=responses(OneContact), tags=TAGS),
    )(ContactDetailsView)
    extend_schema_view(
        get=extend_schema(
            operation_id="list_lists", parameters=query(ListsQuery), responses=responses(ListsPage), tags=TAGS
        ),
        post=extend_schema(
            operation_id="create_lists",
            parameters=[IDEMPOTENCY_KEY],
            request=_json(ListsBody, ListSerializer, name="CreateListsBody"),
            responses=_bulk(ListResults),
            tags=TAGS,
        ),
        put=extend_schema(
            operation_id="change_lists",
            request={"application/json": ListChanges},
            responses=_bulk(ListResults),
            tags=TAGS,
        ),
    )(ListListView)
    extend_schema_view(
        get=extend_schema(operation_id="get_list", responses=responses(OneList), tags=TAGS),
        put=extend_schema(
            operation_id="change_list",
            request=_json(ListChange, ListChanges, name="ChangeListBody"),
            responses=_conflict(responses(OneList, 413)),
            tags=TAGS,
        ),
        delete=extend_schema(operation_id="delete_list", responses=_conflict(responses(OneList)), tags=TAGS),
    )(ListDetailsView)
    extend_schema_view(
        get=extend_schema(
            operation_id="list_contacts_of_a_list",
            parameters=query(EntriesQuery),
            responses=responses(ContactsPage),
            tags=TAGS,
        ),
        post=extend_schema(
            operation_id="add_contacts_to_a_list",
            parameters=[IDEMPOTENCY_KEY],
            request={"application/json": ReferencesBody},
            responses=_bulk(MembershipResults),
            tags=TAGS,
        ),
    )(ListEntriesView)
    extend_schema_view(
        delete=extend_schema(operation_id="remove_contact_from_a_list", responses=responses(OneMembership), tags=TAGS),
    )(ListEntryView)
    csv_errors = responses(UploadTaken, 413, bad=CsvErrors)
    extend_schema_view(
        post=extend_schema(
            operation_id="upload_csv",
            request={"multipart/form-data": UploadForm},
            responses=_conflict(csv_errors),
            tags=CSV_TAGS,
        )
    )(CsvUploadView)
    extend_schema_view(
        get=extend_schema(operation_id="get_csv_status", responses=responses(StatusRead, bad=CsvErrors), tags=CSV_TAGS)
    )(CsvStatusView)
    rejected: Any = {(200, "text/csv"): OpenApiTypes.STR}
    for code, bad in responses(StatusRead, bad=CsvErrors).items():
        if code != 200:
            rejected[(code, "application/json")] = bad
    extend_schema_view(get=extend_schema(operation_id="get_rejected_rows", responses=rejected, tags=CSV_TAGS))(
        RejectedRowsView
    )
