"""Exotel's v2 campaign operations: parse, call, render."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Account
from api import envelope, queries
from api.authentication import Caller
from api.call_details import call_data
from api.errors import NotFound
from api.serializers import CALLBACKS, CampaignSerializer, campaign_data, campaign_summary
from campaigns import lifecycle, progress
from campaigns.errors import CampaignError
from campaigns.models import Campaign
from reports import attempts


class AccountView(APIView):
    """A view below /v2/accounts/<sid>: only the account that signed in exists there."""

    account: Account

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        caller: Caller = request.user  # type: ignore[assignment]
        if caller.account.sid != kwargs["account_sid"]:
            raise NotFound(f"there is no account {kwargs['account_sid'][:64]} for these credentials")
        self.account = caller.account

    def campaigns(self) -> "QuerySet[Campaign]":
        return Campaign.objects.filter(account=self.account).select_related("account", "custom_field")

    def campaign(self, campaign_id: str) -> Campaign:
        """The account's campaign of that id; another account's is as unknown as one that does not exist."""
        try:
            return self.campaigns().get(pk=UUID(campaign_id))
        except (ValueError, Campaign.DoesNotExist):
            raise NotFound(f"there is no campaign {campaign_id[:64]} in this account") from None


class CampaignListView(AccountView):
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(queries.CampaignsQuery, request)
        campaigns = self.campaigns()
        if query.get("status"):
            campaigns = campaigns.filter(status__in=query["status"])
        else:
            campaigns = campaigns.exclude(status=Campaign.Status.DELETED)
        if query.get("name"):
            campaigns = campaigns.filter(name__icontains=query["name"])
        if query.get("type", "trans") != "trans":
            campaigns = campaigns.none()
        total, offset, limit = campaigns.count(), query["offset"], query["limit"]
        page = list(campaigns.order_by(query["sort_by"], "id")[offset : offset + limit])
        return Response(envelope.listed(request.method, _items(page), total=total, offset=offset, limit=limit))

    def post(self, request: Request, account_sid: str) -> Response:
        bodies = _bodies(request)
        parsed = [_validated(CampaignSerializer(data=body, context={"account": self.account})) for body in bodies]
        now = timezone.now()
        with transaction.atomic():
            created = [lifecycle.create(self.account, now=now, **columns) for columns in parsed]
        return Response(envelope.written(request.method, _items(created, with_numbers=True)))


class CampaignView(AccountView):
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        items = _items([self.campaign(campaign_id)], with_numbers=True)
        return Response(envelope.envelope(request.method, 200, items, {"total": 1, "success": 1, "failed": 0}))

    def put(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        bodies = _bodies(request)
        if len(bodies) != 1:
            raise CampaignError("give exactly one campaign to change")
        changed = self._change(campaign, bodies[0])
        return Response(envelope.written(request.method, _items([changed], with_numbers=True)))

    def delete(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        deleted = lifecycle.delete(self.campaign(campaign_id))
        return Response(envelope.written(request.method, _items([deleted], with_numbers=True)))

    def _change(self, campaign: Campaign, body: dict[str, Any]) -> Campaign:
        """An action with whatever rides along; else all parts before the start, and only the callbacks after it."""
        context = {"account": self.account, "campaign": campaign}
        serializer = CampaignSerializer(data=body, context=context, partial=True)
        if body.get("action") is not None:
            return _act(campaign, body["action"])
        given = set(body) & set(serializer.fields)
        if not given:
            raise CampaignError("nothing to change: give an action, or the fields that shall change")
        if lifecycle.has_not_started(campaign):
            return lifecycle.change(campaign, now=timezone.now(), **_validated(serializer))
        locked = sorted(given - set(CALLBACKS))
        if locked:
            raise CampaignError(
                f"'{locked[0]}' can't be changed: the campaign has started and is {campaign.status};"
                f" only action and {', '.join(CALLBACKS)} can be"
            )
        return lifecycle.change_callbacks(campaign, **_validated(serializer))


class CallDetailsView(AccountView):
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        query = queries.parse(queries.PageQuery, request)
        made = attempts.of(campaign, query.get("status") or [])
        total, offset, limit = made.count(), query["offset"], query["limit"]
        page = made.order_by(query["sort_by"], "id")[offset : offset + limit]
        items = [envelope.item(call_data(attempt, campaign)) for attempt in page]
        return Response(envelope.listed(request.method, items, total=total, offset=offset, limit=limit))


def _act(campaign: Campaign, action: Any) -> Campaign:
    verb = lifecycle.ACTIONS.get(action.strip().lower()) if isinstance(action, str) else None
    if verb is None:
        raise CampaignError(
            f"'action': must be one of {', '.join(lifecycle.ACTIONS)}; the campaign is {campaign.status}"
        )
    return verb(campaign)


def _bodies(request: Request) -> list[dict[str, Any]]:
    """The campaigns of a request: `{"campaigns": [{…}]}`, or one bare object."""
    data = request.data
    given = data.get("campaigns", [data] if data else None) if isinstance(data, dict) else None
    if not isinstance(given, list) or not given:
        raise CampaignError('campaigns is mandatory: send {"campaigns": [{...}]}')
    for position, body in enumerate(given):
        if not isinstance(body, dict):
            raise CampaignError(f"'campaigns[{position}]': must be an object")
    return given


def _validated(serializer: CampaignSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _items(campaigns: Sequence[Campaign], *, with_numbers: bool = False) -> list[dict[str, Any]]:
    """A good item for each: the campaign, and its summary beside it. Three queries however many there are."""
    ids = [campaign.pk for campaign in campaigns]
    counts, started = progress.of(ids), attempts.started(ids)
    items = []
    for campaign in campaigns:
        numbers = list(campaign.calls.order_by("id").values_list("number", flat=True)) if with_numbers else None
        data = campaign_data(campaign, counts[campaign.pk], numbers)
        summary = campaign_summary(campaign, counts[campaign.pk], started.get(campaign.pk, 0))
        items.append(envelope.item(data, summary=summary))
    return items
