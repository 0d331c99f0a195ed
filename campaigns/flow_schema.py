"""The published schema of flow documents, campaigns/flow.schema.json."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        raise ValidationError(f"flow{_place(error.absolute_path)}: {error.message[:300]}")
    for path, gather in _gathers(document["steps"], ("steps",)):
        key = gather.get("finish_key")
        if key and (unreachable := [keys for keys in gather["branches"] if key in keys]):
            reason = f"the branch {unreachable[0]!r} can't be reached, as the key {key} ends the input"
            raise ValidationError(f"flow{_place(path)}: {reason}")


def _place(path: Iterable[Any]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _gathers(steps: Sequence[Any], path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Return the gathers of a valid flow with their places, those of all branches included."""
    for number, step in enumerate(steps):
        gather, connect = step.get("gather", {}), step.get("connect", {})
        if gather:
            yield (*path, number, "gather"), gather
        for keys, branch in gather.get("branches", {}).items():
            yield from _gathers(branch, (*path, number, "gather", "branches", keys))
        for verb, value in {"gather": gather, "connect": connect}.items():
            if isinstance(value, dict) and "otherwise" in value:
                yield from _gathers(value["otherwise"], (*path, number, verb, "otherwise"))


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
