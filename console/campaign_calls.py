"""The calls of a campaign, a page at a time in the order in which they were made."""

from dataclasses import dataclass

from django.db.models import Q

from campaigns.models import Call, Campaign
from campaigns.removal import REASONS
from dialer.models import CallAttempt

SIZE = 50
# What a person may ask for: the end of a call, or what it waits for.
OUTCOMES: dict[str, tuple[str, Q]] = {
    "reached": ("reached", Q(status=Call.Status.COMPLETED)),
    "no-answer": ("no answer", Q(status=Call.Status.FAILED, attempts_made__gt=0, last_outcome="no-answer")),
    "busy": ("busy", Q(status=Call.Status.FAILED, attempts_made__gt=0, last_outcome="busy")),
    "failed": ("failed", Q(status=Call.Status.FAILED, attempts_made__gt=0, last_outcome="failed")),
    "untried": ("never tried", Q(status__in=[Call.Status.FAILED, Call.Status.CANCELED], attempts_made=0)),
    "taken-out": ("taken out", Q(status=Call.Status.CANCELED, rule__in=list(REASONS))),
    "up": ("up", Q(status=Call.Status.IN_PROGRESS)),
    "waiting": ("waiting", Q(status__in=[Call.Status.CREATED, Call.Status.RETRYING])),
}


@dataclass(frozen=True)
class Shown:
    """A call with its attempts, the oldest first."""

    call: Call
    attempts: list[CallAttempt]

    @property
    def pressed(self) -> str:
        return " ".join(attempt.digits for attempt in self.attempts if attempt.digits)

    @property
    def talk(self) -> int:
        return sum(attempt.duration_seconds or 0 for attempt in self.attempts)

    @property
    def last(self) -> CallAttempt | None:
        return self.attempts[-1] if self.attempts else None


def page(campaign: Campaign, outcome: str, after: int) -> tuple[list[Shown], int]:
    """Return a page of calls, in two queries, and the key of the last where more follow; else 0."""
    calls = Call.objects.filter(campaign=campaign, pk__gt=after)
    if outcome:
        calls = calls.filter(OUTCOMES[outcome][1])
    found = list(calls.order_by("pk")[: SIZE + 1])
    shown = found[:SIZE]
    attempts: dict[int, list[CallAttempt]] = {}
    counting = CallAttempt.objects.filter(call__in=[call.pk for call in shown]).exclude(
        status=CallAttempt.Status.CANCELED
    )
    for attempt in counting.order_by("pk"):
        attempts.setdefault(attempt.call_id, []).append(attempt)
    return [Shown(call, attempts.get(call.pk, [])) for call in shown], shown[-1].pk if len(found) > SIZE else 0
