"""The sandbox: a stand-in carrier in a process of its own that speaks Exotel's v1 connect API and calls no phone."""

from django.conf import settings

from accounts.carriers import CarrierKind
from dialer.carriers.base import Access, CallRequest
from dialer.carriers.exotel import ExotelCarrier

# It hears nobody.
LACKS = frozenset({"record", "record_call"})


class SandboxCarrier(ExotelCarrier):
    """Unlike Exotel it reads the flow from this server and runs it, and ends calls when it is asked to.

    It takes any credentials, and any account SID. A trunk without an address is at the sandbox of the settings.
    """

    kind = CarrierKind(
        "sandbox",
        "Sandbox (rings nobody)",
        needs_credentials=False,
        lacks=LACKS,
        found_by=ExotelCarrier.kind.found_by,
        lists_calls=True,
        hangs_up=True,
    )
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

    async def end_call(self, carrier_ref: str) -> None:
        await self.ask("POST", f"{self._calls}/{carrier_ref}", data={"Status": "completed"})
