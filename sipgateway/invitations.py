"""The INVITE of a call, with the addresses and headers that its trunk wants."""

from typing import Any

from sipgateway import session_descriptions
from sipgateway.plans import Plan
from sipgateway.sip_stack import CCEventTry, MsgBody, SipCallId, asserted_identity

# Seconds beyond the ring time for which the INVITE is valid (RFC 3261 13.3.1.1): the trunk ends a call of a dead
# gateway then.
_EXPIRES_AFTER = 10


def expires_of(plan: Plan) -> int:
    """Return for how many seconds the INVITE is valid."""
    return plan.ring_timeout + _EXPIRES_AFTER


def headers_of(plan: Plan) -> list[Any]:
    """Return the headers beside those that sippy writes."""
    address = plan.address
    if not address.asserts_identity:
        return []
    return [asserted_identity(address.written(plan.caller_id), _domain(plan))]


def event_of(plan: Plan, own_host: str, sound_port: int) -> Any:
    """Return the event that makes sippy send the INVITE.

    Args:
        own_host: what the trunk is told, for SIP and for sound.
    """
    address = plan.address
    description = session_descriptions.offer(own_host, sound_port, plan.attempt_id.int % 2**31)
    user = address.user or address.written(plan.caller_id)

    class Invitation(CCEventTry):  # type: ignore[misc]
        def onUacSetupComplete(_, uac: Any) -> None:  # noqa: N802, N805 -- sippy's names
            """Name the trunk's domain, where sippy puts the next hop and our own address."""
            uac.rTarget.host = _domain(plan)
            uac.rUri.getUrl().host = _domain(plan)
            uac.lUri.getUrl().host = address.domain or own_host

    call_id = SipCallId(plan.attempt_id.hex)
    return Invitation((call_id, user, address.written(plan.number), MsgBody(description), None, None))


def _domain(plan: Plan) -> str:
    return plan.address.domain or plan.address.host
