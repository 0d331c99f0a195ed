"""Reports: when people answer, outcomes by day, short calls by caller ID, two campaigns beside each other."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from accounts.models import Account, CallerId, Role
from campaigns.models import Campaign
from console import hourly, report_charts
from console.hourly import Days, Line, Scope
from console.stops import of_accounts
from console.views.pages import Pages, accounts_of, is_key
from core import clocks, csv_formulas, ids

# Accounts, caller IDs and campaigns that are offered by name.
MOST_OFFERED = 200


@dataclass(frozen=True)
class Asked:
    """What a request asks to see. problem: what was wrong with it, and what is shown instead."""

    scope: Scope
    compared: list[Campaign]
    problem: str


class ReportPages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("reports/", view(require_safe(self.show)), name="reports"),
            path("reports/<slug:table>.svg", view(require_safe(self.chart)), name="reports_chart"),
            path("reports/<slug:table>.csv", view(require_safe(self.download)), name="reports_csv"),
        ]

    def show(self, request: HttpRequest) -> HttpResponse:
        accounts = list(self._accounts(request)[: MOST_OFFERED + 1])
        asked = self._asked(request)
        if asked is None:
            return self.page(request, "console/reports.html", "Reports", asked=None)
        scope, account = asked.scope, asked.scope.account
        days, lines = hourly.by_day(scope), hourly.by_caller_id(scope)
        compared = hourly.of_campaigns(account, asked.compared)
        context = {
            "asked": asked,
            "scope": scope,
            "accounts": accounts,
            "most_offered": MOST_OFFERED,
            "caller_ids": list(CallerId.objects.filter(account=account).order_by("number")[:MOST_OFFERED]),
            "campaigns": list(hourly.campaigns_of(account, MOST_OFFERED)),
            "map": hourly.answer_map(scope),
            "days": days,
            "total": _total(days),
            "lines": lines,
            "compared": compared,
            "charts": {
                "days": report_charts.by_day(days),
                "lines": report_charts.by_caller_id(lines),
                "campaigns": report_charts.of_campaigns(compared),
            },
            "most_days": hourly.MOST_DAYS,
            "query": request.GET.urlencode(),
        }
        return self.page(request, "console/reports.html", "Reports", **context)

    def download(self, request: HttpRequest, table: str) -> HttpResponse:
        """Return one of the tables of the page, as it is asked for there."""
        rows, asked = TABLES.get(table), self._asked(request)
        if rows is None or asked is None:
            raise Http404
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        _name_file(response, asked, f"{table}.csv")
        csv.writer(response).writerows([csv_formulas.neutral(str(cell)) for cell in row] for row in rows(asked))
        return response

    def chart(self, request: HttpRequest, table: str) -> HttpResponse:
        """Return the chart of one of the tables as a file, as it is asked for there."""
        draw, asked = report_charts.CHARTS.get(table), self._asked(request)
        drawn = draw(asked.scope, asked.compared) if draw and asked else ""
        if asked is None or not drawn:
            raise Http404
        response = HttpResponse(drawn, content_type="image/svg+xml; charset=utf-8")
        _name_file(response, asked, f"{table}.svg")
        return response

    def _accounts(self, request: HttpRequest) -> Any:
        return of_accounts(Account.objects.order_by("sid"), accounts_of(request, Role.VIEWER), "pk")

    def _asked(self, request: HttpRequest) -> Asked | None:
        """Read the request; None where the person has no account yet. Raises Http404 for what is not the person's."""
        given, accounts = request.GET, self._accounts(request)
        if sid := given.get("account", ""):
            account = get_object_or_404(accounts, sid=sid)
        elif (account := accounts.first()) is None:
            return None
        caller_id = None
        if key := given.get("caller_id", ""):
            caller_id = get_object_or_404(CallerId, account=account, pk=key if is_key(key) else 0)
        days, problem = _days(given, clocks.now().astimezone(account.zone).date())
        return Asked(Scope(account, days, caller_id), _compared(given, account), problem)


def _name_file(response: HttpResponse, asked: Asked, name: str) -> None:
    days, (stem, _, kind) = asked.scope.days, name.partition(".")
    named = f"{stem}-{asked.scope.account.sid}-{days.first}-{days.last}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{named}"'
    response["Cache-Control"] = "private, no-store"


def _days(given: QueryDict, today: date) -> tuple[Days, str]:
    """Return the days that are asked for, or the usual ones and what was wrong."""
    usual = Days.until(today)
    try:
        first, last = (
            date.fromisoformat(text) if (text := given.get(name, "")) else otherwise
            for name, otherwise in (("first", usual.first), ("last", usual.last))
        )
    except ValueError:
        return usual, "A day is written as 2030-01-31. These are the usual ones."
    if not first <= last <= date.max.replace(year=9998):
        return usual, "The first day must not be after the last. These are the usual ones."
    if (last - first).days >= hourly.MOST_DAYS:
        return Days.until(
            last
        ), f"More than {hourly.MOST_DAYS} days are too many for one page. These are the last ones."
    return Days(first, last), ""


def _compared(given: QueryDict, account: Account) -> list[Campaign]:
    """Return the one or two campaigns, in the order in which they are asked for. Raises Http404."""
    wanted = [pk for pk in (ids.parse(text) for text in given.getlist("campaign")[:2] if text) if pk]
    found = {campaign.pk: campaign for campaign in Campaign.objects.filter(account=account, pk__in=wanted)}
    if len(wanted) < len([text for text in given.getlist("campaign")[:2] if text]) or set(wanted) - found.keys():
        raise Http404
    return [found[pk] for pk in dict.fromkeys(wanted)]


def _total(days: Iterable[tuple[date, hourly.Counted]]) -> hourly.Counted:
    total = hourly.Counted()
    for _, counted in days:
        for outcome, calls in counted.by_outcome.items():
            total.add(outcome, calls)
    return total


# Downloads ------------------------------------------------------------------------------------------------------------

_Rows = Iterator[Iterable[Any]]


def _map_rows(asked: Asked) -> _Rows:
    found = hourly.answer_map(asked.scope)
    yield ("weekday", "hour", "calls", "answered", "answer_rate")
    for name, cells in found.rows:
        for hour, cell in cells:
            yield (name, hour, cell.calls, cell.answered, _share(cell.rate))


def _day_rows(asked: Asked) -> _Rows:
    yield ("day", "calls", *(outcome.value for outcome in hourly.OUTCOMES), "answer_rate")
    for day, counted in hourly.by_day(asked.scope):
        counts = (counted.count(outcome) for outcome in hourly.OUTCOMES)
        yield (day.isoformat(), counted.calls, *counts, _share(counted.rate))


def _line_rows(lines: Iterable[Line], heading: str) -> _Rows:
    outcomes = tuple(outcome.value for outcome in hourly.OUTCOMES)
    yield (heading, "calls", *outcomes, "answer_rate", "short", "short_share", "mean_seconds")
    for line in lines:
        counts = (line.counted.count(outcome) for outcome in hourly.OUTCOMES)
        rates = (_share(line.counted.rate), line.short, _share(line.short_share), _share(line.mean_seconds))
        yield (line.name, line.counted.calls, *counts, *rates)


TABLES: dict[str, Callable[[Asked], _Rows]] = {
    "answers-by-hour": _map_rows,
    "outcomes-by-day": _day_rows,
    "caller-ids": lambda asked: _line_rows(hourly.by_caller_id(asked.scope), "caller_id"),
    "campaigns": lambda asked: _line_rows(hourly.of_campaigns(asked.scope.account, asked.compared), "campaign"),
}


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"
