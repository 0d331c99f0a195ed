"""A campaign rehearsed: the real gate, rules, retries and shares over a virtual clock, with a model of the callees.

`setting` reads what is there, `simulation` lets it happen, `outlook` says in words what came of it; `forecasts` does
all three at once, for pages and requests.
"""

from dialer.rehearsal.callees import DEFAULT, Callees, learnt
from dialer.rehearsal.forecasts import forecast_campaign, forecast_draft, of_draft
from dialer.rehearsal.outlook import Forecast, Rehearsal, forecast, rehearse
from dialer.rehearsal.setting import Setting, of_campaign, of_lists, of_numbers

__all__ = [
    "DEFAULT",
    "Callees",
    "Forecast",
    "Rehearsal",
    "Setting",
    "forecast",
    "forecast_campaign",
    "forecast_draft",
    "learnt",
    "of_campaign",
    "of_draft",
    "of_lists",
    "of_numbers",
    "rehearse",
]
