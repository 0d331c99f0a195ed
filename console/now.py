"""What happens at this moment, for the accounts of one person, in a constant number of queries."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Count, QuerySet

from accounts.models import Account
from campaigns import progress
from campaigns.models import Call, Campaign, CampaignHistory
from campaigns.progress import Progress
from console import hourly, lately, zones
from console.hourly import Counted
from console.lately import LATELY, Lately
from console.set_up import SANDBOX
from console.stops import Accounts, of_accounts
from dialer import channels, daily_limits, gate, holds
from dialer.models import CallAttempt, CarrierEvent
from webhooks.models import WebhookDelivery

Status = CallAttempt.Status

# Running campaigns that are shown, the newest first.
MOST_SHOWN = 50
# Campaigns that ended within a day, the newest first.
MOST_ENDED = 5
# Fewer ends than these say nothing about when a campaign will finish.
FEWEST_ENDS = 20
# A reply that has been lost for so long, news of a carrier that waits for so long, calls that nobody starts: problems.
LOST_FOR, INBOX_LAG, STUCK_FOR = timedelta(minutes=10), timedelta(seconds=30), timedelta(minutes=1)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong. page: the name of the page that shows more of it."""

    text: str
    page: str


@dataclass(frozen=True)
class Minute:
    """Attempts that ended within one minute, by their outcome."""

    at: datetime
    reached: int
    not_reached: int


@dataclass(frozen=True)
class Cards:
    """Figures for all of the accounts together.

    Attributes:
        starts_allowed: in a minute, by the accounts that have running campaigns.
        answer_rate: of the attempts that ended lately, from 0 to 1; None where none did.
        today: calls that ended since midnight, and how many of them were answered.
        minutes: the last ten, the oldest first.
    """

    calls_up: int
    channels: int
    starts: int
    starts_allowed: int
    answer_rate: float | None
    answer_rate_yesterday: float | None
    today: Counted
    minutes: list[Minute]


@dataclass(frozen=True)
class Running:
    """A campaign that runs, or another one beside it.

    Attributes:
        why: one sentence: what it does, what holds it back, or why it ended.
        finish: when it will be done at the rate of the last minutes; None where that can't be told.
        is_due: nothing keeps it from dialing, and it has calls to make, but none is up.
    """

    campaign: Campaign
    reached: int
    not_reached: int
    left: int
    why: str
    finish: datetime | None
    is_due: bool = False

    @property
    def total(self) -> int:
        return self.reached + self.not_reached + self.left

    def share(self, calls: int) -> float:
        """Return the part of a hundred that so many calls are of all."""
        return 100 * calls / self.total if self.total else 0.0

    @property
    def reached_share(self) -> float:
        return self.share(self.reached)

    @property
    def not_reached_share(self) -> float:
        return self.share(self.not_reached)


@dataclass(frozen=True)
class Now:
    """All of the page. ended: lately. by_status: campaigns that have not ended."""

    at: datetime
    problems: list[Problem]
    cards: Cards
    running: list[Running]
    ended: list[Running]
    by_status: dict[str, int]

    @property
    def not_shown(self) -> int:
        return self.by_status.get(Campaign.Status.IN_PROGRESS, 0) - len(self.running)


def look(accounts: Accounts, now: datetime, server_problems: Callable[[], Collection[str]] | None = None) -> Now:
    """Look at the accounts.

    Args:
        server_problems: what is wrong with the server itself, for those who may know.
    """
    campaigns = list(_running(accounts)[:MOST_SHOWN])
    latest = lately.read(accounts, now)
    running = _judged(campaigns, latest, now)
    by_status = of_accounts(Campaign.objects.filter(status__in=Campaign.OPEN), accounts, "account")
    return Now(
        at=now,
        problems=[
            *(Problem(text, "system") for text in (server_problems() if server_problems else ())),
            *_problems(accounts, now),
            *_of_running(campaigns, running, latest, now),
        ],
        cards=_cards(accounts, latest, now),
        running=running,
        ended=_ended_lately(accounts, now),
        by_status=dict(by_status.values_list("status").annotate(Count("pk"))),
    )


