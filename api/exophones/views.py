"""ExoPhones, the caller IDs of an account, as Exotel's `v2_beta` lists them."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import CallerId
from api.exophones.responses import (
    ExoPhone,
    ExoPhoneErrors,
    ExoPhonesPage,
    RestException,
    ShownPage,
    ShownPhone,
    sid,
)
from api.http import openapi
from api.http.account_view import AccountView
from api.http.envelope import Failure
from api.http.errors import NotFound
from api.http.parsers import printable

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
TAGS = ["ExoPhones"]


class ExoPhonesQuery(serializers.Serializer):  # type: ignore[type-arg]
    """Page counts from 0. A PageSize above the maximum counts as the maximum."""

    Page = serializers.IntegerField(min_value=0, max_value=2**31, default=0)
    PageSize = serializers.IntegerField(min_value=1, default=PAGE_SIZE)

    def validate_PageSize(self, size: int) -> int:  # noqa: N802 - named for the field
        return min(size, MAX_PAGE_SIZE)


class ExoPhoneView(AccountView):
    """Inactive caller IDs are left out: nothing can be dialled from them."""

    def handle_exception(self, exc: Exception) -> Response:
        """Add v2_beta's own shape to the envelope: exotelpy reads one of a 401 and the other of the rest."""
        response = super().handle_exception(exc)
        sentence = response.data["response"][0]["error_data"]["description"]
        response.data["RestException"] = RestException(Failure(response.status_code, sentence)).data
        return response

    def caller_ids(self) -> list[CallerId]:
        return list(self.account.caller_ids.filter(is_active=True).order_by("number"))


class ExoPhoneListView(ExoPhoneView):
    @extend_schema(
        operation_id="list_exophones",
        parameters=[
            OpenApiParameter("Page", OpenApiTypes.INT, description="From 0."),
            OpenApiParameter("PageSize", OpenApiTypes.INT, description=f"At most {MAX_PAGE_SIZE}; more is clamped."),
        ],
        responses=openapi.responses(ExoPhonesPage, bad=ExoPhoneErrors),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str) -> Response:
        query = ExoPhonesQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        number, size = query.validated_data["Page"], query.validated_data["PageSize"]
        caller_ids = self.caller_ids()
        phones = [ShownPhone.of(caller_id, request.path) for caller_id in caller_ids[number * size :][:size]]
        return Response(ExoPhonesPage(ShownPage(phones, len(caller_ids), number, size, request.path)).data)


class ExoPhoneDetailsView(ExoPhoneView):
    @extend_schema(operation_id="get_exophone", responses=openapi.responses(ExoPhone, bad=ExoPhoneErrors), tags=TAGS)
    def get(self, request: Request, account_sid: str, exophone_sid: str) -> Response:
        for caller_id in self.caller_ids():
            if exophone_sid == sid(caller_id):
                return Response(ExoPhone(ShownPhone.of(caller_id, request.path.rpartition("/")[0])).data)
        raise NotFound(f"there is no ExoPhone {printable(exophone_sid)} in this account")
