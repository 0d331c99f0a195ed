"""Find the flow that a campaign's flow address names.

The address is Exotel's. It only names a flow: nothing is sent to it, and no carrier is given it.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from django.db.models import BigIntegerField

from accounts.calling_rules import HasOwnRules, has_any, rules_of
from accounts.models import Account, Trunk
from campaigns import flow_interpreter
from campaigns.models import Flow
from core.composed_once import ComposedOnce, Given
from core.errors import InvalidRequest

# Current addresses have the account's SID, older ones don't: /acme/exoml/start_voice/1, /exoml/start/1, /start/1. The
# last segment is the flow's id in all of them.
_PATH = re.compile(r"(?:/(?P<sid>[A-Za-z0-9_.-]+)(?=/exoml/))?(?:/[A-Za-z0-9_-]+)*/(?P<flow_id>[A-Za-z0-9_-]+)/?")
# The numbers that a warning names.
MOST_NAMED = 3
_FORM = "http://my.exotel.com/<account sid>/exoml/start_voice/<flow id>"


def find_flow(account: Account, url: str) -> Flow:
    """Return the account's flow that the address names.

    Raises:
        InvalidRequest: it is no flow's address, or that of another account; the message leaves the address out.
    """
    sid, flow_id = read_address(url)
    if sid and sid != account.sid and not _is_at_the_carrier(account, sid):
        raise InvalidRequest(f"is a flow of the account {sid}, not of {account.sid}: give the address of your own flow")
    found = _OF_ACCOUNT.of([flow_id], account=account.pk)
    if not found:
        raise InvalidRequest("names no flow of this account: its last segment must be a flow's id")
    return found[0]


# Each create asks this.
_OF_ACCOUNT = ComposedOnce(lambda: Flow.objects.filter(account_id=Given("account", BigIntegerField())), by="flow_id")


def connects_to_people(account: Account, document: Any, campaign: HasOwnRules | None = None) -> str:
    """Return a warning to operators where there are rules for numbers that the flow connects to; "" without any.

    They may have forgotten to say which of them are the account's own agents.

    Args:
        campaign: whose rules add to the account's, and for which some may be waived.
    """
    if not has_any(account, campaign):
        return ""
    people = [number for number in flow_interpreter.numbers_of(document) if number not in account.agent_numbers]
    if not people:
        return ""
    more = f" and {len(people) - MOST_NAMED} more" if len(people) > MOST_NAMED else ""
    hold = "rules hold for them as for everybody who is called"
    if not rules_of(account, campaign):
        hold = "each of them is connected to one callee at a time, although the account's rules are waived"
    return (
        f"the flow connects to {', '.join(people[:MOST_NAMED])}{more}, and {hold}:"
        " to ring your own staff at any hour, name its numbers as agent_numbers of the account"
    )


def read_address(url: str) -> tuple[str, str]:
    """Return the account's SID, "" in the older forms, and the flow's id. Raises InvalidRequest."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise InvalidRequest(f"is not an address: write it as {_FORM}") from error
    if not is_web or not url.isascii() or re.search(r"[^\x21-\x7e]|[\\<>\"]", url):
        raise InvalidRequest(f"is not an http or https address: write it as {_FORM}")
    if "@" in parts.netloc:
        raise InvalidRequest(f"has credentials, which a flow's address never needs: write it as {_FORM}")
    path = _PATH.fullmatch(parts.path)
    if path is None:
        raise InvalidRequest(f"names no flow of this account: write it as {_FORM}")
    return path["sid"] or "", path["flow_id"]


def _is_at_the_carrier(account: Account, sid: str) -> bool:
    """Tell whether the SID is that of the operator's account at the carrier, where flows of Exotel are made."""
    return Trunk.objects.filter(caller_ids__account=account, account_sid=sid).exists()
