"""The registry of drivers. To add a carrier, write its module here and add its line to DRIVERS."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

import accounts.carriers
from accounts.carriers import UnknownCarrier
from accounts.models import Trunk
from dialer.carriers.base import Access, Carrier

DRIVERS = (
    "dialer.carriers.sandbox.SandboxCarrier",
    "dialer.carriers.exotel.ExotelCarrier",
    "dialer.carriers.twiml.TwilioCarrier",
    "dialer.carriers.twiml.SignalWireCarrier",
    "dialer.carriers.twiml.TelnyxCarrier",
    "sipgateway.driver.SipCarrier",
    "dialer.carriers.simulated.SimulatedCarrier",
)

_drivers: dict[str, type[Carrier]] = {}


def register_all() -> None:
    """Register the drivers of DRIVERS, but for those for tests where the settings don't ask for them.

    Called once, when the dialer app is ready.
    """
    for driver in map(import_string, DRIVERS):
        if settings.SIMULATED_CARRIER or not driver.kind.is_for_tests:
            register(driver)


def register(driver: type[Carrier]) -> None:
    """Make a driver and its kind known."""
    accounts.carriers.register(driver.kind)
    _drivers[driver.kind.name] = driver


def is_known(name: str) -> bool:
    """Tell whether a driver of that name is registered."""
    return name in _drivers


def driver(name: str) -> type[Carrier]:
    """Return the driver of that name. Raises UnknownCarrier."""
    if name not in _drivers:
        raise UnknownCarrier(f"there is no driver for the carrier {name}")
    return _drivers[name]


def carrier_of(trunk: Trunk) -> Carrier:
    """Return the trunk's driver with its present settings: one instance for equal settings, so connections are kept.

    Raises:
        core.encryption.UnreadableSecret: the trunk's token has to be entered again.
    """
    return connect(trunk.carrier, access_of(trunk))


def access_of(trunk: Trunk) -> Access:
    """Return the trunk's present settings. Raises core.encryption.UnreadableSecret."""
    return Access(
        trunk.base_url, trunk.account_sid, trunk.api_key, trunk.api_token.reveal(), trunk.signing_key.reveal()
    )


@cache
def connect(name: str, access: Access) -> Carrier:
    """Return the driver of that name with these settings: one instance for equal ones. Raises UnknownCarrier."""
    return driver(name).connect(access)
