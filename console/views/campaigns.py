"""Campaigns: the list with its tabs and filters, and verbs for many of them at once, which a page asks about first."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from accounts.audited_pages import actor
from accounts.models import Role
from campaigns.lifecycle import VERBS, Verb
from campaigns.models import Campaign
from console import bulk, campaign_list
from console.campaign_list import TABS, Filters
from console.views.campaign_rows import CampaignRows
from console.views.pages import accounts_of, operated
from core import clocks, ids

# What stays in an address from page to page.
KEPT = ("tab", "q", "account", "caller_id", "since", "until", "nobody")


class CampaignsPages(CampaignRows):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("console/campaigns/", view(require_safe(self.campaigns)), name="campaigns"),
            path("console/campaigns/act/", view(require_POST(self.act)), name="campaigns_act"),
        ]

    def campaigns(self, request: HttpRequest) -> HttpResponse:
        accounts, at = accounts_of(request, Role.VIEWER), clocks.now()
        filters = Filters(request.GET, accounts)
        is_valid = filters.is_valid()
        found = campaign_list.page(filters, accounts, at) if is_valid else campaign_list.Page([], "")
        mine = operated(request)
        context: dict[str, Any] = {
            "tab": filters.asked if is_valid else TABS["running"],
            "tabs": [(tab, _address(request.GET, tab=tab.name)) for tab in TABS.values()],
            "counts": campaign_list.counts(accounts),
            "filters": filters,
            "kept": _kept(request.GET).items(),
            "is_narrowed": any(request.GET.get(name) for name in KEPT[1:]),
            "found": found,
            "next": _address(request.GET, after=found.after) if found.after else "",
            "first": _address(request.GET) if request.GET.get("after") else "",
            "may_act": mine is None or bool(mine),
            "operated": mine,
            "most": bulk.MOST,
        }
        page = self.page(request, "console/campaigns.html", "Campaigns", **context)
        page.status_code = 200 if is_valid else 400
        return page

    def act(self, request: HttpRequest) -> HttpResponseBase:
        """Ask about a verb for the chosen campaigns, and once that is confirmed use it."""
        accounts_of(request, Role.OPERATOR)
        verb = VERBS.get(request.POST.get("verb", ""))
        if verb is None:
            raise Http404
        filters = Filters(_query(request), accounts_of(request, Role.VIEWER))
        back = f"{reverse('admin:campaigns')}?{urlencode(_kept(request.POST))}"
        chosen = self._all(request, filters) if request.POST.get("all") else self._chosen(request)
        if not chosen:
            messages.error(request, "Nothing was done: choose campaigns first.")
        elif len(chosen) > bulk.MOST:
            messages.error(request, f"Nothing was done: choose at most {bulk.MOST:,} campaigns.")
        elif request.POST.get("confirmed") == verb.name:
            done, told = bulk.act(verb, chosen, actor=actor(request), now=clocks.now())
            messages.add_message(request, messages.SUCCESS if done == len(chosen) else messages.WARNING, told)
        else:
            return self.ask(request, verb, chosen, back)
        return redirect(back)

    def ask(self, request: HttpRequest, verb: Verb, chosen: list[Campaign], back: str) -> HttpResponse:
        """Return the page that names the campaigns and says what becomes of their calls."""
        question = bulk.ask(verb, chosen, clocks.now())
        names = f"{len(question.willing):,} campaign{'' if len(question.willing) == 1 else 's'}"
        context = {
            "question": question,
            "keys": ",".join(one.campaign.pk.hex for one in question.willing),
            "kept": _kept(request.POST).items(),
            "back": back,
            "button": f"{verb.name.capitalize()} {names}",
        }
        return self.page(request, "console/campaigns_act.html", f"{verb.name.capitalize()} {names}?", **context)

    def _chosen(self, request: HttpRequest) -> list[Campaign]:
        """Return the campaigns that the form names. One that is not the person's to see is a 404, for all of them."""
        named = [key for text in request.POST.getlist("campaigns") for key in text.split(",")]
        keys = {ids.parse(key) for key in named if key}
        rows = campaign_list.visible(accounts_of(request, Role.VIEWER)).filter(pk__in=[key for key in keys if key])
        found = list(_with_account(rows)[: bulk.MOST + 1])
        if None in keys or len(found) < min(len(keys), bulk.MOST + 1):
            raise Http404
        return self.require_operated(request, found)

    def _all(self, request: HttpRequest, filters: Filters) -> list[Campaign]:
        """Return all campaigns that the filters leave, of the accounts that the person operates."""
        if not filters.is_valid():
            raise Http404
        rows = campaign_list.matching(filters, accounts_of(request, Role.OPERATOR))
        return list(_with_account(rows)[: bulk.MOST + 1])


def _with_account(rows: Any) -> Any:
    """Load with the campaigns what the verbs and their page read."""
    related = rows.select_related("account", "caller_id__trunk", "custom_field")
    return related.prefetch_related("caller_id__routes__trunk").defer("caller_id__trunk__api_token")


def _kept(given: QueryDict) -> dict[str, str]:
    return {name: value for name in KEPT if (value := given.get(name, ""))}


def _query(request: HttpRequest) -> QueryDict:
    """Return the list's filters from a form that was sent, without the place in it."""
    return QueryDict(urlencode(_kept(request.POST)))


def _address(given: QueryDict, **changes: str) -> str:
    return f"?{urlencode(_kept(given) | changes)}"
