"""What is known of a number as a text, to answer a complaint with."""

from collections.abc import Iterator
from datetime import UTC, datetime

from console.number_reasons import Reason
from console.numbers import MOST_CALLS, Found, Ring, campaign_of, placing_at
from console.zones import wall
from dialer.models import CallAttempt, Transfer


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
        newest = f"the newest {MOST_CALLS} entries in campaigns and as many calls of flows"
        yield f"Calls, the newest first{f', of {newest}' if found.has_more else ''}:"
        yield from (_call(ring) for ring in found.rings)
    if found.reasons:
        yield ""
        yield "Why:"
        yield from (_why(reason) for reason in found.reasons)


def summary(found: Found, now: datetime) -> str:
    """Say in a sentence how often the number was called, and how the last call ended."""
    rings, campaigns = found.rings, _counted(len(found.campaigns), "campaign")
    if not (found.calls or found.legs):
        return "We have never called this number."
    if found.last is None:
        return f"In {campaigns}, and never called yet."
    more = "At least " if found.has_more else ""
    days = [(found.rings_on(now, 0), "today"), (found.rings_on(now, 1), "yesterday")]
    lately = "".join(f"; {count:,} {day}" for count, day in days if count)
    by_flows = f", {len(found.legs):,} of them to connect somebody else who was called" if found.legs else ""
    at = wall(placing_at(found.last), campaign_of(found.last).account.zone)
    digits = found.last.digits if isinstance(found.last, CallAttempt) else ""
    pressed = f", pressed {digits}" if digits else ""
    ended = f"the last {at}: {outcome(found.last)}{pressed}"
    return f"{more}{_counted(len(rings), 'call')} in {campaigns}{by_flows}{lately}; {ended}."


def outcome(ring: Ring) -> str:
    """Say how a call ended."""
    if isinstance(ring, CallAttempt):
        return str(ring.get_status_display())
    return str(ring.get_outcome_display()) if ring.outcome else "ringing or talking"


def _call(ring: Ring) -> str:
    """Write a line. The person whom a flow has connected is not named: the text is for somebody else."""
    campaign = campaign_of(ring)
    at = wall(placing_at(ring), campaign.account.zone)
    told = _told_of_leg(ring) if isinstance(ring, Transfer) else _told(ring)
    return f"{at}  “{campaign.name}” of {campaign.account.sid}, from {campaign.caller_id_given}: {told}"


def _told_of_leg(leg: Transfer) -> str:
    talk = f", {leg.talk_seconds} s" if leg.talk_seconds else ""
    return f"{outcome(leg)}{talk}, to connect somebody else who was called"


def _told(attempt: CallAttempt) -> str:
    parts = [
        attempt.get_status_display(),
        f"{attempt.duration_seconds} s" if attempt.duration_seconds else "",
        f"pressed {attempt.digits}" if attempt.digits else "",
        attempt.reason,
        "recorded" if attempt.recording_url or attempt.recordings.all() else "",
    ]
    return ", ".join(part for part in parts if part)


def _why(reason: Reason) -> str:
    campaign = reason.campaign
    by = f" by {reason.made_by}" if reason.made_by else ""
    made = f"“{campaign.name}” of {campaign.account.sid}, made {wall(reason.made_at, campaign.account.zone)}{by}"
    return f"{made}: {reason.how}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
