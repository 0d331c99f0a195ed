"""CSV files into lists: the upload, how far it has come, and the rows that were not loaded."""

from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.csv_uploads import upload_form
from api.csv_uploads.responses import CsvErrors, CsvStatusRead, CsvUploadTaken
from api.http import openapi
from api.http.account_view import AccountView
from api.http.errors import NotFound
from api.http.parsers import printable
from contacts.csv_uploads import intake, rejected_rows
from contacts.models import CsvUpload
from core import ids
from core.ids import wire_id

TAGS = ["CSV uploads"]


class CsvUploadForm(serializers.Serializer):  # type: ignore[type-arg]
    # Described only: upload_form reads it.
    list_name = serializers.CharField(help_text="The list to fill; it is created if there is none.")
    file_name = serializers.FileField(help_text="The file itself: CSV, or an .xlsx workbook.")
    type = serializers.CharField(required=False, help_text="static, which is the default, or dynamic.")
    columns = serializers.CharField(
        required=False,
        help_text='A JSON object that says how the file names columns, such as {"number": "Phone 1"}. In a dynamic list'
        " its keys may be names of your own.",
    )
    ignore_columns = serializers.CharField(
        required=False, help_text="true leaves out all columns that are neither known nor in columns."
    )
    allow_blanks = serializers.CharField(
        required=False,
        help_text="Of a dynamic list, from now on: true takes rows without a value for a column, false rejects them.",
    )


class CsvView(AccountView):
    # Responses, errors too, have one item and no array around it.

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        (response.data["response"],) = response.data["response"]
        return response

    def upload(self, upload_id: str) -> CsvUpload:
        uploads = CsvUpload.objects.filter(account=self.account).select_related("account")
        upload = uploads.filter(pk=ids.parse_or_nil(upload_id)).first()
        if upload is None:
            raise NotFound(f"there is no upload {printable(upload_id)} in this account")
        return upload


class CsvUploadView(CsvView):
    @extend_schema(
        operation_id="upload_csv",
        request={"multipart/form-data": CsvUploadForm},
        responses=openapi.responses(CsvUploadTaken, 413, bad=CsvErrors, conflict=openapi.CONFLICT),
        tags=TAGS,
    )
    def post(self, request: Request, account_sid: str) -> Response:
        form = upload_form.receive(request._request)
        name = upload_form.list_name(form)
        choice = upload_form.column_choice(form)
        file = upload_form.required_file(form)
        upload = intake.receive(
            self.account,
            file,
            actor=self.actor,
            list_name=name,
            choice=choice,
            file_name=file.name or "",
            allows_blanks=upload_form.allows_blanks(form),
        )
        return self.respond(CsvUploadTaken, [upload])


class DoNotCallForm(serializers.Serializer):  # type: ignore[type-arg]
    # Described only: upload_form reads it.
    file_name = serializers.FileField(help_text="The file itself: CSV, or an .xlsx workbook.")
    columns = serializers.CharField(
        required=False, help_text='Where no column is named number: which one it is, as in {"number": "Phone 1"}.'
    )


class DoNotCallUploadView(CsvView):
    @extend_schema(
        operation_id="upload_do_not_call",
        request={"multipart/form-data": DoNotCallForm},
        responses=openapi.responses(CsvUploadTaken, 413, bad=CsvErrors),
        tags=["Do not call"],
    )
    def post(self, request: Request, account_sid: str) -> Response:
        """Add the numbers of a file. Each is in force as soon as its row is loaded."""
        form = upload_form.receive(request._request)
        number_column = upload_form.number_column(form)
        file = upload_form.required_file(form)
        upload = intake.receive_do_not_call(
            self.account, file, actor=self.actor, number_column=number_column, file_name=file.name or ""
        )
        return self.respond(CsvUploadTaken, [upload])


class CsvStatusView(CsvView):
    @extend_schema(operation_id="get_csv_status", responses=openapi.responses(CsvStatusRead, bad=CsvErrors), tags=TAGS)
    def get(self, request: Request, account_sid: str, upload_id: str) -> Response:
        return self.respond(CsvStatusRead, [self.upload(upload_id)])


def _rejected_rows_responses() -> dict[Any, Any]:
    described: dict[Any, Any] = {(200, "text/csv"): OpenApiTypes.STR}
    for code, bad in openapi.responses(None, bad=CsvErrors).items():
        if code != 200:
            described[code, "application/json"] = bad
    return described


class RejectedRowsView(CsvView):
    reads_much = True

    @extend_schema(operation_id="get_rejected_rows", responses=_rejected_rows_responses(), tags=TAGS)
    def get(self, request: Request, account_sid: str, upload_id: str) -> HttpResponseBase:
        upload = self.upload(upload_id)
        response = StreamingHttpResponse(rejected_rows.stream(upload), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="rejected-rows-{wire_id(upload.pk)}.csv"'
        return response
