"""A campaign: how it goes, its calls, what happened to it, its settings, its webhooks, and its report."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.audited_pages import actor
from campaigns.lifecycle import VERBS
from campaigns.models import Campaign
from console import (
    bulk,
    campaign_calls,
    campaign_charts,
    campaign_figures,
    campaign_list,
    campaign_settings,
    campaign_timeline,
)
from console import now as console_now
from console.views.campaign_rows import CampaignRows
from core import clocks
from dialer import diagnosis, rehearsal
from reports import views as report_views
from webhooks.models import WebhookDelivery

# Webhooks of a page.
WEBHOOKS = 50
# Campaigns that are shown as called again of this one.
MOST_CHILDREN = 20
TABS = (
    ("campaign", "Overview"),
    ("campaign_calls", "Calls"),
    ("campaign_timeline", "Timeline"),
    ("campaign_settings", "Settings"),
    ("campaign_webhooks", "Webhooks"),
)


class CampaignPages(CampaignRows):
    @property
    def urls(self) -> list[URLPattern]:
        view, at = self.site.admin_view, "console/campaign/<uuid:pk>/"
        return [
            path(at, view(require_safe(self.overview)), name="campaign"),
            path(f"{at}live/", view(require_safe(self.live)), name="campaign_live"),
            path(f"{at}calls/", view(require_safe(self.calls)), name="campaign_calls"),
            path(f"{at}timeline/", view(require_safe(self.timeline)), name="campaign_timeline"),
            path(f"{at}settings/", view(require_safe(self.settings)), name="campaign_settings"),
            path(f"{at}webhooks/", view(require_safe(self.webhooks)), name="campaign_webhooks"),
            path(f"{at}report/", view(require_safe(self.report)), name="campaign_report"),
            path(f"{at}report.csv", view(require_safe(self.csv)), name="campaign_csv"),
            path(f"{at}chart/<slug:name>.svg", view(require_safe(self.chart)), name="campaign_chart"),
            path(f"{at}act/<slug:verb>/", view(require_POST(self.act)), name="campaign_act"),
        ]

    # How it goes -------------------------------------------------------------------------------------------------

    def overview(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        campaign = self.campaign(request, pk)
        children = campaign_list.visible(None).filter(parent=campaign, account=campaign.account).order_by("-created_at")
        parents = campaign_list.visible(None).filter(children=campaign, account=campaign.account)
        return self._tab(
            request,
            campaign,
            "campaign",
            **self._now(request, campaign),
            **self._figures(campaign),
            forecast=_forecast(campaign),
            parent=parents.first() if campaign.parent_id else None,
            children=children[:MOST_CHILDREN],
        )

    def live(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return the part of the overview that changes by itself."""
        campaign = self.campaign(request, pk)
        context = {"campaign": campaign, **self._now(request, campaign)}
        return TemplateResponse(request, "console/campaign_live.html", context)

    def _now(self, request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
        at = clocks.now()
        if campaign.status == Campaign.Status.IN_PROGRESS:
            [row] = console_now.judged([campaign], {campaign.account_id}, at)
        else:
            [row] = campaign_list.told([campaign], at)
        may_act = self.may_act(request, campaign)
        verbs = [verb for verb in VERBS.values() if may_act and not verb.refusal(campaign, at)]
        return {
            "row": row,
            "why": diagnosis.of_campaign(campaign, at).summary,
            "verbs": verbs,
            "may_act": may_act,
            "at": at,
        }

    @staticmethod
    def _figures(campaign: Campaign) -> dict[str, Any]:
        figures = campaign_figures.of_campaign(campaign)
        charts = {name: draw(figures) for name, draw in campaign_charts.CHARTS.items()}
        return {"figures": figures, "charts": charts}

    # Its other tabs ----------------------------------------------------------------------------------------------

    def calls(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        campaign, outcome = self.campaign(request, pk), request.GET.get("outcome", "")
        after = request.GET.get("after", "0")
        if (outcome and outcome not in campaign_calls.OUTCOMES) or not (after.isdecimal() and len(after) < 19):
            raise Http404
        shown, last = campaign_calls.page(campaign, outcome, int(after))
        outcomes = [(name, text) for name, (text, _) in campaign_calls.OUTCOMES.items()]
        context = {"calls": shown, "next": last, "outcome": outcome, "outcomes": outcomes}
        return self._tab(request, campaign, "campaign_calls", **context)

    def timeline(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        campaign = self.campaign(request, pk)
        happenings = campaign_timeline.of_campaign(campaign)
        return self._tab(request, campaign, "campaign_timeline", happenings=happenings)

    def settings(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        campaign = self.campaign(request, pk)
        return self._tab(request, campaign, "campaign_settings", settings=campaign_settings.of_campaign(campaign))

    def webhooks(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        campaign, before = self.campaign(request, pk), request.GET.get("before", "")
        if before and not (before.isdecimal() and len(before) < 19):
            raise Http404
        rows = WebhookDelivery.objects.filter(campaign=campaign).defer("payload").order_by("-pk")
        found = list((rows.filter(pk__lt=int(before)) if before else rows)[: WEBHOOKS + 1])
        last = found[WEBHOOKS - 1].pk if len(found) > WEBHOOKS else 0
        return self._tab(request, campaign, "campaign_webhooks", deliveries=found[:WEBHOOKS], next=last)

    def _tab(self, request: HttpRequest, campaign: Campaign, name: str, **context: Any) -> HttpResponse:
        context = {"campaign": campaign, "tabs": TABS, "tab": name, "zone": campaign.account.zone, **context}
        return self.page(request, f"console/{name}.html", campaign.name, **context)

    # Its report --------------------------------------------------------------------------------------------------

    def report(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return a page to print."""
        campaign = self.campaign(request, pk)
        context = {**self._now(request, campaign), **self._figures(campaign), "zone": campaign.account.zone}
        context |= {"campaign": campaign}
        settings = campaign_settings.of_campaign(campaign)
        return self.page(request, "console/campaign_report.html", campaign.name, settings=settings, **context)

    def csv(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        campaign = self.campaign(request, pk)
        return report_views.download(campaign, request.GET.get("format", "csv"), actor(request))

    def chart(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Return a chart as a file."""
        campaign = self.campaign(request, pk)
        draw = campaign_charts.CHARTS.get(name)
        drawn = draw(campaign_figures.of_campaign(campaign)) if draw else ""
        if not drawn:
            raise Http404
        response = HttpResponse(drawn, content_type="image/svg+xml; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="campaign-{campaign.pk.hex}-{name}.svg"'
        return response

    # Verbs -------------------------------------------------------------------------------------------------------

    def act(self, request: HttpRequest, pk: UUID, verb: str) -> HttpResponseBase:
        """Use a verb; where there is no way back, ask first."""
        campaign = self.own(request, pk)
        if verb not in VERBS:
            raise Http404
        used, back = VERBS[verb], reverse("admin:campaign", args=[pk])
        if request.POST.get("back") == "now":
            back = reverse("admin:now")
        may_ask = used.consequence and not used.refusal(campaign, clocks.now())
        if may_ask and request.POST.get("confirmed") != verb:
            question = bulk.ask(used, [campaign], clocks.now())
            title = f"{used.name.capitalize()} “{campaign.name}”?"
            context = {"question": question, "back": back, "button": f"{used.name.capitalize()} the campaign"}
            return self.page(request, "console/campaigns_act.html", title, **context)
        done, told = bulk.act(used, [campaign], actor=actor(request), now=clocks.now())
        messages.add_message(request, messages.SUCCESS if done else messages.ERROR, told)
        return redirect(back)


def _forecast(campaign: Campaign) -> str:
    """Return what is to be expected of a campaign whose calls are there and that has not ended."""
    may_look = campaign.is_open and not campaign.is_loading
    return rehearsal.forecast_campaign(campaign, clocks.now()).summary if may_look else ""
