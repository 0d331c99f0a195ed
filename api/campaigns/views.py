"""Exotel's v2 campaign operations: parse, call, render."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Account
from api.campaigns.call_details import call_data, statuses_of
from api.campaigns.serializers import CALLBACKS, CampaignSerializer, campaign_data, campaign_summary
from api.http import envelope, queries
from api.http.authentication import Caller
from api.http.errors import NotFound, first_sentence
from api.http.fields import without_nulls
from api.http.idempotency import idempotent
from api.http.negotiation import AlwaysJSON
from api.http.parsers import printable, take_chunked_body
from api.http.throttling import AccountThrottle
from campaigns import lifecycle, progress
from campaigns.models import Campaign
from core import ids
from core.errors import InvalidRequest
from reports import call_details

# Each campaign of a request costs a handful of statements. Two hundred take about a second.
MAX_CAMPAIGNS = 200


class AccountView(APIView):
    """A view below /v2/accounts/<sid>: only the account that signed in exists there."""

    content_negotiation_class = AlwaysJSON
    throttle_classes = [AccountThrottle]
    metadata_class = None  # OPTIONS is refused like any method that an address has not, instead of describing our code

    account: Account

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        caller: Caller = request.user  # type: ignore[assignment]
        if caller.account.sid != kwargs["account_sid"]:
            raise NotFound(f"there is no account {printable(kwargs['account_sid'])} for these credentials")
        self.account = caller.account

    def campaigns(self) -> "QuerySet[Campaign]":
        return Campaign.objects.filter(account=self.account).select_related("account", "custom_field")

    def campaign(self, campaign_id: str) -> Campaign:
        """The account's campaign of that id; another account's is as unknown as one that does not exist."""
        campaign = self.campaigns().filter(pk=ids.parse_or_nil(campaign_id)).first()
        if campaign is None:
            raise NotFound(f"there is no campaign {printable(campaign_id)} in this account")
        return campaign


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

    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        bodies = _bodies(request)
        parsed = [self._parsed(body, position, len(bodies)) for position, body in enumerate(bodies)]
        now = timezone.now()
        with transaction.atomic():
            created = [lifecycle.create(self.account, now=now, **columns) for columns in parsed]
        return Response(envelope.written(request.method, _items(created, with_numbers=True)))

    def _parsed(self, body: dict[str, Any], position: int, total: int) -> dict[str, Any]:
        """The arguments of lifecycle.create. Where there are several campaigns, an error says whose it is."""
        try:
            return _validated(CampaignSerializer(data=body, context={"account": self.account}))
        except ValidationError as error:
            if total == 1:
                raise
            raise InvalidRequest(first_sentence(error.detail, f"campaigns[{position}]")) from error


class CampaignView(AccountView):
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        items = _items([self.campaign(campaign_id)], with_numbers=True)
        return Response(envelope.envelope(request.method, 200, items, {"total": 1, "success": 1, "failed": 0}))

    def put(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        bodies = _bodies(request)
        if len(bodies) != 1:
            raise InvalidRequest("give exactly one campaign to change")
        changed = self._change(campaign, bodies[0])
        return Response(envelope.written(request.method, _items([changed], with_numbers=True)))

    def delete(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        deleted = lifecycle.delete(self.campaign(campaign_id))
        return Response(envelope.written(request.method, _items([deleted], with_numbers=True)))

    def _change(self, campaign: Campaign, body: dict[str, Any]) -> Campaign:
        """An action and the callbacks beside it; else all parts before the start, and only the callbacks after it."""
        body = without_nulls(body)
        context = {"account": self.account, "campaign": campaign}
        serializer = CampaignSerializer(data=body, context=context, partial=True)
        if "action" in body:
            return self._act(campaign, body)
        given = body.keys() & serializer.fields.keys()
        if not given:
            raise InvalidRequest("nothing to change: give an action, or the fields that shall change")
        if lifecycle.has_not_started(campaign):
            return lifecycle.change(campaign, now=timezone.now(), **_validated(serializer))
        locked = sorted(given - set(CALLBACKS))
        if locked:
            raise InvalidRequest(
                f"'{locked[0]}' can't be changed: the campaign has started and is {campaign.status};"
                f" only action and {', '.join(CALLBACKS)} can be"
            )
        return lifecycle.change_callbacks(campaign, **_validated(serializer))

    def _act(self, campaign: Campaign, body: dict[str, Any]) -> Campaign:
        """All or nothing. Other fields may ride along unread: clients send caller_id and url with an action."""
        action = body["action"]
        verb = lifecycle.ACTIONS.get(action.strip().lower()) if isinstance(action, str) else None
        if verb is None:
            raise InvalidRequest(
                f"'action': must be one of {', '.join(lifecycle.ACTIONS)}; the campaign is {campaign.status}"
            )
        callbacks = {name: body[name] for name in CALLBACKS if name in body}
        with transaction.atomic():
            if callbacks and campaign.is_open:
                context = {"account": self.account, "campaign": campaign}
                serializer = CampaignSerializer(data=callbacks, context=context, partial=True)
                campaign = lifecycle.change_callbacks(campaign, **_validated(serializer))
            return verb(campaign)


class CallDetailsView(AccountView):
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        query = queries.parse(queries.PageQuery, request)
        made = call_details.attempts_of(campaign, statuses_of(query.get("status") or []))
        total, offset, limit = made.count(), query["offset"], query["limit"]
        page = made.order_by(query["sort_by"], "id")[offset : offset + limit]
        items = [envelope.item(call_data(attempt, campaign)) for attempt in page]
        return Response(envelope.listed(request.method, items, total=total, offset=offset, limit=limit))


def _bodies(request: Request) -> list[dict[str, Any]]:
    """The campaigns of a request: `{"campaigns": [{…}]}`, or one bare object."""
    take_chunked_body(request._request)
    data = request.data
    given = data.get("campaigns", [data] if data else None) if isinstance(data, dict) else None
    if not isinstance(given, list) or not given:
        raise InvalidRequest('Campaigns is mandatory: send {"campaigns": [{...}]}')
    if len(given) > MAX_CAMPAIGNS:
        raise InvalidRequest(f"{len(given):,} campaigns are more than the {MAX_CAMPAIGNS} of one request: send several")
    for position, body in enumerate(given):
        if not isinstance(body, dict):
            raise InvalidRequest(f"'campaigns[{position}]': must be an object")
    return given


def _validated(serializer: CampaignSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _items(campaigns: Sequence[Campaign], *, with_numbers: bool = False) -> list[dict[str, Any]]:
    """A good item for each: the campaign, and its summary beside it. Three queries however many there are."""
    keys = [campaign.pk for campaign in campaigns]
    counts, live = progress.of(keys), call_details.at_the_carrier(keys)
    items = []
    for campaign in campaigns:
        # The numbers of lists may be half a million, and nobody has given them here.
        shown = with_numbers and not campaign.list_ids
        numbers = list(campaign.calls.order_by("id").values_list("number", flat=True)) if shown else None
        data = campaign_data(campaign, counts[campaign.pk], numbers)
        summary = campaign_summary(campaign, counts[campaign.pk], live.get(campaign.pk, 0))
        items.append(envelope.item(data, summary=summary))
    return items
