"""The published schema of flow documents, campaigns/flow.schema.json."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from django.core.exceptions import ValidationError

SCHEMA_FILE = Path(__file__).with_name("flow.schema.json")


def validate_flow(document: Any) -> None:
    """Check a flow document against the schema.

    Raises:
        ValidationError: the message names the place and the problem of the step that the schema refuses.
    """
    try:
        error = jsonschema.exceptions.best_match(_validator().iter_errors(document))
    except RecursionError as too_deep:
        raise ValidationError("the flow nests too deeply") from too_deep
    if error is not None:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        raise ValidationError(f"flow{place}: {error.message[:300]}")


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
