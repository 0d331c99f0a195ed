"""What people ask for in a call about further calls, by the steps of its flow, and what that changes.

One who opts out comes on the account's do-not-call list. One who refuses is left alone for as long as rules ask for
after a refusal. The attempt keeps it; carriers' own words for it come with its end (`dialer.carriers.refusals`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from accounts import audit
from accounts.calling_rules import OPT_OUT, REFUSAL
from accounts.models import Account
from campaigns import flow_wishes
from campaigns.flow_interpreter import Action, OptOut, Refuse
from campaigns.models import Flow, Outcome
from contacts import do_not_call
from dialer.models import CallAttempt


def in_actions(actions: Iterable[Action]) -> str:
    """Return the wish that these steps of a flow tell of, or ""."""
    told = {OptOut: OPT_OUT, Refuse: REFUSAL}
    return flow_wishes.stronger(*(told.get(type(action), "") for action in actions))


def store(account: Account, attempt: CallAttempt, wish: str) -> None:
    """Keep what the person called asks for: an opt-out on the account's list, once however often it is asked for.

    The attempt keeps it, for the quiet time that rules ask for where the number is taken off the list later.
    """
    if wish == OPT_OUT:
        number, campaign = attempt.call.number, attempt.campaign
        note = f"in a call of the campaign {campaign.name}"[:255]
        do_not_call.add(account, [number], source=do_not_call.Source.FLOW, actor=audit.SYSTEM, notes={number: note})
    CallAttempt.objects.filter(pk=attempt.pk).exclude(wish=OPT_OUT).update(wish=wish)


def store_ended(attempts: Sequence[CallAttempt]) -> None:
    """Store those that the keys of ended attempts tell of. Carriers that run flows themselves tell the keys alone.

    Args:
        attempts: with call and campaign loaded.
    """
    answered = [
        attempt
        for attempt in attempts
        if attempt.status == Outcome.COMPLETED and attempt.digits and attempt.campaign.flow_id
    ]
    if not answered:
        return
    flows = Flow.objects.filter(pk__in={attempt.campaign.flow_id for attempt in answered})
    documents: dict[int | None, Any] = dict(flows.values_list("pk", "document"))
    asking: dict[int, list[tuple[CallAttempt, str]]] = defaultdict(list)
    for attempt in answered:
        if wish := flow_wishes.asked_for(documents[attempt.campaign.flow_id], attempt.digits):
            asking[attempt.campaign.account_id].append((attempt, wish))
    for account in Account.objects.filter(pk__in=asking):
        for attempt, wish in asking[account.pk]:
            store(account, attempt, wish)
