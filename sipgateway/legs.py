"""Second legs: calls to other numbers that a flow connects its callee to, made by the gateway that has the call.

A leg is a channel and a record of the dialer's (`dialer.transfers`), and a row of its own here: committed before its
INVITE leaves, so that it rings once, and is hung up by another gateway when this one dies.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from campaigns.flow_interpreter import Connect
from dialer import transfers
from dialer.models import CallAttempt
from sipgateway.models import SipCall
from sipgateway.plans import Plan

# The callee waits: a leg whose INVITE has not left by then is not made.
ASK_WITHIN = timedelta(seconds=5)


def begin(plan: Plan, connect: Connect, gateway_id: UUID, now: datetime) -> Plan | transfers.Begun:
    """Take a channel for a leg and note it. Returns its plan, or what the flow goes on with where it must not be rung.

    Args:
        plan: of the call whose flow it is.
    """
    attempt = CallAttempt.objects.select_related("account", "trunk").get(pk=plan.attempt_id)
    begun = transfers.ask(attempt, str(connect.place), connect.number, now)
    if not begun.may_ring or begun.leg_id is None:
        return begun
    leg = replace(
        plan,
        attempt_id=begun.leg_id,
        leg_of=plan.attempt_id,
        number=connect.number,
        ring_timeout=connect.ring,
        ask_before=now + ASK_WITHIN,
        document={},
    )
    SipCall.objects.create(
        attempt_id=leg.attempt_id,
        leg_of=plan.attempt_id,
        gateway_id=gateway_id,
        number=leg.number,
        caller_id=leg.caller_id,
        ring_timeout=leg.ring_timeout,
        max_seconds=leg.max_seconds,
        ask_before=leg.ask_before,
        status=SipCall.Status.INVITING,
        created_at=now,
        inviting_at=now,
    )
    return leg