def _running(accounts: Accounts) -> QuerySet[Campaign]:
    running = of_accounts(Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS), accounts, "account")
    related = ("account", "caller_id__trunk__health", "caller_id__health")
    return running.select_related(*related).defer("caller_id__trunk__api_token").order_by("-started_at", "pk")


def _ended_lately(accounts: Accounts, now: datetime) -> list[Running]:
    campaigns = Campaign.objects.filter(ended_at__gt=now - timedelta(days=1), is_purging=False)
    campaigns = campaigns.exclude(status=Campaign.Status.DELETED).select_related("account").order_by("-ended_at", "pk")
    newest = list(of_accounts(campaigns, accounts, "account")[:MOST_ENDED])
    come = progress.of(campaign.pk for campaign in newest)
    return [row(campaign, come[campaign.pk], "") for campaign in newest]


# Cards and problems ---------------------------------------------------------------------------------------------------


def _cards(accounts: Accounts, latest: Lately, now: datetime) -> Cards:
    dialing = of_accounts(Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS), accounts, "account")
    own = list(Account.objects.filter(pk__in=dialing.values("account")).only("pk", "channels", "starts_per_minute"))
    up = of_accounts(CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED), accounts, "account").count()
    return Cards(
        calls_up=up,
        channels=sum(channels.account_scope(account).cap for account in own),
        starts=latest.starts,
        starts_allowed=sum(account.starts_per_minute for account in own),
        answer_rate=latest.answer_rate,
        answer_rate_yesterday=lately.read(accounts, now - timedelta(days=1), is_past=True).answer_rate,
        today=hourly.since_midnight(accounts, now, zones.zone_of(accounts)),
        minutes=_minutes(latest, now),
    )


