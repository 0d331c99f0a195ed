"""The models of campaigns. The database refuses impossible rows: the name of each constraint says which."""

from campaigns.models.call import Call, CallHistory, Outcome
from campaigns.models.call_tally import CallTally
from campaigns.models.campaign import (
    MAX_INTERVAL_MINS,
    MAX_REPEATS,
    MAX_RETRIES,
    MAX_STATIC_LISTS,
    Campaign,
    CampaignHistory,
    CustomField,
)
from campaigns.models.flow import Flow

__all__ = [
    "MAX_INTERVAL_MINS",
    "MAX_REPEATS",
    "MAX_RETRIES",
    "MAX_STATIC_LISTS",
    "Call",
    "CallHistory",
    "CallTally",
    "Campaign",
    "CampaignHistory",
    "CustomField",
    "Flow",
    "Outcome",
]
