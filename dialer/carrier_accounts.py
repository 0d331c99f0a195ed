"""Ask about calls where they were placed, also after their trunk has got another address or account.

Address and account SID make a carrier account; key and token only open it. So a new token of a trunk opens its calls of
yesterday too, and a new address leaves them where they are. The credentials that a trunk leaves behind are kept at the
account, encrypted as the trunk's own, for as long as calls are under way there.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Q

from accounts.models import CarrierAccount, Trunk
from dialer import carriers
from dialer.carriers.base import KEEPS_NO_LIST, Access, CantList, Carrier, Listed


class Place(NamedTuple):
    """Where calls were placed: the account at the carrier that took them, over a trunk that may have left it since."""

    trunk: Trunk
    account: CarrierAccount


def places(since: datetime) -> Iterator[Place]:
    """Yield those that may have been asked for calls since then, each with a trunk that is there or was."""
    trunks = {trunk.carrier_account_id: trunk for trunk in Trunk.objects.order_by("-pk")}
    some = next(iter(trunks.values()), None)
    for account in CarrierAccount.objects.filter(Q(left_at=None) | Q(left_at__gte=since)).order_by("pk"):
        if trunk := trunks.get(account.pk, some):
            yield Place(trunk, account)


def carrier_of(account: CarrierAccount, trunk: Trunk) -> Carrier:
    """Return the driver for calls that were placed at the account over the trunk.

    Raises:
        core.encryption.UnreadableSecret: the token has to be entered again.
        accounts.carriers.UnknownCarrier: the carrier's driver has gone.
    """
    return carriers.connect(account.carrier, access_to(account, trunk))


def list_calls(place: Place, since: datetime) -> Iterator[Sequence[Listed]]:
    """Yield the calls of the account since then, page by page. Raises CantList, and what `carrier_of` raises."""
    driver = carrier_of(place.account, place.trunk)
    if not driver.kind.lists_calls:
        raise CantList(KEEPS_NO_LIST)
    yield from driver.list_calls(since)


def access_to(account: CarrierAccount, trunk: Trunk) -> Access:
    """Return what opens the account to calls that were placed there over the trunk.

    The trunk's own credentials count while it is there; then those of another trunk that is; then those that were left.

    Raises:
        core.encryption.UnreadableSecret: the token has to be entered again.
    """
    if trunk.carrier_account_id == account.pk:
        return carriers.access_of(trunk)
    if there := Trunk.objects.filter(carrier_account=account).order_by("pk").last():
        return carriers.access_of(there)
    return Access(account.base_url, account.account_sid, account.api_key, account.api_token.reveal())


def forget_credentials() -> int:
    """Forget the credentials of accounts without a trunk and without calls under way. Returns of how many.

    Not in the first minutes: a dialer that read the trunk just before may commit its intent just after.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE accounts_carrieraccount AS account SET api_key = '', api_token = ''
            WHERE left_at < now() - interval '5 minutes' AND (api_key <> '' OR api_token <> '') AND NOT EXISTS (
                SELECT FROM dialer_callattempt WHERE carrier_account_id = account.id
                AND status IN ('claimed', 'placing', 'in-progress', 'unknown'))
            """
        )
        return int(cursor.rowcount)
