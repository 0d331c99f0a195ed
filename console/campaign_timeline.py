"""What happened to a campaign, newest first: the moves of its state, and what people and keys did to it."""

from dataclasses import dataclass
from datetime import datetime

from accounts.audit_entry import AuditEntry
from campaigns.lifecycle import VERBS
from campaigns.models import Campaign, CampaignHistory

# Moves and entries that are shown.
MOST = 200
# A verb's entry says what the move of the same moment says.
_TOLD_BY_MOVES = frozenset(verb.past for verb in VERBS.values())


@dataclass(frozen=True)
class Happening:
    at: datetime
    what: str
    detail: str


def of_campaign(campaign: Campaign) -> list[Happening]:
    """Return what happened, in two queries."""
    moves = list(CampaignHistory.objects.filter(subject=campaign).order_by("-pk")[:MOST])
    told = {move.at for move in moves}
    found = [Happening(move.at, _moved(move), move.reason) for move in moves]
    entries = AuditEntry.objects.filter(object_kind="campaigns.campaign", object_id=str(campaign.pk)).order_by("-pk")
    found += [
        Happening(entry.at, f"{entry.get_verb_display()} by {entry.actor}", entry.what)
        for entry in entries[:MOST]
        if not (entry.verb in _TOLD_BY_MOVES and entry.at in told)
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:MOST]


def _moved(move: CampaignHistory) -> str:
    statuses = dict(Campaign.Status.choices)
    before, after = (statuses.get(status, status) for status in (move.from_status, move.to_status))
    return f"{before} → {after}"
