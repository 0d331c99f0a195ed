"""`/metrics` in Prometheus's text format: a number for each promise that could be broken, counted at each request.

They are counted from PostgreSQL and Redis, so every web process shows the same. Every query uses an index, and counts
of what may pile up stop at MOST_COUNTED. What each means, and when to be alarmed: docs/operator/operations.md.
"""

import hmac
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from ipaddress import ip_address

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from accounts.models import Account, Trunk
from campaigns.models import Campaign
from campaigns_project import redis_memory
from campaigns_project.idle_campaigns import longest_idle_seconds
from core import clock_offsets, clocks, liveness
from core.version import VERSION
from dialer import channels, daily_limits, holds, reconciliation, repair_counts, unusual_starts
from dialer.attempt_states import CLAIM_LIFETIME
from dialer.channels import Scope
from dialer.models import CallAttempt, CallerIdHealth, CarrierEvent, TrunkHealth
from dialer.recovery import Repairs
from webhooks import claims
from webhooks.models import WebhookDelivery

log = structlog.get_logger(__name__)

MOST_COUNTED = 100_000
# Leases and attempts are compared without a lock, so only differences that have lasted longer than a claim takes are
# shown. Recovery reconciles the two every five seconds: a difference that lasts shows that recovery does not run.
SETTLED_SECONDS = 10


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if settings.METRICS_TOKEN:
        if not _has_token(request):
            response = HttpResponse("Send the token of METRICS_TOKEN: Authorization: Bearer TOKEN\n", status=401)
            response["WWW-Authenticate"] = "Bearer"
            return response
    elif not _is_from_this_machine(request):
        message = "Without METRICS_TOKEN in the server's environment only its own machine may read this\n"
        return HttpResponse(message, status=403, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(Trunkline(clocks.now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())


def _is_from_this_machine(request: HttpRequest) -> bool:
    # A proxy on this machine forwards requests from anywhere, with a header that says so.
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    # A page in a browser on this machine may have given a name of its own to 127.0.0.1 (DNS rebinding).
    host = split_domain_port(request.headers.get("Host", ""))[0]
    if host and not validate_host(host, settings.ALLOWED_HOSTS) and not _is_ip_address(host.strip("[]")):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:  # a Unix socket has none
        return False


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Trunkline(Collector):
    """Collect all metrics at one moment. A part that can't be read is left out; its `trunkline_readable` is 0."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        readable = GaugeMetricFamily("trunkline_readable", "Whether this part could be read.", labels=["part"])
        for part in PARTS:
            name = part.__name__.removeprefix("_")
            try:
                yield from list(part(self._now))
            except (RedisError, DatabaseError) as error:
                log.warning("metrics_not_read", part=name, error=str(error))
                readable.add_metric([name], 0)
            else:
                readable.add_metric([name], 1)
        yield readable


def _version(_now: datetime) -> Iterator[Metric]:
    yield _gauges("version_info", "The version that this process runs.", "version", {VERSION: 1})


def _leases(_now: datetime) -> Iterator[Metric]:
    discrepancies = reconciliation.discrepancies(SETTLED_SECONDS)
    yield _gauge("leases_without_attempt", "Channels held by no attempt under way.", discrepancies.leaked)
    yield _gauge("attempts_without_lease", "Attempts under way that hold no channel.", discrepancies.missing)


def _attempts(now: datetime) -> Iterator[Metric]:
    unfinished = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED)
    counted = dict(unfinished.values_list("status").annotate(Count("id")))
    by_status = {status.value: counted.get(status, 0) for status in CallAttempt.UNFINISHED}
    yield _gauges("attempts", "Attempts under way; unknown: the carrier's reply was lost.", "status", by_status)
    late = CallAttempt.objects.filter(status=CallAttempt.Status.CLAIMED, claimed_at__lt=now - CLAIM_LIFETIME)
    yield _gauge("attempts_claimed_too_long", "Claimed attempts that no dialer has taken in time.", _capped(late))


def _campaigns(now: datetime) -> Iterator[Metric]:
    is_open = Campaign.objects.filter(status__in=Campaign.OPEN)
    counted = dict(is_open.values_list("status").annotate(Count("id")))
    by_status = {status.value: counted.get(status, 0) for status in Campaign.OPEN}
    yield _gauges("campaigns", "Campaigns that have not ended.", "status", by_status)
    idle = longest_idle_seconds(now)
    yield _gauge("due_but_idle_seconds", "How long due calls have waited with nothing in the way.", idle)


def _channels(_now: datetime) -> Iterator[Metric]:
    accounts = list(Account.objects.filter(is_active=True).only("pk", "sid", "channels"))
    scopes = {account.sid: Scope("account", account.pk, account.channels) for account in accounts}
    held = channels.held(scopes.values())
    in_use = {sid: held[scope] for sid, scope in scopes.items()}
    yield _gauges("channels_in_use", "Channels that are held.", "account", in_use)
    yield _gauges("channels", "Channels of the account.", "account", {sid: scope.cap for sid, scope in scopes.items()})


def _daily_limits(now: datetime) -> Iterator[Metric]:
    limited = Q(daily_calls__isnull=False) | Q(daily_minutes__isnull=False)
    accounts = list(Account.objects.filter(limited, is_active=True))
    daily_limits.load(accounts, now)
    used = {account.sid: daily_limits.share_used(account, now) for account in accounts}
    yield _gauges(
        "daily_limit_used", "Share of the daily calls or minutes that is used; 1: none is left.", "account", used
    )


def _starts(now: datetime) -> Iterator[Metric]:
    sids = dict(Account.objects.filter(is_active=True).values_list("pk", "sid"))
    times = {sids[pk]: given for pk, given in unusual_starts.times_the_usual(sids, now).items()}
    yield _gauges("starts_times_usual", "Calls placed in the last hour, against a usual hour.", "account", times)


def _trunks(_now: datetime) -> Iterator[Metric]:
    down = set(TrunkHealth.objects.filter(down_since__isnull=False).values_list("trunk_id", flat=True))
    resting = CallerIdHealth.objects.filter(down_since__isnull=False)
    down |= set(resting.values_list("caller_id__trunk_id", flat=True))
    up = {name: int(pk not in down) for pk, name in Trunk.objects.values_list("pk", "name")}
    yield _gauges("trunk_up", "0 while the trunk, or a caller ID of it, takes no calls.", "trunk", up)
    under_way = CallAttempt.objects.filter(status__in=CallAttempt.UNFINISHED).order_by()
    counts = dict(under_way.values_list("trunk").annotate(count=Count("id")))
    calls = {name: counts.get(pk, 0) for pk, name in Trunk.objects.values_list("pk", "name")}
    yield _gauges("trunk_calls", "Attempts under way over the trunk.", "trunk", calls)


def _inbox(now: datetime) -> Iterator[Metric]:
    new = CarrierEvent.objects.filter(handled_at=None)
    oldest = new.order_by("id").values_list("received_at", flat=True).first()
    yield _gauge("inbox_events", "Carriers' events that are not applied yet.", _capped(new))
    yield _gauge("inbox_lag_seconds", "The age of the oldest of those events.", _age(oldest, now))


def _webhooks(now: datetime) -> Iterator[Metric]:
    pending = WebhookDelivery.objects.filter(next_try_at__isnull=False)
    given_up = WebhookDelivery.objects.filter(given_up_at__isnull=False)
    yield _gauge("webhooks_pending", "Webhooks that are not delivered yet.", _capped(pending))
    lag = _age(claims.due_since(now), now)
    yield _gauge("webhooks_lag_seconds", "How long the webhook that has been due longest has waited.", lag)
    yield _gauge("webhooks_given_up", "Webhooks given up in the last month and not sent again.", _capped(given_up))


def _progress(_now: datetime) -> Iterator[Metric]:
    # Infinite where no progress is recorded: an alarm on a number goes off, one on a missing line may not.
    ages = {process: liveness.seconds_since(process) for process in settings.MAX_SILENCE_SECONDS}
    known = {process: math.inf if age is None else age for process, age in ages.items()}
    text = "Seconds since the last progress of beat and of each queue's workers."
    yield _gauges("progress_age_seconds", text, "process", known)


def _repairs(_now: datetime) -> Iterator[Metric]:
    repairs = CounterMetricFamily("trunkline_repairs", "What recovery has repaired, by kind.", labels=["kind"])
    counts = repair_counts.read()
    for kind in (field.name for field in fields(Repairs)):
        repairs.add_metric([kind], counts.get(kind, 0))
    yield repairs
    text = "Ids that a carrier gave to a second call; such calls are not asked for by them."
    repeated = counts.get(repair_counts.REPEATED_IDS, 0)
    yield CounterMetricFamily("trunkline_carrier_ids_repeated", text, value=repeated)


def _clocks(_now: datetime) -> Iterator[Metric]:
    clock_offsets.note("web")
    text = "Seconds by which a process's clock is ahead of PostgreSQL's."
    family = GaugeMetricFamily("trunkline_clock_ahead_seconds", text, labels=["process", "machine"])
    for place, ahead in sorted(clock_offsets.read().items()):
        family.add_metric([place.process, place.machine], ahead)
    yield family


def _hold(_now: datetime) -> Iterator[Metric]:
    yield _gauge("held", "Whether the server is held, and dials nothing.", int(holds.current() is not None))


def _redis(_now: datetime) -> Iterator[Metric]:
    evicts = int(bool(redis_memory.eviction()))
    yield _gauge("redis_may_evict", "Whether Redis evicts keys when its memory is full.", evicts)
    refuses = int(bool(redis_memory.refusal()))
    yield _gauge("redis_refuses_writes", "Whether Redis is full, or a replica that takes no writes.", refuses)


Part = Callable[[datetime], Iterable[Metric]]
PARTS: tuple[Part, ...] = (
    _version,
    _leases,
    _attempts,
    _campaigns,
    _channels,
    _daily_limits,
    _starts,
    _trunks,
    _inbox,
    _webhooks,
    _progress,
    _repairs,
    _clocks,
    _redis,
    _hold,
)


def _capped(rows: "QuerySet[CallAttempt] | QuerySet[CarrierEvent] | QuerySet[WebhookDelivery]") -> int:
    return rows[:MOST_COUNTED].count()


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"trunkline_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: "dict[str, int] | dict[str, float]") -> Metric:
    family = GaugeMetricFamily(f"trunkline_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
