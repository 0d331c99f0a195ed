"""The carriers that calls can leave over. A new one is a driver module, a choice in accounts.Trunk, and a line here."""

from functools import cache

from django.conf import settings

from accounts.models import Trunk
from dialer.carriers.base import Carrier
from dialer.carriers.exotel import ExotelCarrier
from dialer.carriers.simulated import SimulatedCarrier

DRIVERS: dict[str, type[Carrier]] = {
    Trunk.Carrier.SANDBOX: ExotelCarrier,
    Trunk.Carrier.EXOTEL: ExotelCarrier,
    Trunk.Carrier.SIMULATED: SimulatedCarrier,
}


def carrier_of(trunk: Trunk) -> Carrier:
    """The driver of the trunk with its present settings; one instance for equal settings, so connections are kept.

    Raises core.encryption.UnreadableSecret when the trunk's token has to be entered again.
    """
    return _carrier(trunk.carrier, trunk.base_url, trunk.account_sid, trunk.api_key, trunk.api_token.reveal())


@cache
def _carrier(kind: str, base_url: str, account_sid: str, api_key: str, api_token: str) -> Carrier:
    match kind:
        case Trunk.Carrier.SIMULATED:
            return SimulatedCarrier()
        case Trunk.Carrier.SANDBOX:
            return ExotelCarrier(settings.SANDBOX_URL, "sandbox", "sandbox", "sandbox")
        case Trunk.Carrier.EXOTEL:
            return ExotelCarrier(base_url, account_sid, api_key, api_token)
    raise ValueError(f"there is no driver for the carrier {kind}")
