"""Flows as people write them: read, judged and stored."""

import json
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework.exceptions import ParseError

from accounts import audit
from accounts.audit import Actor
from accounts.models import Account
from api.http.parsers import parse_json
from campaigns import carrier_fit
from campaigns.flow_schema import validate_flow
from campaigns.models import Campaign, Flow
from core.errors import InvalidRequest

EXAMPLE = {
    "steps": [
        {
            "gather": {
                "prompt": [{"say": "There is no class tomorrow. Press 1 to hear it again, 9 for no more calls."}],
                "attempts": 2,
                "branches": {
                    "1": [{"say": "There is no class tomorrow."}],
                    "9": [{"opt_out": True}, {"say": "We will not call you again."}],
                },
                "otherwise": [{"say": "Goodbye."}],
            }
        }
    ]
}


class CantBeRun(ValueError):
    """The carrier of an open campaign can't run the flow as it would be; the message says why."""


@dataclass(frozen=True)
class Written:
    """A document as it was written. error: what is wrong with it, and where; "" where nothing is."""

    text: str
    document: Any = None
    error: str = ""


def pretty(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def read(text: str) -> Written:
    """Read a document. An error names its line, or its path in the document."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return Written(text, error=f"line {error.lineno}, column {error.colno}: {error.msg}")
    except RecursionError:
        return Written(text, error="it nests too deeply")
    try:
        document = parse_json(text)
        validate_flow(document)
    except ParseError as error:
        return Written(text, error=str(error.detail).replace("the body", "the document"))
    except ValidationError as error:
        return Written(text, error=str(error.message))
    return Written(text, document)


def store(account: Account, flow_id: str, document: Any, *, is_new: bool, actor: Actor) -> Flow:
    """Store a valid document under its ID.

    Raises:
        InvalidRequest: the ID can't be used.
        CantBeRun: the carrier of an open campaign can't run the document.
    """
    with transaction.atomic():
        found = Flow.objects.select_for_update().filter(account=account, flow_id=flow_id).first()
        if found and is_new:
            raise InvalidRequest("there is a flow of this ID: choose another one")
        flow = found or Flow(account=account, flow_id=flow_id)
        has_changed = flow.document != document
        flow.document = document
        try:
            flow.full_clean()
            flow.save()
        except ValidationError as error:
            raise InvalidRequest("; ".join(error.messages)) from error
        except IntegrityError as error:
            raise InvalidRequest("there is a flow of this ID: choose another one") from error
        if obstacle := carrier_fit.obstacle_to(flow):
            raise CantBeRun(f"{obstacle}: store it under another ID, or end that campaign first")
        if has_changed:
            verb = audit.Verb.CREATED if is_new else audit.Verb.CHANGED
            audit.record(actor, verb, flow, what="" if is_new else "Document")
    return flow


def open_campaigns(flow: Flow) -> int:
    """Count the campaigns whose next calls hear what is stored."""
    return Campaign.objects.filter(flow=flow, status__in=Campaign.OPEN).count()
