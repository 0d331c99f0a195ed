"""ExoPhones, the caller IDs of an account, as Exotel's `v2_beta` lists them: without the envelope of v2."""

from typing import Any
from urllib.parse import urlencode

import phonenumbers
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import CallerId
from api.campaigns.views import AccountView
from api.http.errors import NotFound
from api.http.parsers import printable

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class ExoPhonesQuery(serializers.Serializer):  # type: ignore[type-arg]
    """Page counts from 0; a PageSize above the maximum is the maximum."""

    Page = serializers.IntegerField(min_value=0, max_value=2**31, default=0)
    PageSize = serializers.IntegerField(min_value=1, default=PAGE_SIZE)

    def validate_PageSize(self, size: int) -> int:  # noqa: N802 - named for the field
        return min(size, MAX_PAGE_SIZE)


class ExoPhoneView(AccountView):
    """Inactive caller IDs are left out: nothing can be dialled from them."""

    def handle_exception(self, exc: Exception) -> Response:
        """The envelope, and v2_beta's own shape beside it: exotelpy reads one of a 401 and the other of the rest."""
        response = super().handle_exception(exc)
        sentence = response.data["response"][0]["error_data"]["description"]
        response.data["RestException"] = {"Status": response.status_code, "Message": sentence}
        return response

    def caller_ids(self) -> list[CallerId]:
        return list(self.account.caller_ids.filter(is_active=True).order_by("number"))


class ExoPhoneListView(ExoPhoneView):
    def get(self, request: Request, account_sid: str) -> Response:
        query = ExoPhonesQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        page, size = query.validated_data["Page"], query.validated_data["PageSize"]
        every = self.caller_ids()

        def uri(number: int) -> str:
            return f"{request.path}?{urlencode({'Page': number, 'PageSize': size})}"

        answer = {
            "page": page,
            "page_size": size,
            "uri": uri(page),
            "first_page_uri": uri(0),
            "next_page_uri": uri(page + 1) if len(every) > (page + 1) * size else None,
            "previous_page_uri": uri(page - 1) if page else None,
            "incoming_phone_numbers": [exophone(each, request.path) for each in every[page * size : (page + 1) * size]],
        }
        return Response(answer)


class ExoPhoneDetailsView(ExoPhoneView):
    def get(self, request: Request, account_sid: str, exophone_sid: str) -> Response:
        for each in self.caller_ids():
            if exophone_sid == sid(each):
                return Response(exophone(each, request.path.rpartition("/")[0]))
        raise NotFound(f"there is no ExoPhone {printable(exophone_sid)} in this account")


def sid(caller_id: CallerId) -> str:
    """The digits of the number: an account has each once, and an address can hold them as they are."""
    return caller_id.number.removeprefix("+")


def exophone(caller_id: CallerId, address: str) -> dict[str, Any]:
    """The record of one; address is that of the list. A caller ID only dials out, so no address is set for calls in."""
    country, national = _national(caller_id.number)
    return {
        "sid": sid(caller_id),
        "phone_number": caller_id.number,
        "friendly_name": national,
        "capabilities": {"voice": True, "sms": False},
        "country": country or caller_id.account.region,
        "region": None,
        "voice_url": None,
        "sms_url": None,
        "uri": f"{address}/{sid(caller_id)}",
    }


def _national(number: str) -> tuple[str | None, str]:
    """The country, and the number as it is dialled there: +918047113311 as 08047113311. A short code is its own."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None, number
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.region_code_for_number(parsed), "".join(each for each in written if each.isdigit())
