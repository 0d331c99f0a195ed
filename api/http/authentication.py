"""HTTP Basic with an API key and its token. Old clients send the account's SID instead of the key."""

import base64
import binascii
from dataclasses import dataclass

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from accounts import audit, credentials
from accounts.audit import Actor, Verb
from accounts.models import Account, ApiKey
from api.http import sign_in_limit
from api.http.parsers import printable
from api.http.rate_limits import meter
from core.client_address import client_address

WHAT_TO_DO = "sign in with HTTP Basic: the API key as user name, the API token as password"


@dataclass(frozen=True)
class Caller:
    """The key that a request was signed in with; DRF's `request.user`."""

    key: ApiKey
    is_authenticated: bool = True

    @property
    def account(self) -> Account:
        return self.key.account

    @property
    def actor(self) -> Actor:
        return audit.of_key(self.key)


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        user, token = _basic(request)
        tries = sign_in_limit.Tries(sign_in_limit.client_network(request._request), user)
        tries.check()
        key = credentials.find_key(user, token)
        if key is None:
            tries.count_failure()
            raise AuthenticationFailed(f"wrong credentials: {WHAT_TO_DO}")
        _require_range(key, client_address(request._request))
        return Caller(key), None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="Trunkline"'


def _require_range(key: ApiKey, address: str) -> None:
    """Refuse a key outside its networks. It may be stolen, so that a refusal is recorded, once a minute."""
    if credentials.may_be_used_from(key, address):
        return
    refused = meter().admit(f"outside/{key.pk}/{address[:64]}", 1)
    if refused is None or refused.admitted:
        audit.record(audit.of_key(key), Verb.REFUSED, key, what="used from outside its address ranges")
    shown = printable(address) or "an unknown address"
    raise PermissionDenied(f"this API key may not be used from {shown}: add the address to its ranges, in the admin")


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
