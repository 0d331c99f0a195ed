"""The zone in which a page shows moments that belong to several accounts, and how moments are written."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from accounts.models import Account
from console.stops import Accounts, of_accounts


def zone_of(accounts: Accounts) -> tzinfo:
    """Return the zone that the accounts share; UTC where they have several."""
    zones = of_accounts(Account.objects.order_by("time_zone"), accounts, "pk")
    names = list(zones.values_list("time_zone", flat=True).distinct()[:2])
    return ZoneInfo(names[0]) if len(names) == 1 else UTC


def wall(moment: datetime, zone: tzinfo) -> str:
    """Write a moment by the clock of a zone, with its abbreviation."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
