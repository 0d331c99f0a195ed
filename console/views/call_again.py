"""Call again: ticks for whom, how many that are, and a campaign of its own for them."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path

from accounts.audited_pages import actor
from campaigns import again
from campaigns.models import Campaign
from console import call_again
from console.views.campaign_rows import CampaignRows
from core import clocks
from core.errors import InvalidRequest

LONGEST_NAME = 255


class CallAgainPages(CampaignRows):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view(self.call_again)
        return [path("console/campaign/<uuid:pk>/again/", view, name="call_again")]

    def call_again(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Show how many people each choice has and what the ticked ones come to; once the form is sent, call them."""
        campaign = self.own(request, pk)
        is_sent = request.method == "POST"
        given = request.POST if is_sent else request.GET
        ticked = given.getlist("who") if is_sent or "who" in given else list(call_again.WORDS)
        selection = call_again.selection(ticked)
        wants_calls = is_sent and "count" not in given
        if wants_calls and (child := self._create(request, campaign, selection, given.get("name", ""))):
            return redirect("admin:campaign", child.pk)
        found, refusal = _found(campaign, selection)
        context: dict[str, Any] = {
            "campaign": campaign,
            "zone": campaign.account.zone,
            "ticks": call_again.ticks(campaign, ticked),
            "found": found,
            "refusal": refusal,
            "name": given.get("name", ""),
        }
        return self.page(request, "console/call_again.html", f"Call again: {campaign.name}", **context)

    @staticmethod
    def _create(request: HttpRequest, campaign: Campaign, selection: Any, name: str) -> Campaign | None:
        """Create the campaign; what speaks against it is a message."""
        if not (selection.who or selection.pressed):
            messages.error(request, "Nothing was done: tick whom to call again.")
            return None
        changes = {"name": name.strip()[:LONGEST_NAME]} if name.strip() else {}
        try:
            child = again.create(campaign, selection, actor=actor(request), now=clocks.now(), **changes)
        except InvalidRequest as error:
            messages.error(request, f"Nothing was done: {error}")
            return None
        messages.success(request, f"“{child.name}” calls them from now on, within the calling hours.")
        return child


def _found(campaign: Campaign, selection: Any) -> tuple[Any, str]:
    """Return whom the selection has, without storing anything, or why there is nobody."""
    if not (selection.who or selection.pressed):
        return None, "Tick whom to call again."
    try:
        return again.find(campaign, selection), ""
    except InvalidRequest as error:
        return None, str(error)
