"""What a restored backup makes of the rows: calls that were dialed since are as if they never were."""

from accounts.installation import Installation
from campaigns.models import Call, CallHistory, Campaign
from dialer.models import AttemptHistory, CallAttempt, CarrierEvent


def turn_back(*campaigns: Campaign, installation: dict) -> None:
    """Put the campaigns back to before their first call, and the installation's row to what it was then."""
    CarrierEvent.objects.all().delete()
    AttemptHistory.objects.all().delete()
    CallAttempt.objects.all().delete()
    CallHistory.objects.all().delete()
    Call.objects.update(
        status="created", attempts_made=0, last_outcome="", was_placed=False, next_attempt_at=None, rule="",
        ended_at=None, end_reason="",
    )  # fmt: skip
    ids = [campaign.pk for campaign in campaigns]
    Campaign.objects.filter(pk__in=ids).update(status="in-progress", ended_at=None, idle_until=None)
    Installation.objects.update(**installation)


def installation() -> dict:
    """Return the row as a backup has it."""
    rows = Installation.objects.values(
        "identity",
        "alive_at",
        "looked_at",
        "stopped_at",
        "must_ask",
        "whole_until",
        "settled_until",
        "held_since",
        "held_because",
    )
    return dict(rows.get())
