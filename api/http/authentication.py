"""HTTP Basic with an API key and its token. Old clients send the account's SID instead of the key."""

import base64
import binascii
from dataclasses import dataclass

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import credentials
from accounts.models import Account
from api.http import sign_in_limit

WHAT_TO_DO = "sign in with HTTP Basic: the API key as user name, the API token as password"


@dataclass(frozen=True)
class Caller:
    """The account that a request was sent for; DRF's `request.user`."""

    account: Account
    is_authenticated: bool = True


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        user, token = _basic(request)
        address = sign_in_limit.client_network(request._request)
        sign_in_limit.check(address)
        account = credentials.find_account(user, token)
        if account is None:
            sign_in_limit.count_failure(address)
            raise AuthenticationFailed(f"wrong credentials: {WHAT_TO_DO}")
        return Caller(account), None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="Trunkline"'


def _basic(request: Request) -> tuple[str, str]:
    """Return the user and the password of the Authorization header. Raises AuthenticationFailed."""
    scheme, _, encoded = get_authorization_header(request).partition(b" ")
    if scheme.lower() != b"basic":
        raise AuthenticationFailed(f"no credentials: {WHAT_TO_DO}")
    try:
        user, colon, token = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = colon = token = ""
    if not colon or "\0" in user:
        raise AuthenticationFailed(f"the Authorization header can't be read: {WHAT_TO_DO}")
    return user, token
