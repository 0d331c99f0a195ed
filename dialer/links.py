"""Addresses that we give to a carrier: where to send its events, and where to read the flow."""

from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings

from campaigns.flow_interpreter import Place
from campaigns.models import Campaign
from core.signed_addresses import token


def events_url(carrier: str, attempt_id: UUID) -> str:
    """Return the address for the attempt's events. Its id ends the path: the sandbox's ring log reads it there."""
    signature = token(*event_subject(carrier, attempt_id))
    return f"{settings.EVENTS_URL}/carrier-events/{carrier}/{attempt_id.hex}?token={signature}"


def event_subject(carrier: str, attempt_id: UUID) -> tuple[str, str]:
    """Return purpose and subject of the token: one carrier's event is never read by another's driver."""
    return "events", f"{carrier}/{attempt_id.hex}"


def twiml_url(attempt_id: UUID, place: Place | None = None, keys: str = "", *, rings: bool = False) -> str:
    """Return where a carrier that speaks TwiML asks what the attempt's call does next.

    Args:
        place: the gather whose keys it brings; None: the start of the flow.
        keys: pressed before.
        rings: place is a connect, whose number rings next.
    """
    query = {"token": token("twiml", attempt_id.hex)}
    if place:
        query |= {"place": str(place), "keys": keys}
    if rings:
        query |= {"rings": "1"}
    return f"{settings.PUBLIC_URL}/twiml/{attempt_id.hex}?{urlencode(query)}"


def twiml_error_url(attempt_id: UUID) -> str:
    """Return where a carrier that speaks TwiML asks what to do when it could not read a document of the call."""
    return f"{settings.PUBLIC_URL}/twiml/{attempt_id.hex}/error?{urlencode({'token': token('twiml', attempt_id.hex)})}"


def recording_made_url(attempt_id: UUID, place: Place) -> str:
    """Return the address at which a carrier that speaks TwiML tells where a recording is."""
    query = {"token": token("twiml", attempt_id.hex), "place": str(place)}
    return f"{settings.PUBLIC_URL}/twiml/{attempt_id.hex}/recording?{urlencode(query)}"


def passthru_url(trunk_pk: int) -> str:
    """Return the address that Exotel's Passthru applet sends pressed keys to, for flows of the trunk's account."""
    return f"{settings.PUBLIC_URL}/passthru/{trunk_pk}?token={token('passthru', str(trunk_pk))}"


def flow_url(campaign: Campaign, call_pk: int) -> str:
    """Return where a carrier that runs our flows reads the flow of the call.

    A call with values of its own has its own address. Otherwise all calls share one, which the sandbox reads once.
    """
    if campaign.flow_id:
        return _flow_url("flows", campaign.flow_id)
    if campaign.type == Campaign.Type.DYNAMIC:
        return _flow_url("call-texts", call_pk)
    return _flow_url("campaign-texts", campaign.pk.hex)


def _flow_url(kind: str, subject: int | str) -> str:
    return f"{settings.PUBLIC_URL}/{kind}/{subject}?token={token(kind, str(subject))}"
