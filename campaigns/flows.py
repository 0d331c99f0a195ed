"""Flows: the JSON document that says what an answered call does, checked against the published schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from django.core.exceptions import ValidationError

from accounts.models import Account
from campaigns.models import Flow

SCHEMA_FILE = Path(__file__).with_name("flow.schema.json")


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))


def validate_flow(document: Any) -> None:
    """Raises ValidationError that names the place and the fault of the first step that the schema refuses."""
    try:
        error = jsonschema.exceptions.best_match(_validator().iter_errors(document))
    except RecursionError as fault:
        raise ValidationError("the flow nests too deeply") from fault
    if error is not None:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        raise ValidationError(f"flow{place}: {error.message[:300]}")


def flow_id_of(url: str) -> str:
    """The last segment of the address's path: `…/exoml/start_voice/29281` is flow 29281."""
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def find_flow(account: Account, url: str) -> Flow | None:
    """The account's flow that the address names, or None."""
    return Flow.objects.filter(account=account, flow_id=flow_id_of(url)).first()
