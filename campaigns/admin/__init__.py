"""The admin pages of campaigns, calls, flows and histories. Changes to campaigns go through `lifecycle`."""

from campaigns.admin.calls import CallAdmin, CampaignFilter
from campaigns.admin.campaigns import CampaignAdmin
from campaigns.admin.custom_fields import CustomFieldAdmin
from campaigns.admin.flows import FlowAdmin
from campaigns.admin.histories import CallHistoryAdmin, CampaignHistoryAdmin, HistoryAdmin

__all__ = [
    "CallAdmin",
    "CallHistoryAdmin",
    "CampaignAdmin",
    "CampaignFilter",
    "CampaignHistoryAdmin",
    "CustomFieldAdmin",
    "FlowAdmin",
    "HistoryAdmin",
]
