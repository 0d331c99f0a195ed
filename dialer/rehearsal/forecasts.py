"""How much of a campaign fits before its end: of one that is stored, or only drafted. A constant number of queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from accounts.models import Account
from campaigns import audience, lifecycle
from campaigns.models import Campaign
from core.errors import WrongState
from dialer.rehearsal.callees import Callees, learnt
from dialer.rehearsal.outlook import FOR_A_FORECAST, Forecast, forecast
from dialer.rehearsal.setting import Setting, of_campaign, of_lists, of_numbers


def forecast_campaign(campaign: Campaign, now: datetime, callees: Callees | None = None) -> Forecast:
    """Tell how much of a stored campaign fits.

    Args:
        callees: how people behave; None: as the account's own past says.

    Raises:
        WrongState: it has ended, or its calls are still being made from its lists.
    """
    if not campaign.is_open:
        raise WrongState(f"the campaign is {campaign.status}: there is nothing left to expect of it")
    if campaign.is_loading:
        raise WrongState("the campaign's calls are still being made from its lists: try again in a minute")
    setting = of_campaign(campaign, now, most=FOR_A_FORECAST)
    return forecast(setting, callees or learnt(setting.account))


def forecast_draft(account: Account, *, now: datetime, numbers: Sequence[str] = (), **columns: Any) -> Forecast:
    """Tell how much of a campaign would fit that is not stored. Nothing is stored.

    Args:
        numbers: whom to call, in E.164; ignored where `columns` has list_ids.
        columns: as for `lifecycle.create`; caller_id at least.

    Raises:
        InvalidRequest: what `lifecycle.create` says of the schedule.
    """
    columns.pop("custom_field", None)
    draft = lifecycle.draft(account, now=now, **columns)
    return forecast(of_draft(draft, numbers, now, most=FOR_A_FORECAST), learnt(account))


def of_draft(draft: Campaign, numbers: Sequence[str], now: datetime, *, most: int) -> Setting:
    """Return the setting of a draft, which would call its lists, or else these numbers. most: as for `of_campaign`."""
    if draft.list_ids:
        return of_lists(draft, now, most=most)
    return of_numbers(draft, audience.numbers_to_call(draft, numbers), now).thinned(most)
