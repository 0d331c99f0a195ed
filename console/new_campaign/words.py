"""What people hear, as a flow: a text, and an answer to each key that they may press. And retries, in words."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts import audit
from accounts.audit import Actor
from accounts.models import Account
from campaigns.flow_schema import validate_flow
from campaigns.models import Campaign, Flow
from campaigns.spoken_text import MARK
from core.errors import InvalidRequest

# Keys with an answer of their own that the page has room for.
MOST_ANSWERS = 4
_KEY = re.compile(r"[0-9*#]")


@dataclass(frozen=True)
class Answer:
    """What follows a key. stops: whether nobody calls this number again."""

    key: str
    text: str
    stops: bool


def document(text: str, answers: Sequence[Answer], repeats: int) -> dict[str, Any]:
    """Return the flow that reads the text, waits for a key and answers it.

    Raises:
        InvalidRequest: two answers have one key, or one has none.
    """
    branches: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        if not _KEY.fullmatch(answer.key):
            raise InvalidRequest(f"say which key this answers, one of 0 to 9, * and #: “{answer.text[:40]}”")
        if answer.key in branches:
            raise InvalidRequest(f"the key {answer.key} has two answers: give it one")
        if MARK in answer.text or MARK in text:
            raise InvalidRequest(f"{MARK} names a column of a list, which goes without answers only")
        steps: list[dict[str, Any]] = [{"opt_out": True}] if answer.stops else []
        branches[answer.key] = [*steps, {"say": answer.text} if answer.text else {"hangup": True}]
    say = {"say": text}
    gather = {"prompt": [say], "digits": 1, "attempts": 1 + repeats, "branches": branches}
    made = {"steps": [{"gather": gather}], "machine": [say]}
    try:
        validate_flow(made)
    except ValidationError as error:
        raise InvalidRequest(str(error.message)) from error
    return made


def store(account: Account, made: Mapping[str, Any], actor: Actor) -> Flow:
    """Return the account's flow of this document, made where there is none: the same words are one flow."""
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        flow, is_new = Flow.objects.get_or_create(
            account=account, flow_id=f"text-{digest[:12]}", defaults={"document": made}
        )
        if is_new:
            audit.record(actor, audit.Verb.CREATED, flow)
    return flow


def address(account: Account, flow_id: str) -> str:
    """Return the address by which a campaign names the flow."""
    return f"http://my.exotel.com/{account.sid}/exoml/start_voice/{flow_id}"


def retries(campaign: Campaign) -> str:
    """Say it: `Busy or no answer: again after 10 min, then after 20 min more`."""
    if not campaign.number_of_retries or not campaign.retry_interval_mins:
        return "Each number is called once"
    doubles = campaign.retry_mechanism == Campaign.Mechanism.EXPONENTIAL
    waits = [campaign.retry_interval_mins * (2**turn if doubles else 1) for turn in range(campaign.number_of_retries)]
    when = ", then after ".join(_minutes(wait) for wait in waits)
    what = [status.replace("-", " ") for status in campaign.retry_on_status]
    return f"{' or '.join(filter(None, [', '.join(what[:-1]), what[-1]])).capitalize()}: again after {when}"


def _minutes(minutes: int) -> str:
    if minutes >= 120 and minutes % 60 == 0:
        return f"{minutes // 60} h"
    return f"{minutes} min"
