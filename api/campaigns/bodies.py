"""The bodies of requests about campaigns: `{"campaigns": [{…}]}`, or one bare object."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers
from rest_framework.request import Request

from api.campaigns.requests import CampaignChangeSerializer, CampaignRequestSerializer
from api.http import bulk
from campaigns import lifecycle
from campaigns.models import Campaign
from core.errors import InvalidRequest

# Each campaign of a request costs a handful of statements. Two hundred take about a second.
MAX_CAMPAIGNS = 200
ACTIONS = lifecycle.ACTIONS


class ActionBody(serializers.Serializer):  # type: ignore[type-arg]
    action = serializers.ChoiceField(list(ACTIONS))


class ActionsBody(serializers.Serializer):  # type: ignore[type-arg]
    campaigns = ActionBody(many=True)


class CampaignsBody(serializers.Serializer):  # type: ignore[type-arg]
    campaigns = CampaignRequestSerializer(many=True)


class ChangesBody(serializers.Serializer):  # type: ignore[type-arg]
    campaigns = CampaignChangeSerializer(many=True)


EXAMPLE = OpenApiExample(
    "A campaign",
    request_only=True,
    value={
        "campaigns": [
            {
                "name": "No class tomorrow",
                "caller_id": "08012345678",
                "url": "http://my.exotel.com/acme/exoml/start_voice/29281",
                "from": ["+919810012345"],
                "retries": {"number_of_retries": 2, "interval_mins": 10, "mechanism": "Exponential"},
            }
        ]
    },
)


def parse(request: Request) -> list[dict[str, Any]]:
    """Return the campaigns of a request. Raises InvalidRequest."""
    given = bulk.bodies(request, "campaigns", max_items=MAX_CAMPAIGNS, title="Campaigns")
    for position, body in enumerate(given):
        if not isinstance(body, dict):
            raise InvalidRequest(f"'campaigns[{position}]': must be an object")
    return given


def parse_action(action: Any, campaign: Campaign) -> Callable[..., Campaign]:
    """Return the verb of campaigns.lifecycle that an action names. Raises InvalidRequest."""
    verb = ACTIONS.get(action.strip().lower()) if isinstance(action, str) else None
    if verb is None:
        raise InvalidRequest(f"'action': must be one of {', '.join(ACTIONS)}; the campaign is {campaign.status}")
    return verb
