"""The verbs of `lifecycle` as actions of the list of campaigns and as buttons on a campaign's page."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_POST

from accounts.audited_pages import actor
from campaigns import progress
from campaigns.lifecycle import VERBS, Verb
from campaigns.models import Campaign
from core import clocks

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Campaign]
else:
    _ModelAdmin = admin.ModelAdmin


# Campaigns of one action: each is a lock, of which PostgreSQL has some thousands for all transactions together.
MOST_AT_ONCE = 1000
# Campaigns that a person is asked about: a form may have a thousand fields, and nobody can judge more names than these.
MOST_ASKED = 500
# Refusals that the message spells out.
MOST_REFUSALS = 10


def _list_action(verb: Verb) -> Callable[..., HttpResponseBase | None]:
    @admin.action(description=f"{verb.name.capitalize()} the selected campaigns", permissions=["change"])
    def apply_to_selected(
        page: "VerbActions", request: HttpRequest, queryset: QuerySet[Campaign]
    ) -> HttpResponseBase | None:
        return page.ask_or_apply(request, list(queryset[: MOST_AT_ONCE + 1]), verb)

    apply_to_selected.__name__ = f"{verb.name}_campaigns"
    return apply_to_selected


class VerbActions(_ModelAdmin):
    """Lets people with the change permission use the verbs. The page's template has the buttons."""

    actions = [_list_action(verb) for verb in VERBS.values()]

    def get_urls(self) -> Any:
        button = path(
            "<path:object_id>/act/<str:verb>/",
            self.admin_site.admin_view(require_POST(self.button_view)),
            name="campaigns_campaign_act",
        )
        return [button, *super().get_urls()]

    def button_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponseBase:
        """Use the verb on the campaign, and show its page again."""
        campaign = self.get_object(request, unquote(object_id))
        if campaign is None or verb not in VERBS:
            raise Http404
        if not self.has_change_permission(request, campaign):
            raise PermissionDenied
        question = self.ask_or_apply(request, [campaign], VERBS[verb])
        return question or redirect("admin:campaigns_campaign_change", campaign.pk)

    def ask_or_apply(self, request: HttpRequest, campaigns: list[Campaign], verb: Verb) -> HttpResponseBase | None:
        """Use the verb; where there is no way back, return a page that asks first, until its form is sent."""
        most = MOST_ASKED if verb.consequence else MOST_AT_ONCE
        if len(campaigns) > most:
            self.message_user(request, f"Nothing was done: select at most {most:,} campaigns.", messages.ERROR)
            return None
        is_confirmed = not verb.consequence or request.POST.get("confirmed") == verb.name
        if not is_confirmed and any(not verb.refusal(campaign, clocks.now()) for campaign in campaigns):
            return self._question(request, campaigns, verb)
        self.apply(request, campaigns, verb)
        return None

    def _question(self, request: HttpRequest, campaigns: list[Campaign], verb: Verb) -> HttpResponseBase:
        """Name the campaigns, how many calls of each are left, and those that will refuse."""
        now = clocks.now()
        refusals = [(campaign, verb.refusal(campaign, now)) for campaign in campaigns]
        willing = [campaign for campaign, refusal in refusals if not refusal]
        counted = progress.of([campaign.pk for campaign in willing])
        left = [(campaign, counted[campaign.pk].total - counted[campaign.pk].ended) for campaign in willing]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.name.capitalize()} {_campaigns(len(willing))}?",
            "opts": self.opts,
            "verb": verb,
            "left": left,
            "calls": sum(calls for _, calls in left),
            "refusals": [(campaign, refusal) for campaign, refusal in refusals if refusal],
            "action": request.POST.get("action", ""),
        }
        return TemplateResponse(request, "admin/campaigns/campaign/confirm_verb.html", context)

    def apply(self, request: HttpRequest, campaigns: Iterable[Campaign], verb: Verb) -> None:
        """Use the verb on all campaigns at once: one that refuses does not hold up the others. One message tells."""
        outcome = verb.apply(list(campaigns), actor=actor(request))
        done = len(outcome.done)
        refusals = [f"“{campaign.name}”: {refusal}." for campaign, refusal in outcome.refusals]
        told = [f"{_campaigns(done)} {verb.past}."] if done or not refusals else []
        told += refusals[:MOST_REFUSALS]
        if len(refusals) > MOST_REFUSALS:
            told.append(f"{len(refusals) - MOST_REFUSALS} more refused.")
        level = (messages.WARNING if done else messages.ERROR) if refusals else messages.SUCCESS
        self.message_user(request, " ".join(told), level)

    def allowed_verbs(self, request: HttpRequest, campaign: Campaign | None) -> list[Verb]:
        """Return the verbs that this person may use on this campaign now."""
        if campaign is None or not self.has_change_permission(request, campaign):
            return []
        now = clocks.now()
        return [verb for verb in VERBS.values() if not verb.refusal(campaign, now)]


def _campaigns(count: int) -> str:
    return f"{count} {'campaign' if count == 1 else 'campaigns'}"
