"""The base of every view of an account's campaigns."""

from django.db.models import QuerySet

from api.http.account_view import AccountView
from api.http.errors import NotFound
from api.http.parsers import printable
from campaigns.models import Campaign
from core import ids

TAGS = ["Campaigns"]


class CampaignsView(AccountView):
    def campaigns(self) -> "QuerySet[Campaign]":
        campaigns = Campaign.objects.filter(account=self.account, is_purging=False)
        return campaigns.select_related("account", "custom_field")

    def campaign(self, campaign_id: str) -> Campaign:
        """Load the account's campaign of that id. Raises NotFound, for another account's campaign, too."""
        campaign = self.campaigns().filter(pk=ids.parse_or_nil(campaign_id)).first()
        if campaign is None:
            raise NotFound(f"there is no campaign {printable(campaign_id)} in this account")
        return campaign
