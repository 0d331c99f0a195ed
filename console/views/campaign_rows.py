"""What the pages of campaigns share: one campaign that the person may see, and whether they may act on it."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from accounts.models import Role
from campaigns.models import Campaign
from console import campaign_list
from console.views.pages import Pages, accounts_of, operated


class CampaignRows(Pages):
    def campaign(self, request: HttpRequest, pk: UUID) -> Campaign:
        """Return a campaign that the person may see, with what a page, a verb and the report read. 404 for others."""
        rows = campaign_list.visible(accounts_of(request, Role.VIEWER))
        related = rows.select_related(*campaign_list.RELATED, "flow", "custom_field")
        return get_object_or_404(related.defer("caller_id__trunk__api_token"), pk=pk)

    def own(self, request: HttpRequest, pk: UUID) -> Campaign:
        """Return a campaign that the person may act on. 404 for one that is not seen, 403 for one that is only seen."""
        [campaign] = self.require_operated(request, [self.campaign(request, pk)])
        return campaign

    def require_operated(self, request: HttpRequest, campaigns: list[Campaign]) -> list[Campaign]:
        mine = operated(request)
        if mine is not None and any(campaign.account_id not in mine for campaign in campaigns):
            raise PermissionDenied
        return campaigns

    def may_act(self, request: HttpRequest, campaign: Campaign) -> bool:
        mine: Any = operated(request)
        return mine is None or campaign.account_id in mine
