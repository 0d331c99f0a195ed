"""Call me first: one call to a number of one's own, a campaign like any other, through the gate like any other."""

from datetime import datetime, timedelta
from typing import Any

from accounts.audit import Actor
from accounts.models import Account
from campaigns import lifecycle, spoken_text
from campaigns.models import Call, Campaign
from contacts import destinations, numbers
from contacts.models import ListEntry
from core.errors import InvalidRequest
from dialer import gate, number_gate
from dialer.number_gate import Ring

# A phone that has not rung by then does not ring for a trial any more.
LASTS = timedelta(minutes=15)
NAME = "Trial call"


def ring(account: Account, columns: dict[str, Any], given: str, *, actor: Actor, now: datetime) -> Campaign:
    """Call one number now.

    Args:
        columns: of the campaign: what is heard, and the caller ID.
        given: the number, in any spelling.

    Raises:
        InvalidRequest: it is no number to call, or its phone would not ring now.
    """
    number = read(account, given)
    columns = {"name": NAME, **columns}
    # Without the end, so that a gate that is shut says when it opens.
    draft = {name: value for name, value in columns.items() if name != "custom_field"}
    _require_open(lifecycle.draft(account, now=now, **draft), number, now)
    return lifecycle.create(account, actor=actor, now=now, numbers=[number], end_at=now + LASTS, **columns)


def read(account: Account, given: str) -> str:
    """Return the number in E.164. Raises InvalidRequest where the account calls no such number."""
    if not given.strip():
        raise InvalidRequest("give a number of your own")
    try:
        number = numbers.read(given, account.region)
        destinations.of_account(account).require(number)
    except numbers.InvalidNumber as invalid:
        raise InvalidRequest(str(invalid)) from invalid
    return number


def _require_open(campaign: Campaign, number: str, now: datetime) -> None:
    opens = gate.next_open(campaign, now)
    if not isinstance(opens, datetime):
        raise InvalidRequest(f"your phone would not ring now: {opens.because}")
    if opens > now:
        raise InvalidRequest(f"your phone would not ring before {gate.clock(opens, campaign)}")
    if shut := number_gate.check([Ring("", campaign, number)], now).get(""):
        raise InvalidRequest(f"your phone would not ring now: {shut.because}")


def filled(campaign: Campaign) -> str:
    """Return the text as one person of a dynamic campaign that is not stored yet hears it."""
    if campaign.parent_id:
        calls = Call.objects.filter(campaign=campaign.parent_id, variables__isnull=False).order_by("pk")
        values = calls.values_list("variables", flat=True).first()
    else:
        entries = ListEntry.objects.filter(contact_list__in=campaign.list_ids).order_by("pk")
        values = entries.values_list("values", flat=True).first()
    try:
        return spoken_text.fill(campaign.text, values or {})
    except spoken_text.UnknownColumn:
        return campaign.text
