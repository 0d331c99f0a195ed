"""A campaign that was deleted because it ended long ago answers as one that never was."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Campaign
from retention import purge
from tests.factories import CampaignFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def purged(account, redis):
    """One that is gone, and one that is being deleted at the moment."""
    gone = CampaignFactory(completed=True, account=account, ended_at=timezone.now() - timedelta(days=20))
    list(purge.slices(timezone.now() - timedelta(days=10)))
    begun = CampaignFactory(completed=True, account=account, is_purging=True)
    assert [row.pk for row in Campaign.objects.filter(account=account)] == [begun.pk]
    return [gone, begun]


@pytest.mark.parametrize("address", ["", "/diagnosis", "/call-details"])
def test_reading_it_is_404(api, purged, address):
    for campaign in purged:
        response = api.get(f"/campaigns/{campaign.pk.hex}{address}")
        assert response.status == 404
        assert f"there is no campaign {campaign.pk.hex} in this account" in str(response.envelope)


def test_changing_it_is_404(api, purged):
    for campaign in purged:
        body = {"campaigns": [{"action": "archive"}]}
        assert api.put(f"/campaigns/{campaign.pk.hex}", body).status == 404
        assert api.delete(f"/campaigns/{campaign.pk.hex}").status == 404


def test_lists_neither_show_nor_count_it(api, account, purged):
    stays = CampaignFactory(account=account)
    response = api.get("/campaigns")
    assert response.envelope["metadata"]["total"] == 1
    assert [item["data"]["id"] for item in response.envelope["response"]] == [stays.pk.hex]
