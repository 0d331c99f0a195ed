"""The verbs of `lifecycle` as actions of the list of campaigns and as buttons on a campaign's page."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

from campaigns.lifecycle import VERBS, Verb
from campaigns.models import Campaign
from core import clocks
from core.errors import InvalidRequest

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Campaign]
else:
    _ModelAdmin = admin.ModelAdmin


def _list_action(verb: Verb) -> Callable[..., None]:
    @admin.action(description=f"{verb.name.capitalize()} the selected campaigns", permissions=["change"])
    def apply_to_selected(page: "VerbActions", request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        page.apply(request, queryset, verb)

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
        self.apply(request, [campaign], VERBS[verb])
        return redirect("admin:campaigns_campaign_change", campaign.pk)

    def apply(self, request: HttpRequest, campaigns: Iterable[Campaign], verb: Verb) -> None:
        """Use the verb on each campaign by itself: one that refuses does not hold up the others."""
        done = 0
        for campaign in campaigns:
            try:
                verb(campaign)
            except InvalidRequest as error:
                self.message_user(request, f"“{campaign.name}”: {error}", messages.ERROR)
                continue
            self.log_change(request, campaign, f"{verb.past.capitalize()}.")
            done += 1
        if done:
            self.message_user(request, f"{done} {'campaign' if done == 1 else 'campaigns'} {verb.past}.")

    def allowed_verbs(self, request: HttpRequest, campaign: Campaign | None) -> list[Verb]:
        """Return the verbs that this person may use on this campaign now."""
        if campaign is None or not self.has_change_permission(request, campaign):
            return []
        now = clocks.now()
        return [verb for verb in VERBS.values() if not verb.refusal(campaign, now)]
