"""The base of every view of an account's campaigns."""

from django.db.models import BigIntegerField, QuerySet

from api.http.account_view import AccountView
from api.http.errors import NotFound
from api.http.parsers import printable
from campaigns.models import Campaign
from core import ids
from core.composed_once import ComposedOnce, Given

TAGS = ["Campaigns"]


def _shown() -> "QuerySet[Campaign]":
    return Campaign.objects.filter(is_purging=False).select_related("account", "custom_field")


_OF_ACCOUNT = ComposedOnce(lambda: _shown().filter(account_id=Given("account", BigIntegerField())))


class CampaignsView(AccountView):
    def campaigns(self) -> "QuerySet[Campaign]":
        return _shown().filter(account=self.account)

    def campaign(self, campaign_id: str) -> Campaign:
        """Load the account's campaign of that id. Raises NotFound, for another account's campaign, too."""
        found = _OF_ACCOUNT.of([ids.parse_or_nil(campaign_id)], account=self.account.pk)
        if not found:
            raise NotFound(f"there is no campaign {printable(campaign_id)} in this account")
        return found[0]
