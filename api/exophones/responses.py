"""ExoPhones as responses show them: v2_beta has no envelope."""

from dataclasses import dataclass
from urllib.parse import urlencode

import phonenumbers
from rest_framework import serializers

from accounts.models import CallerId
from api.http.envelope import Errors
from api.http.responses import Count, ResponseSerializer, Text


@dataclass(frozen=True)
class ShownPhone:
    """A caller ID and the address of the list that it is in."""

    caller_id: CallerId
    list_address: str
    country: str
    national: str

    @classmethod
    def of(cls, caller_id: CallerId, list_address: str) -> "ShownPhone":
        country, national = _national(caller_id.number)
        return cls(caller_id, list_address, country or caller_id.account.region, national)

    @property
    def sid(self) -> str:
        return sid(self.caller_id)


@dataclass(frozen=True)
class ShownPage:
    """One page of the caller IDs that an account has, `total` in all; number: of the page, from 0."""

    phones: list[ShownPhone]
    total: int
    number: int
    size: int
    address: str


class Capabilities(ResponseSerializer):
    # A caller ID only dials out.
    voice = serializers.BooleanField()
    sms = serializers.BooleanField()

    def get_voice(self, phone: ShownPhone) -> bool:
        return True

    def get_sms(self, phone: ShownPhone) -> bool:
        return False


class ExoPhone(ResponseSerializer):
    sid = Text("The digits of the number.")
    phone_number = Text("E.164.", source="caller_id.number")
    friendly_name = Text("As it is dialled within its country.", source="national")
    capabilities = Capabilities(source="*")
    country = Text("Two letters.")
    region = Text(allow_null=True)
    voice_url = Text(allow_null=True)
    sms_url = Text(allow_null=True)
    uri = Text()

    # Not known of a caller ID, or of calls in, which this server does not take.
    def get_region(self, phone: ShownPhone) -> None:
        return None

    get_voice_url = get_sms_url = get_region

    def get_uri(self, phone: ShownPhone) -> str:
        return f"{phone.list_address}/{phone.sid}"


class ExoPhonesPage(ResponseSerializer):
    page = Count("From 0.", source="number")
    page_size = Count(source="size")
    uri = Text()
    first_page_uri = Text()
    next_page_uri = Text("Null on the last page.", allow_null=True)
    previous_page_uri = Text("Null on the first page.", allow_null=True)
    incoming_phone_numbers = ExoPhone(many=True, source="phones")

    def get_uri(self, page: ShownPage) -> str:
        return _uri(page, page.number)

    def get_first_page_uri(self, page: ShownPage) -> str:
        return _uri(page, 0)

    def get_next_page_uri(self, page: ShownPage) -> str | None:
        return _uri(page, page.number + 1) if page.total > (page.number + 1) * page.size else None

    def get_previous_page_uri(self, page: ShownPage) -> str | None:
        return _uri(page, page.number - 1) if page.number else None


def _uri(page: ShownPage, number: int) -> str:
    return f"{page.address}?{urlencode({'Page': number, 'PageSize': page.size})}"


class RestException(ResponseSerializer):
    Status = Count("HTTP status.", source="code")
    Message = Text(source="description")


class ExoPhoneErrors(Errors):
    # The envelope, as for all errors, and v2_beta's own shape beside it.
    RestException = RestException()


def sid(caller_id: CallerId) -> str:
    """Return the digits of the number: an account has each number once, and an address can hold the digits."""
    return caller_id.number.removeprefix("+")


def _national(number: str) -> tuple[str | None, str]:
    """Return the country, and the number as it is dialled there: +918047113311 as 08047113311.

    A short code has no country and is dialled as it is.
    """
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None, number
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.region_code_for_number(parsed), "".join(filter(str.isdigit, written))
