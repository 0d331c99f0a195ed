"""Rule sets that a client adds to a campaign."""

from datetime import timedelta

from django.utils import timezone

from accounts.calling_rules import presets
from tests.api.client import campaign


def test_rules_are_kept_once_each_and_shown(api):
    assert api.post("/campaigns", campaign(rules=["us", "us-states", "us"])).data["rules"] == ["us", "us-states"]


def test_an_unknown_one_is_refused_with_the_list_of_all(api):
    api.post("/campaigns", campaign(rules=["us", "eu"])).is_refused(400, "rules", "there is no rule set eu", *presets())


def test_a_campaign_without_them_has_exotels_shape(api):
    assert "rules" not in api.post("/campaigns", campaign()).data


def test_they_are_changed_before_the_start(api):
    start = (timezone.now() + timedelta(hours=1)).isoformat()
    made = api.post("/campaigns", campaign(schedule={"send_at": start}, rules=["us"])).data
    assert api.put(f"/campaigns/{made['id']}", {"rules": ["fr"]}).data["rules"] == ["fr"]
