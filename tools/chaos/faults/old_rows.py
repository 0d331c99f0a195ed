"""Fault 17: kill -9 at each step of deleting what is old, while campaigns are dialled beside it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models

from campaigns.models import Call, CallHistory, Campaign, CampaignHistory, CustomField
from core.task_queue import enqueue_once
from dialer.models import AttemptHistory, CallAttempt, CarrierEvent
from dialer.tasks import PURGE_INBOX
from reports import csv_report
from retention.tasks import PURGE
from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from tools.stack import Client
from webhooks.models import WebhookDelivery

OLD, NUMBERS = 3, 12
# The system keeps campaigns for seven days, and payloads for three.
LONG_AGO, LATELY = timedelta(days=10), timedelta(days=5)
# Each failpoint, the task that reaches it, and the times of which one is struck. A campaign has three slices or more.
STEPS = (
    ("payloads-before-commit", PURGE_INBOX, 1),
    ("report-kept", PURGE, 1),
    ("purge-before-commit", PURGE, 3),
    ("purge-after-commit", PURGE, 2),
)

table = Table()


@table.row("17", "kill -9 at each step of deleting old campaigns and payloads", race=True)
def old_rows(run: Run) -> Iterator[None]:
    _, caller_id, client = run.sign_up()
    campaigns = [_post(run, client, caller_id.number, n) for n in range(OLD + 1)]
    _wait_until_settled(run, campaigns)
    _age(campaigns[:OLD], LONG_AGO)
    _age(campaigns[OLD:], LATELY)
    old, [kept] = [_Known.of(pk) for pk in campaigns[:OLD]], [_Known.of(pk) for pk in campaigns[OLD:]]
    yield
    run.strike(lambda: None)
    for point, task, most in STEPS:
        run.system.arm(point, run.chance.randint(1, most))
        if not run.wait_for(lambda task=task: _is_struck(run, task), 60):  # type: ignore[misc]
            run.notes.append(f"no process reached {point}")
    run.at_end.append(lambda: _check(run, old, kept))


@dataclass(frozen=True)
class _Known:
    """A campaign as it was before anything was deleted: its report, and the ids of its rows."""

    pk: UUID
    account: str
    report: bytes
    rows: dict[type[models.Model], frozenset[Any]]

    @classmethod
    def of(cls, pk: UUID) -> "_Known":
        campaign = Campaign.objects.select_related("account", "caller_id").get(pk=pk)
        return cls(pk, campaign.account.sid, b"".join(csv_report.stream(campaign)), _rows(pk))

    def left(self) -> dict[str, int]:
        """Return how many of the rows are still there, by the name of their model."""
        counts = {model: model._default_manager.filter(pk__in=keys).count() for model, keys in self.rows.items()}
        return {model.__name__: count for model, count in counts.items() if count}


def _rows(pk: UUID) -> dict[type[models.Model], frozenset[Any]]:
    attempts = frozenset(CallAttempt.objects.filter(campaign=pk).values_list("pk", flat=True))
    found: dict[type[models.Model], Iterable[Any]] = {
        Campaign: [pk],
        CallAttempt: attempts,
        Call: Call.objects.filter(campaign=pk).values_list("pk", flat=True),
        WebhookDelivery: WebhookDelivery.objects.filter(campaign=pk).values_list("pk", flat=True),
        CustomField: CustomField.objects.filter(campaign=pk).values_list("pk", flat=True),
        CampaignHistory: CampaignHistory.objects.filter(subject=pk).values_list("pk", flat=True),
        CallHistory: CallHistory.objects.filter(subject__campaign=pk).values_list("pk", flat=True),
        AttemptHistory: AttemptHistory.objects.filter(subject__campaign=pk).values_list("pk", flat=True),
        CarrierEvent: CarrierEvent.objects.filter(attempt_id__in=attempts).values_list("pk", flat=True),
    }
    return {model: frozenset(keys) for model, keys in found.items()}


def _post(run: Run, client: Client, caller_id: str, n: int) -> UUID:
    made = client.post_campaign(
        {
            "name": f"long ago {n}",
            "caller_id": caller_id,
            "from": [f"+9196{run.chance.randrange(10**7, 10**8)}" for _ in range(NUMBERS)],
            "read_via_text": "There is no class tomorrow.",
            "flow_type": "greeting",
            "custom_field": f"round {n}",
            "status_callback": run.receiver.url(f"/old/{n}"),
        }
    )
    return UUID(made["id"])


def _wait_until_settled(run: Run, campaigns: list[UUID]) -> None:
    """Return when they have ended and nothing about them is under way. Raises TimeoutError."""
    under_way: tuple[models.QuerySet[Any], ...] = (
        Campaign.objects.filter(pk__in=campaigns, status__in=Campaign.OPEN),
        CallAttempt.objects.filter(campaign__in=campaigns, status__in=CallAttempt.UNFINISHED),
        WebhookDelivery.objects.filter(campaign__in=campaigns, next_try_at__isnull=False),
        CarrierEvent.objects.filter(handled_at=None),
    )
    if not run.wait_for(lambda: not any(rows.exists() for rows in under_way), run.patience):
        raise TimeoutError("campaigns that were to be deleted did not come to their end")


def _age(campaigns: list[UUID], age: timedelta) -> None:
    """Let them have happened so long ago, and every event as long ago as the payloads of none are kept."""
    moments = ("created_at", "send_at", "started_at", "ended_at", "expires_at")
    Campaign.objects.filter(pk__in=campaigns).update(**{name: models.F(name) - age for name in moments})
    CarrierEvent.objects.filter(handled_at__isnull=False).update(handled_at=models.F("handled_at") - LATELY)


def _is_struck(run: Run, task: str) -> bool:
    """Enqueue the task again, in case the process that took it died before, and look whether one died there."""
    enqueue_once(task, task)
    connection.close()
    return not run.system.is_armed()


def _check(run: Run, old: list[_Known], kept: _Known) -> None:
    def is_done() -> bool:
        enqueue_once(PURGE, PURGE)
        enqueue_once(PURGE_INBOX, PURGE_INBOX)
        return not any(campaign.left() for campaign in old) and not _payloads_of(kept)

    if not run.wait_for(is_done, 60):
        run.notes += [f"of an old campaign there are {left}" for campaign in old if (left := campaign.left())]
        run.notes += [f"{_payloads_of(kept)} old payloads were not removed"] if _payloads_of(kept) else []
    for campaign in old:
        files = list((run.system.reports / campaign.account).glob(f"*{campaign.pk.hex}*"))
        if not files:
            run.notes.append("the report of an old campaign was not kept")
        run.notes += ["a report that was kept is not whole" for file in files if file.read_bytes() != campaign.report]
    now = _Known.of(kept.pk)
    if (now.report, now.rows) != (kept.report, kept.rows):
        run.notes.append("a campaign that was not old has lost something")


def _payloads_of(campaign: _Known) -> int:
    return CarrierEvent.objects.filter(pk__in=campaign.rows[CarrierEvent], payload__isnull=False).count()
