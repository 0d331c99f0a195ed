"""The list of campaigns: its tabs, what narrows it, and a page of it in a constant number of queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import (
    BigIntegerField,
    Count,
    DateField,
    DateTimeField,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Cast, Coalesce
from django.http import QueryDict

from accounts.models import Account, CallerId
from campaigns import progress
from campaigns.lifecycle import VERBS, Verb
from campaigns.models import Call, CallTally, Campaign, CampaignHistory
from campaigns.progress import Progress
from console import now as console_now
from console.now import Running
from console.stops import Accounts, of_accounts
from core import ids
from core.admin_kit import begins_words
from dialer import daily_limits, holds

Status = Campaign.Status

# Campaigns of one page.
SIZE = 50
# Accounts and caller IDs that are offered by name. Of more accounts the SID is typed, and then its caller IDs follow.
MOST_OFFERED = 200
# What the gate reads of a campaign.
RELATED = ("account", "caller_id__trunk__health", "caller_id__health")


@dataclass(frozen=True)
class Tab:
    """A part of the list. order: the moment by which it is sorted, "-" for the newest first."""

    name: str
    text: str
    statuses: tuple[str, ...]
    order: str

    @property
    def moment(self) -> str:
        return self.order.removeprefix("-")

    @property
    def verbs(self) -> list[Verb]:
        """Return the verbs that some of its campaigns may allow."""
        return [verb for verb in VERBS.values() if verb.allowed_from & set(self.statuses)]


TABS = {
    tab.name: tab
    for tab in (
        Tab("running", "Running", (Status.IN_PROGRESS,), "-started_at"),
        Tab("scheduled", "Scheduled", (Status.CREATED,), "send_at"),
        Tab("paused", "Paused", (Status.PAUSED,), "-created_at"),
        Tab("ended", "Ended", (Status.COMPLETED, Status.FAILED, Status.CANCELED), "-ended_at"),
        Tab("archive", "Archive", (Status.ARCHIVED, Status.DELETED), "-ended_at"),
    )
}


class Filters(forms.Form):
    """What a person asks the list for, as the address has it."""

    tab = forms.ChoiceField(choices=[(tab.name, tab.text) for tab in TABS.values()], required=False)
    q = forms.CharField(label="Words of the name", max_length=200, required=False)
    account = forms.ModelChoiceField(Account.objects.none(), to_field_name="sid", required=False, empty_label="all")
    caller_id = forms.ModelChoiceField(CallerId.objects.none(), label="Caller ID", required=False, empty_label="all")
    since = forms.DateField(label="Starts from", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="Starts until", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    nobody = forms.BooleanField(label="Reached nobody", required=False)
    after = forms.CharField(max_length=100, required=False)

    def __init__(self, data: QueryDict, accounts: Accounts) -> None:
        super().__init__(data, auto_id="filter-%s")
        fields: dict[str, Any] = self.fields
        own = fields["account"].queryset = of_accounts(Account.objects.order_by("sid"), accounts, "pk")
        if own[: MOST_OFFERED + 1].count() > MOST_OFFERED:
            fields["account"].widget = forms.TextInput(attrs={"placeholder": "its SID"})
        caller_ids = of_accounts(CallerId.objects.select_related("account").order_by("number"), accounts, "account")
        fields["caller_id"].queryset = caller_ids
        if sid := data.get("account"):
            caller_ids = caller_ids.filter(account__sid=sid)
        fields["caller_id"].choices = [("", "all"), *((one.pk, str(one)) for one in caller_ids[:MOST_OFFERED])]

    def clean_after(self) -> tuple[datetime, UUID] | None:
        """Read the place in the list behind which a page begins."""
        text = self.cleaned_data["after"]
        if not text:
            return None
        moment, _, key = text.partition("~")
        try:
            return datetime.fromisoformat(moment), UUID(key)
        except ValueError:
            raise forms.ValidationError("This is no place in the list: leave it out for the first page.") from None

    @property
    def asked(self) -> Tab:
        return TABS[self.cleaned_data.get("tab") or "running"]


@dataclass(frozen=True)
class Page:
    """A page of the list. after: the place of its last row, for the next page; "" where there is none."""

    rows: list[Running]
    after: str


def counts(accounts: Accounts) -> dict[str, int]:
    """Count the campaigns of each tab that has not ended. Those that have may be very many."""
    open_ones = of_accounts(Campaign.objects.filter(status__in=Campaign.OPEN), accounts, "account")
    by_status = dict(open_ones.values_list("status").annotate(Count("pk")))
    return {tab.name: sum(by_status.get(status, 0) for status in tab.statuses) for tab in TABS.values()}


def visible(accounts: Accounts) -> "QuerySet[Campaign]":
    """Return the campaigns that a person of these accounts sees."""
    return of_accounts(Campaign.objects.filter(is_purging=False), accounts, "account")


def matching(filters: Filters, accounts: Accounts) -> "QuerySet[Campaign]":
    """Return the campaigns of the tab that the filters leave, in its order."""
    given, tab = filters.cleaned_data, filters.asked
    found = visible(accounts).filter(status__in=tab.statuses)
    if given["account"]:
        found = found.filter(account=given["account"])
    if given["caller_id"]:
        found = found.filter(caller_id=given["caller_id"])
    found = _between(found, given["since"], given["until"])
    if given["nobody"]:
        reached = CallTally.objects.filter(campaign_id=OuterRef("pk"), status=Call.Status.COMPLETED)
        summed = Subquery(
            reached.values("campaign_id").annotate(sum=Sum("calls")).values("sum"), output_field=BigIntegerField()
        )
        found = found.alias(reached=Coalesce(summed, 0)).filter(reached=0)
    if text := given["q"].strip():
        key = ids.parse(text)
        found = found.filter(pk=key) if key else begins_words(found, ("name", "account__sid"), text)
    return found.order_by(tab.order, "-pk" if tab.order.startswith("-") else "pk")


def page(filters: Filters, accounts: Accounts, now: datetime) -> Page:
    """Return a page of the list, with what each campaign does or why it ended."""
    tab = filters.asked
    found = _behind(matching(filters, accounts), tab, filters.cleaned_data["after"])
    moves = CampaignHistory.objects.filter(subject=OuterRef("pk")).order_by("-id")
    found = found.select_related(*RELATED).defer("caller_id__trunk__api_token")
    campaigns = list(found.annotate(moved_because=Subquery(moves.values("reason")[:1]))[: SIZE + 1])
    shown = campaigns[:SIZE]
    after = f"{getattr(shown[-1], tab.moment).isoformat()}~{shown[-1].pk.hex}" if len(campaigns) > SIZE else ""
    if tab.name == "running":
        return Page(console_now.judged(shown, accounts, now), after)
    return Page(told(shown, now), after)


def told(campaigns: Sequence[Any], now: datetime) -> list[Running]:
    """Tell of campaigns that don't run why they don't. moved_because: the reason of their last move."""
    scheduled = [campaign.account for campaign in campaigns if campaign.status == Status.CREATED]
    daily_limits.load(scheduled, now)
    holds.load_into(scheduled)
    come = progress.of(campaign.pk for campaign in campaigns)
    return [
        console_now.row(campaign, come[campaign.pk], _why(campaign, come[campaign.pk], now)) for campaign in campaigns
    ]


def _why(campaign: Any, counted: Progress, now: datetime) -> str:
    if campaign.status == Status.CREATED:
        return console_now.why(campaign, counted, now)
    return getattr(campaign, "moved_because", "") or ""


def _behind(found: "QuerySet[Campaign]", tab: Tab, place: tuple[datetime, UUID] | None) -> "QuerySet[Campaign]":
    if place is None:
        return found
    moment, key = place
    beyond = "lt" if tab.order.startswith("-") else "gt"
    same = Q((tab.moment, moment), (f"pk__{beyond}", key))
    # The first condition is what the index is read by.
    return found.filter(**{f"{tab.moment}__{beyond}e": moment}).filter(Q((f"{tab.moment}__{beyond}", moment)) | same)


def _between(found: "QuerySet[Campaign]", since: date | None, until: date | None) -> "QuerySet[Campaign]":
    """Narrow to starts on these days, by the clock of each account."""
    if not since and not until:
        return found
    local = Func(F("account__time_zone"), F("send_at"), function="timezone", output_field=DateTimeField())
    found = found.alias(day=Cast(local, DateField()))
    # The bounds in UTC are what an index can be read by; the day of the account lies within a day of them.
    if since:
        found = found.filter(day__gte=since, send_at__gte=_midnight(since) - timedelta(days=1))
    if until:
        found = found.filter(day__lte=until, send_at__lt=_midnight(until) + timedelta(days=2))
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)