def _minutes(latest: Lately, now: datetime) -> list[Minute]:
    counted = latest.by_minute
    last = now.replace(second=0, microsecond=0)
    minutes = [last - timedelta(minutes=back) for back in range(int(LATELY.total_seconds() // 60) - 1, -1, -1)]
    return [Minute(at, counted.get((at, True), 0), counted.get((at, False), 0)) for at in minutes]


def _problems(accounts: Accounts, now: datetime) -> list[Problem]:
    found = []
    lost = CallAttempt.objects.filter(status=Status.UNKNOWN, claimed_at__lt=now - LOST_FOR)
    if count := of_accounts(lost, accounts, "account").count():
        calls = "call" if count == 1 else "calls"
        told = f"{count:,} {calls} whose outcome the carrier has not told for ten minutes"
        found.append(Problem(told, "dialer_callattempt_changelist"))
    given_up = WebhookDelivery.objects.filter(given_up_at__gt=now - timedelta(days=1))
    if count := of_accounts(given_up, accounts, "account").count():
        found.append(
            Problem(
                f"{count:,} {'webhook was' if count == 1 else 'webhooks were'} given up in the last day",
                "webhooks_webhookdelivery_changelist",
            )
        )
    if accounts is None:
        waiting = CarrierEvent.objects.filter(handled_at=None).order_by("pk").values_list("received_at", flat=True)
        oldest = waiting.first()
        if oldest and now - oldest > INBOX_LAG:
            seconds = (now - oldest).total_seconds()
            found.append(Problem(f"news of the carriers waits for {seconds:.0f} s", "dialer_carrierevent_changelist"))
    return found


def _of_running(
    campaigns: Sequence[Campaign], running: Sequence[Running], latest: Lately, now: datetime
) -> Iterator[Problem]:
    """Yield what is wrong with campaigns that run as if all were well."""
    if stuck := _stuck(campaigns, running, latest, now):
        have = "campaign has" if stuck == 1 else "campaigns have"
        yield Problem(f"{stuck:,} running {have} calls to make, and none was started for a minute", "campaigns")
    if silent := sum(campaign.caller_id.trunk.carrier == SANDBOX for campaign in campaigns):
        run = "campaign runs" if silent == 1 else "campaigns run"
        yield Problem(f"{silent:,} {run} over the sandbox, which rings nobody", "campaigns")


def _stuck(campaigns: Sequence[Campaign], running: Sequence[Running], latest: Lately, now: datetime) -> int:
    """Count campaigns that may dial, have calls to make, and whose accounts have not started any lately."""
    since = latest.first_placed or now - LATELY
    busy = {campaign.account_id for campaign in campaigns if campaign.pk in latest.ends}
    idle = [
        row.campaign.pk
        for row in running
        if row.is_due and row.campaign.account_id not in busy and now - since >= STUCK_FOR
    ]
    if not idle:
        return 0
    moved = CampaignHistory.objects.filter(subject__in=idle, at__gt=now - STUCK_FOR).values_list("subject")
    return len(set(idle) - {key for (key,) in moved})


# Running campaigns ----------------------------------------------------------------------------------------------------


def judged(campaigns: Sequence[Campaign], accounts: Accounts, now: datetime) -> list[Running]:
    """Tell how these running campaigns come along. Their caller ID, its trunk and the health of both must be loaded."""
    return _judged(campaigns, lately.read(accounts, now), now)


def _judged(campaigns: Sequence[Campaign], latest: Lately, now: datetime) -> list[Running]:
    daily_limits.load((campaign.account for campaign in campaigns), now)
    holds.load_into(campaign.account for campaign in campaigns)
    come = progress.of(campaign.pk for campaign in campaigns)
    within = now - (latest.first_placed or now)
    return [_judge(campaign, come[campaign.pk], latest.ends.get(campaign.pk, 0), within, now) for campaign in campaigns]


def _judge(campaign: Campaign, come: Progress, ends: int, within: timedelta, now: datetime) -> Running:
    left = come.total - come.ended
    found = row(campaign, come, why(campaign, come, now), _finish(campaign, left, ends, within, now))
    return replace(found, is_due=_is_due(campaign, come, now))


def _is_due(campaign: Campaign, come: Progress, now: datetime) -> bool:
    waits = campaign.idle_until is not None and campaign.idle_until > now
    has_calls = bool(come.count(Call.Status.CREATED)) and not come.count(Call.Status.IN_PROGRESS)
    return has_calls and not waits and isinstance(gate.check(campaign, now), gate.Open)


def row(campaign: Campaign, come: Progress, why: str, finish: datetime | None = None) -> Running:
    """Return how a campaign comes along, or how it ended."""
    reached = come.count(Call.Status.COMPLETED)
    return Running(campaign, reached, come.ended - reached, come.total - come.ended, why, finish)


def why(campaign: Campaign, come: Progress, now: datetime) -> str:
    """Say in one sentence what an open campaign does, or what holds it back."""
    verdict = gate.check(campaign, now)
    up, waiting = come.count(Call.Status.IN_PROGRESS), come.count(Call.Status.CREATED)
    if not isinstance(verdict, gate.Open):
        return verdict.because + (f"; {up} up" if up else "")
    if up:
        return f"dialing: {up:,} up, {waiting:,} not tried yet"
    return "dialing" if waiting else "waits for retries" if come.count(Call.Status.RETRYING) else "about to end"


def _finish(campaign: Campaign, left: int, ends: int, within: timedelta, now: datetime) -> datetime | None:
    """Return when the calls that are left will have ended, if attempts go on as lately and the hours allow it."""
    if ends < FEWEST_ENDS or not within or not left:
        return None
    finish = now + within * (left / ends)
    stays_open = gate.next_open(campaign, finish) == finish
    return finish if stays_open and finish - now < timedelta(hours=24) else None
