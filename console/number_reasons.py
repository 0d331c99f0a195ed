"""Why a number is called: who made the campaign, and how the number came into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.audit import Verb
from accounts.audit_entry import AuditEntry
from campaigns.called_again import Selection
from campaigns.models import Campaign
from contacts.models import ContactList
from core.ids import wire_id

# Names of one campaign's lists: no campaign has more.
Names = Mapping[UUID, str]


@dataclass(frozen=True)
class Reason:
    """Why one campaign calls the number.

    Attributes:
        made_by: "" where no audit entry tells it any more.
        how: a sentence's end: how the number came into the campaign.
    """

    campaign: Campaign
    made_at: datetime
    made_by: str
    how: str


CONNECTS = "a flow of the campaign connected the person called to this number"


def of(campaigns: Sequence[Campaign], connecting: Sequence[Campaign], lists: Names) -> list[Reason]:
    """Return why each campaign calls a number, in three queries.

    Args:
        connecting: those of which a flow has connected somebody to the number.
        lists: those that have the number now.
    """
    keys = [str(campaign.pk) for campaign in {*campaigns, *connecting}]
    made = AuditEntry.objects.filter(object_kind="campaigns.campaign", object_id__in=keys, verb=Verb.CREATED)
    makers = {entry.object_id: entry for entry in made.order_by("-pk")}
    named = {key for campaign in campaigns for key in campaign.list_ids} - lists.keys()
    names = dict(ContactList.objects.filter(pk__in=named).values_list("pk", "name")) | dict(lists)
    parents = Campaign.objects.in_bulk([campaign.parent_id for campaign in campaigns if campaign.parent_id])
    called = [_reason(campaign, makers.get(str(campaign.pk)), parents, lists, names) for campaign in campaigns]
    return [*called, *(_connects(campaign, makers.get(str(campaign.pk))) for campaign in connecting)]


def _connects(campaign: Campaign, maker: AuditEntry | None) -> Reason:
    return Reason(campaign, campaign.created_at, maker.actor if maker else "", CONNECTS)


def _reason(
    campaign: Campaign, maker: AuditEntry | None, parents: Mapping[UUID, Campaign], lists: Names, names: Names
) -> Reason:
    how = _given(maker)
    if campaign.again is not None:
        parent = parents.get(campaign.parent_id) if campaign.parent_id else None
        is_named = parent is not None and parent.account_id == campaign.account_id
        how = f"called again after {f'“{parent.name}”' if parent and is_named else 'a campaign that was deleted'}"
        how += f": {Selection.of(campaign)}"
    elif campaign.list_ids:
        how = _listed(campaign, lists, names)
    return Reason(campaign, campaign.created_at, maker.actor if maker else "", how)


def _listed(campaign: Campaign, lists: Names, names: Names) -> str:
    if found := [names[key] for key in campaign.list_ids if key in lists]:
        return f"from the list{'s' if len(found) > 1 else ''} {', '.join(found)}"
    every = ", ".join(names.get(key, f"{wire_id(key)} (deleted)") for key in campaign.list_ids)
    one = "the list" if len(campaign.list_ids) == 1 else "one of the lists"
    return f"from {one} {every}, where it is no longer"


def _given(maker: AuditEntry | None) -> str:
    """Return how numbers came that are of no list."""
    match maker.actor_kind if maker else "":
        case AuditEntry.ActorKind.USER:
            return "typed or pasted into the console"
        case AuditEntry.ActorKind.API_KEY:
            return "sent to the API with the campaign"
        case AuditEntry.ActorKind.SYSTEM:
            return "given on the command line"
    return "given with the campaign"
