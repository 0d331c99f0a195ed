"""Campaigns in Exotel's v2 API: create, list, show, change, act, delete."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.campaigns import bodies, related
from api.campaigns.base import TAGS, CampaignsView
from api.campaigns.requests import CALLBACKS, CampaignChangeSerializer, CampaignRequestSerializer
from api.campaigns.responses import CampaignsPage, CampaignsWritten
from api.http import openapi, queries
from api.http.errors import first_sentence
from api.http.fields import without_nulls
from api.http.idempotency import idempotent
from campaigns import audience, lifecycle
from campaigns.models import Campaign
from core import clocks
from core.errors import InvalidRequest
from webhooks.addresses import LookUps


class CampaignsQuery(queries.StatusQuery):
    name = serializers.CharField(required=False, allow_blank=True, help_text="A part of the name.")
    type = serializers.CharField(required=False, help_text="trans")

    sorts = {"date_created": "created_at", "name": "name"}
    states = tuple(status.value for status in Campaign.Status)


class CampaignListView(CampaignsView):
    reads_much = True

    @extend_schema(
        operation_id="list_campaigns",
        parameters=openapi.query(CampaignsQuery),
        responses=openapi.responses(CampaignsPage),
        tags=TAGS,
    )
    def get(self, request: Request, account_sid: str) -> Response:
        query = queries.parse(CampaignsQuery, request)
        campaigns = self.campaigns()
        if query.get("status"):
            campaigns = campaigns.filter(status__in=query["status"])
        else:
            campaigns = campaigns.exclude(status=Campaign.Status.DELETED)
        if query.get("name"):
            campaigns = campaigns.filter(name__icontains=query["name"])
        if query.get("type", "trans") != "trans":
            campaigns = campaigns.none()
        page = queries.page_of(campaigns, query)
        return self.respond_page(
            CampaignsPage, page, total=queries.total_of(campaigns, page, query), query=query, related=related.load(page)
        )

    @extend_schema(
        operation_id="create_campaigns",
        request=openapi.json_body("CreateBody", bodies.CampaignsBody, CampaignRequestSerializer),
        parameters=[openapi.IDEMPOTENCY_KEY],
        responses=openapi.responses(CampaignsWritten, 409, 413, 422),
        examples=[bodies.EXAMPLE],
        tags=TAGS,
    )
    @idempotent
    def post(self, request: Request, account_sid: str) -> Response:
        given = bodies.parse(request)
        context = {"account": self.account, "look_ups": LookUps()}
        parsed = [self._parsed(body, position, len(given), context) for position, body in enumerate(given)]
        now = clocks.now()
        allowance = audience.Allowance.of(self.account)
        # One alone is a transaction in any case. A second one around it is two statements more.
        with transaction.atomic() if len(parsed) > 1 else nullcontext():
            created = [
                lifecycle.create(self.account, actor=self.actor, now=now, allowance=allowance, **arguments)
                for arguments in parsed
            ]
        numbers = {
            campaign.pk: audience.numbers_to_call(campaign, arguments["numbers"])
            for campaign, arguments in zip(created, parsed, strict=True)
            if "numbers" in arguments
        }
        return _written(self, created, related.of_new(created, numbers))

    def _parsed(self, body: dict[str, Any], position: int, total: int, context: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of lifecycle.create. With several campaigns, an error names the one that it is in."""
        try:
            return _validated(CampaignRequestSerializer(data=body, context=context))
        except ValidationError as error:
            if total == 1:
                raise
            raise InvalidRequest(first_sentence(error.detail, f"campaigns[{position}]")) from error


class CampaignView(CampaignsView):
    @extend_schema(operation_id="get_campaign", responses=openapi.responses(CampaignsWritten), tags=TAGS)
    def get(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        return self._written(self.campaign(campaign_id))

    @extend_schema(
        operation_id="change_campaign",
        request=openapi.json_body(
            "ChangeBody", bodies.ActionsBody, bodies.ActionBody, bodies.ChangesBody, CampaignChangeSerializer
        ),
        responses=openapi.responses(CampaignsWritten, 413),
        tags=TAGS,
    )
    def put(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        campaign = self.campaign(campaign_id)
        given = bodies.parse(request)
        if len(given) != 1:
            raise InvalidRequest("give exactly one campaign to change")
        return self._written(self._change(campaign, _without_nulls(campaign, given[0])))

    @extend_schema(operation_id="delete_campaign", responses=openapi.responses(CampaignsWritten), tags=TAGS)
    def delete(self, request: Request, account_sid: str, campaign_id: str) -> Response:
        return self._written(lifecycle.delete(self.campaign(campaign_id), actor=self.actor))

    def _written(self, campaign: Campaign) -> Response:
        return _written(self, [campaign], related.load([campaign], with_numbers=True))

    def _change(self, campaign: Campaign, body: dict[str, Any]) -> Campaign:
        """Act on the campaign, or change it: any field before its start, and only the callbacks after it."""
        if "action" in body:
            return self._act(campaign, body)
        serializer = self._serializer(campaign, body)
        given = body.keys() & serializer.fields.keys()
        if not given:
            raise InvalidRequest("nothing to change: give an action, or the fields that shall change")
        if lifecycle.has_not_started(campaign):
            return lifecycle.change(campaign, actor=self.actor, now=clocks.now(), **_validated(serializer))
        locked = sorted(given - set(CALLBACKS))
        if locked:
            raise InvalidRequest(
                f"'{locked[0]}' can't be changed: the campaign has started and is {campaign.status};"
                f" only action and {', '.join(CALLBACKS)} can be"
            )
        return lifecycle.change_callbacks(campaign, actor=self.actor, **_validated(serializer))

    def _act(self, campaign: Campaign, body: dict[str, Any]) -> Campaign:
        """Change the callbacks and act, both or neither. Other fields are ignored: clients send caller_id and url."""
        verb = bodies.parse_action(body["action"], campaign)
        callbacks = {name: body[name] for name in CALLBACKS if name in body}
        with transaction.atomic():
            if callbacks and campaign.is_open:
                columns = _validated(self._serializer(campaign, callbacks))
                campaign = lifecycle.change_callbacks(campaign, actor=self.actor, **columns)
            return verb(campaign, actor=self.actor)

    def _serializer(self, campaign: Campaign, body: dict[str, Any]) -> CampaignRequestSerializer:
        context = {"account": self.account, "campaign": campaign, "look_ups": LookUps()}
        return CampaignRequestSerializer(data=body, context=context, partial=True)


def _validated(serializer: CampaignRequestSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _written(view: CampaignsView, campaigns: Sequence[Campaign], shown: related.Related) -> Response:
    """Respond with campaigns that were created, changed or asked for."""
    return view.respond(CampaignsWritten, campaigns, related=shown)


def _without_nulls(campaign: Campaign, body: dict[str, Any]) -> dict[str, Any]:
    """Drop keys that are null; before the start a null schedule takes the end away, and keeps the start."""
    if body.get("schedule", "") is None and lifecycle.has_not_started(campaign):
        body = body | {"schedule": {"end_at": None}}
    return dict(without_nulls(body))
