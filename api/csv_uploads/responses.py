"""CSV uploads as responses show them: one item, and no array around it."""

from typing import Any

from django.conf import settings

from api.http.envelope import Content, Envelope, ErrorItem, Item, Written
from api.http.responses import Count, ResponseSerializer, Text, WireId
from contacts.models import CsvUpload
from core.ids import wire_id


class CsvUploadSummary(ResponseSerializer):
    upload_id = WireId(source="pk")
    list_sid = WireId("Null for the do-not-call list.", source="contact_list_id", allow_null=True)
    url = Text("Where to see its progress.")

    def get_url(self, upload: CsvUpload) -> str:
        return _address(upload)


class CsvUploadData(ResponseSerializer):
    summary = CsvUploadSummary(source="*")


class CsvStats(ResponseSerializer):
    total = Count(source="rows_total")
    success = Count(source="rows_loaded")
    duplicate = Count(source="rows_duplicate")
    failed = Count(source="rows_rejected")
    replaced = Count(
        "Rows of earlier uploads that newer ones of this upload took out of the list.", source="rows_replaced"
    )


class CsvStatus(ResponseSerializer):
    upload_id = WireId(source="pk")
    list_sid = WireId("Null for the do-not-call list.", source="contact_list_id", allow_null=True)
    status = Text("in-progress, completed or failed")
    stats = CsvStats(source="*")
    rejected_rows_url = Text("Null where no row was rejected.", allow_null=True)
    error = Text("Why it has failed.", required=False)

    def get_rejected_rows_url(self, upload: CsvUpload) -> str | None:
        return f"{_address(upload)}/rejected-rows" if upload.rows_rejected else None


def _address(upload: CsvUpload) -> str:
    """Return the address of the upload's status. The account comes loaded with the upload."""
    return f"{settings.PUBLIC_URL}/v2/accounts/{upload.account.sid}/csv-status/{wire_id(upload.pk)}"


class CsvUploadItem(Item):
    data_ = CsvUploadData(source="*")


class CsvStatusItem(Item):
    data_ = CsvStatus(source="*")


class BareEnvelope(Envelope):
    # Of one upload. A subclass adds `response`.
    def get_response(self, content: Content) -> Any:
        (upload,) = content.rows
        return upload


class CsvUploadTaken(BareEnvelope):
    response = CsvUploadItem()


class CsvStatusRead(BareEnvelope):
    response = CsvStatusItem()


class CsvErrors(Envelope):
    metadata = Written(source="rows")
    response = ErrorItem()
