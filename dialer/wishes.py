"""People who ask in a call not to be called again, by an `opt_out` of the flow: they come on the account's list."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from accounts import audit
from accounts.models import Account
from campaigns import flow_wishes
from campaigns.models import Flow, Outcome
from contacts import do_not_call
from dialer.models import CallAttempt


def store(account: Account, attempt: CallAttempt) -> None:
    """Put the person called on the account's do-not-call list, once however often it is asked for.

    The attempt keeps it, for the quiet time that rules ask for where the number is taken off the list later.
    """
    number, campaign = attempt.call.number, attempt.campaign
    note = f"in a call of the campaign {campaign.name}"[:255]
    do_not_call.add(account, [number], source=do_not_call.Source.FLOW, actor=audit.SYSTEM, notes={number: note})
    CallAttempt.objects.filter(pk=attempt.pk).update(wish=CallAttempt.Wish.OPT_OUT)


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
    asking: dict[int, list[CallAttempt]] = defaultdict(list)
    for attempt in answered:
        if flow_wishes.asked_for(documents[attempt.campaign.flow_id], attempt.digits):
            asking[attempt.campaign.account_id].append(attempt)
    for account in Account.objects.filter(pk__in=asking):
        for attempt in asking[account.pk]:
            store(account, attempt)
