"""The zone in which a page shows moments that belong to several accounts."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from accounts.models import Account
from console.stops import Accounts, of_accounts


def zone_of(accounts: Accounts) -> tzinfo:
    """Return the zone that the accounts share; UTC where they have several."""
    zones = of_accounts(Account.objects.order_by("time_zone"), accounts, "pk")
    names = list(zones.values_list("time_zone", flat=True).distinct()[:2])
    return ZoneInfo(names[0]) if len(names) == 1 else UTC
