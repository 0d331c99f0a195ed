"""What a gateway has to know to make a call, read from the rows of its attempt."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import Error

from campaigns import spoken_text
from campaigns.models import Call, Campaign
from core.encryption import UnreadableSecret
from dialer import carrier_accounts
from dialer.models import CallAttempt
from sipgateway import records, trunk_addresses
from sipgateway.models import SipCall
from sipgateway.trunk_addresses import TrunkAddress

log = structlog.get_logger(__name__)

# How long before a campaign begins what it says is made.
WARMED_BEFORE = timedelta(minutes=2)


@dataclass(frozen=True)
class Plan:
    """A call to make.

    Attributes:
        ip: of the trunk; "" until its name is resolved.
        document: its flow.
        leg_of: the attempt that it is a second leg of, where it is one; then attempt_id is that of the leg.
    """

    attempt_id: UUID
    number: str
    caller_id: str
    ring_timeout: int
    max_seconds: int
    ask_before: datetime
    account_id: int
    trunk_id: int
    address: TrunkAddress
    credentials: tuple[str, str] | None
    document: Mapping[str, Any]
    ip: str = ""
    leg_of: UUID | None = None


@dataclass(frozen=True)
class CantBeMade:
    """A call that can't be made, and why: the trunk is at fault, or this program."""

    attempt_id: UUID
    reason: str
    is_our_fault: bool = False


def plans_of(calls: Sequence[SipCall]) -> list[Plan | CantBeMade]:
    """Return what to do for each of the calls."""
    attempts = CallAttempt.objects.select_related("call__campaign__flow", "trunk", "carrier_account")
    found = attempts.in_bulk([call.pk for call in calls])
    return [_plan_or_fault(call, found.get(call.pk)) for call in calls]


def _plan_or_fault(call: SipCall, attempt: CallAttempt | None) -> Plan | CantBeMade:
    """Return the plan of a call. One that this program fails on must not hold up the others."""
    try:
        return _plan(call, attempt)
    except Error:
        raise
    except Exception as fault:
        log.exception("sip_call_not_planned", attempt=call.pk.hex)
        return CantBeMade(call.pk, f"a fault of this server: {type(fault).__name__}", is_our_fault=True)


def _plan(call: SipCall, attempt: CallAttempt | None) -> Plan | CantBeMade:
    if attempt is None or attempt.carrier_account is None:
        return CantBeMade(call.pk, "its attempt is not known")
    try:
        access = carrier_accounts.access_to(attempt.carrier_account, attempt.trunk)
        address = trunk_addresses.parse(access.base_url)
    except UnreadableSecret as error:
        return CantBeMade(call.pk, f"the trunk's password can't be read: {error}")
    except ValueError as error:
        return CantBeMade(call.pk, f"the trunk's address {error}")
    return Plan(
        attempt_id=call.pk,
        number=call.number,
        caller_id=call.caller_id,
        ring_timeout=call.ring_timeout,
        max_seconds=call.max_seconds,
        ask_before=call.ask_before,
        account_id=attempt.account_id,
        trunk_id=attempt.trunk_id,
        address=address,
        credentials=(access.api_key, access.api_token) if access.api_key else None,
        document=_document(attempt.call),
    )


def _document(call: Call) -> Mapping[str, Any]:
    campaign = call.campaign
    if campaign.flow:
        document: Mapping[str, Any] = campaign.flow.document
        return document
    return spoken_text.document(campaign, call.variables if campaign.type == campaign.Type.DYNAMIC else None)


def begun(now: datetime) -> set[UUID]:
    """Return the campaigns over SIP trunks that have begun or begin soon, and that say the same to everybody."""
    soon = Campaign.objects.filter(status__in=(Campaign.Status.CREATED, Campaign.Status.IN_PROGRESS))
    of_sip = soon.filter(caller_id__trunk__carrier=records.KIND, send_at__lt=now + WARMED_BEFORE)
    return set(of_sip.exclude(text__gt="", type=Campaign.Type.DYNAMIC).values_list("pk", flat=True))


def documents_of(campaign_ids: Set[UUID]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the flows of these campaigns, each with its account."""
    campaigns = Campaign.objects.filter(pk__in=campaign_ids).select_related("flow")
    documents = []
    for campaign in campaigns:
        try:
            document = campaign.flow.document if campaign.flow else spoken_text.document(campaign)
        except ValueError:
            log.exception("sip_campaign_not_warmed", campaign=campaign.pk.hex)
        else:
            documents.append((campaign.account_id, document))
    return documents
