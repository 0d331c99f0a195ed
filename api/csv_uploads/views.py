"""CSV files into lists: the upload, how far it has come, and the rows that were not loaded."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns.views import AccountView
from api.csv_uploads import upload_form
from api.http import envelope
from api.http.errors import NotFound
from api.http.parsers import printable
from contacts.csv_uploads import intake, rejected_rows
from contacts.models import ContactList, CsvUpload
from core import ids
from core.errors import InvalidRequest
from core.ids import wire_id


class CsvView(AccountView):
    """Answers, errors too, have one item and no array around it."""

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        (response.data["response"],) = response.data["response"]
        return response

    def upload(self, upload_id: str) -> CsvUpload:
        uploads = CsvUpload.objects.filter(account=self.account)
        upload = uploads.filter(pk=ids.parse_or_nil(upload_id)).first()
        if upload is None:
            raise NotFound(f"there is no upload {printable(upload_id)} in this account")
        return upload

    def address(self, upload_id: UUID) -> str:
        return f"{settings.PUBLIC_URL}/v2/accounts/{self.account.sid}/csv-status/{wire_id(upload_id)}"

    def answer(self, request: Request, data: dict[str, Any]) -> Response:
        return Response(envelope.one(request.method, data))


class CsvUploadView(CsvView):
    """/contacts/csv-upload"""

    def post(self, request: Request, account_sid: str) -> Response:
        form = upload_form.receive(request._request)
        name = form.fields.get("list_name", "").strip()
        if not name or len(name) > 255:
            raise InvalidRequest("'list_name' is mandatory: give a name of at most 255 characters for the list to fill")
        kind = form.fields.get("type", "").strip().lower() or ContactList.Type.STATIC
        if kind not in ContactList.Type.values:
            raise InvalidRequest("'type': must be static or dynamic")
        if form.file is None:
            raise InvalidRequest("'file_name' is mandatory: send the CSV file itself in this part of the form")
        upload = intake.receive(self.account, form.file, list_name=name, kind=kind, file_name=form.file.name or "")
        summary = {
            "upload_id": wire_id(upload.pk),
            "list_sid": wire_id(upload.contact_list_id),
            "url": self.address(upload.pk),
        }
        return self.answer(request, {"summary": summary})


class CsvStatusView(CsvView):
    """/csv-status/<upload_id>"""

    def get(self, request: Request, account_sid: str, upload_id: str) -> Response:
        upload = self.upload(upload_id)
        data: dict[str, Any] = {
            "upload_id": wire_id(upload.pk),
            "list_sid": wire_id(upload.contact_list_id),
            "status": upload.status,
            "stats": {
                "total": upload.rows_total,
                "success": upload.rows_loaded,
                "duplicate": upload.rows_duplicate,
                "failed": upload.rows_rejected,
            },
            "rejected_rows_url": f"{self.address(upload.pk)}/rejected-rows" if upload.rows_rejected else None,
        }
        if upload.error:
            data["error"] = upload.error
        return self.answer(request, data)


class RejectedRowsView(CsvView):
    """/csv-status/<upload_id>/rejected-rows"""

    def get(self, request: Request, account_sid: str, upload_id: str) -> HttpResponseBase:
        upload = self.upload(upload_id)
        response = StreamingHttpResponse(rejected_rows.stream(upload), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="rejected-rows-{wire_id(upload.pk)}.csv"'
        return response
