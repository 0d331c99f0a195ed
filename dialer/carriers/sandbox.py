"""The sandbox: a stand-in carrier in a process of its own that speaks Exotel's v1 connect API and calls no phone."""

from django.conf import settings

from accounts.carriers import CarrierKind
from dialer.carriers.base import Access, CallRequest
from dialer.carriers.exotel import ExotelCarrier

# It hears nobody.
LACKS = frozenset({"record", "record_call"})


class SandboxCarrier(ExotelCarrier):
    """Unlike Exotel it reads the flow from this server and runs it. It takes any credentials, and any account SID.

    A trunk without an address is at the sandbox of this server's settings.
    """

    kind = CarrierKind("sandbox", "Sandbox (rings nobody)", needs_credentials=False, lacks=LACKS)
    # Its calls ring at once, so that would be news of nothing.
    events = ("terminal", "answered")

    @classmethod
    def connect(cls, access: Access) -> "SandboxCarrier":
        return cls(
            access.base_url or settings.SANDBOX_URL,
            access.account_sid or "sandbox",
            access.api_key or "sandbox",
            access.api_token or "sandbox",
        )

    def _flow_address(self, request: CallRequest) -> str:
        return request.flow_url
