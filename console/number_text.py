"""What is known of a number as a text, to answer a complaint with."""

from collections.abc import Iterator
from datetime import UTC, datetime

from console.number_reasons import Reason
from console.numbers import Found
from console.zones import wall
from dialer.models import CallAttempt


def of(found: Found, now: datetime) -> str:
    """Write all of it, a line for each call."""
    return "\n".join(_lines(found, now))


def _lines(found: Found, now: datetime) -> Iterator[str]:
    zone = found.callers[0].zone if found.callers else UTC
    yield f"{found.number}, as of {wall(now, zone)}"
    yield summary(found, now)
    for sid, reason in found.listings:
        yield f"{sid or 'All accounts'}: {reason}."
    for name, sid in found.lists:
        yield f"In the list {name} of {sid}."
    if found.rings:
        yield ""
        older = f", without those of older campaigns than the newest {len(found.calls)}" if found.has_more else ""
        yield f"Calls, the newest first{older}:"
        yield from (_call(attempt) for attempt in found.rings)
    if found.reasons:
        yield ""
        yield "Why:"
        yield from (_why(reason) for reason in found.reasons)


def summary(found: Found, now: datetime) -> str:
    """Say in a sentence how often the number was called, and how the last call ended."""
    rings, campaigns = found.rings, _counted(len(found.campaigns), "campaign")
    if not found.calls:
        return "We have never called this number."
    if found.last is None or found.last.placing_at is None:
        return f"In {campaigns}, and never called yet."
    more = "At least " if found.has_more else ""
    days = [(found.rings_on(now, 0), "today"), (found.rings_on(now, 1), "yesterday")]
    lately = "".join(f"; {count:,} {day}" for count, day in days if count)
    at = wall(found.last.placing_at, found.last.campaign.account.zone)
    pressed = f", pressed {found.last.digits}" if found.last.digits else ""
    ended = f"the last {at}: {found.last.get_status_display()}{pressed}"
    return f"{more}{_counted(len(rings), 'call')} in {campaigns}{lately}; {ended}."


def _call(attempt: CallAttempt) -> str:
    campaign = attempt.campaign
    parts = [
        attempt.get_status_display(),
        f"{attempt.duration_seconds} s" if attempt.duration_seconds else "",
        f"pressed {attempt.digits}" if attempt.digits else "",
        attempt.reason,
        "recorded" if attempt.recording_url or attempt.recordings.all() else "",
    ]
    at = wall(attempt.placing_at or attempt.claimed_at, campaign.account.zone)
    told = ", ".join(part for part in parts if part)
    return f"{at}  “{campaign.name}” of {campaign.account.sid}, from {campaign.caller_id_given}: {told}"


def _why(reason: Reason) -> str:
    campaign = reason.campaign
    by = f" by {reason.made_by}" if reason.made_by else ""
    made = f"“{campaign.name}” of {campaign.account.sid}, made {wall(reason.made_at, campaign.account.zone)}{by}"
    return f"{made}: {reason.how}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
