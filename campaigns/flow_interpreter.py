"""What an answered call does next: the one interpreter of flows, for every carrier that runs them.

Pure: a flow document and a place in it in, actions out. Between two questions nothing is kept anywhere: the place
travels with the call (in an address, or in the memory of a gateway), so any process can go on with it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

# The branch that is taken when nobody pressed a key that has one. No key is written so.
OTHERWISE = "-"
_STEP = re.compile(r"0|[1-9][0-9]{0,2}")
_KEYS = re.compile(r"[0-9*#]{1,32}")
# Deeper than a person would follow, and short enough for an address.
MOST_LEVELS = 50


@dataclass(frozen=True)
class Say:
    """Read a text aloud."""

    text: str


@dataclass(frozen=True)
class Play:
    """Play the recording at an address."""

    url: str


@dataclass(frozen=True)
class Connect:
    """Connect the callee to a number (E.164). The flow goes on when that call is over."""

    number: str


@dataclass(frozen=True)
class HangUp:
    """End the call."""


@dataclass(frozen=True)
class Place:
    """A gather of the flow that is waiting for keys.

    Attributes:
        path: step numbers and the branches between them: `0.1.2` is the third step of branch 1 of the first.
        attempt: how often it has asked, from 1.
    """

    path: tuple[str, ...]
    attempt: int = 1

    def __str__(self) -> str:
        return ".".join((*self.path, str(self.attempt)))


@dataclass(frozen=True)
class Ask:
    """Give the prompt and wait for keys. `pressed` says what follows.

    Attributes:
        digits: keys at the most.
        timeout: seconds for the next key.
    """

    prompt: tuple[Say | Play, ...]
    digits: int
    timeout: float
    place: Place


Action = Say | Play | Connect | HangUp | Ask


class NoSuchPlace(ValueError):
    """The flow has no gather there: the address was made up, or the flow was changed during the call."""


class _At(NamedTuple):
    """A step: the list that it is in, and its number there. `path` leads to the list."""

    path: tuple[str, ...]
    steps: Sequence[Any]
    number: int


def start(document: Mapping[str, Any]) -> list[Action]:
    """Return what happens when a person picks up. The last action is an Ask or a HangUp."""
    return _run(document, _At((), document["steps"], 0))


def pressed(document: Mapping[str, Any], place: Place, keys: str) -> list[Action]:
    """Return what happens once these keys were pressed at a place; "" for none. Raises NoSuchPlace."""
    at = _find(document, place.path)
    gather = at.steps[at.number].get("gather")
    if gather is None:
        raise NoSuchPlace(str(place))
    branch = keys if keys in gather["branches"] else OTHERWISE
    if branch == OTHERWISE and place.attempt < gather.get("attempts", 1):
        return [_ask(gather, Place(place.path, place.attempt + 1))]
    return _run(document, _At((*place.path, branch), _branch(gather, branch), 0))


def parse_place(text: str) -> Place:
    """Read what `str(place)` has written. Raises NoSuchPlace."""
    *path, attempt = text.split(".")
    steps, branches = path[::2], path[1::2]
    is_one = len(path) % 2 == 1 and len(path) < 2 * MOST_LEVELS and all(map(_STEP.fullmatch, (*steps, attempt)))
    if not is_one or not all(branch == OTHERWISE or _KEYS.fullmatch(branch) for branch in branches):
        raise NoSuchPlace(text[:100])
    return Place(tuple(path), int(attempt))


def _run(document: Mapping[str, Any], at: _At) -> list[Action]:
    """Return the actions from a step on, up to the next question or the end of the call."""
    actions: list[Action] = []
    while True:
        if at.number == len(at.steps):
            if not at.path:
                return [*actions, HangUp()]
            around = _find(document, at.path[:-1])
            at = around._replace(number=around.number + 1)
            continue
        [(verb, value)] = at.steps[at.number].items()
        if verb == "gather":
            return [*actions, _ask(value, Place((*at.path, str(at.number))))]
        actions.append(_ACTIONS[verb](value))
        if verb == "hangup":
            return actions
        at = at._replace(number=at.number + 1)


def _find(document: Mapping[str, Any], path: Sequence[str]) -> _At:
    """Return the step at a path. Raises NoSuchPlace."""
    steps: Sequence[Any] = document["steps"]
    for depth in range(0, len(path), 2):
        number = int(path[depth])
        if number >= len(steps):
            raise NoSuchPlace(".".join(path))
        if depth + 1 == len(path):
            return _At(tuple(path[:depth]), steps, number)
        gather = steps[number].get("gather")
        branch = path[depth + 1]
        if gather is None or (branch != OTHERWISE and branch not in gather["branches"]):
            raise NoSuchPlace(".".join(path))
        steps = _branch(gather, branch)
    raise NoSuchPlace(".".join(path))


def _branch(gather: Mapping[str, Any], branch: str) -> Sequence[Any]:
    steps: Sequence[Any] = gather.get("otherwise", []) if branch == OTHERWISE else gather["branches"][branch]
    return steps


def _ask(gather: Mapping[str, Any], place: Place) -> Ask:
    prompt = tuple(_ACTIONS[verb](value) for step in gather.get("prompt", []) for verb, value in step.items())
    return Ask(prompt, gather.get("digits", 1), gather.get("timeout", 5), place)


_ACTIONS: Mapping[str, Any] = {"say": Say, "play": Play, "connect": Connect, "hangup": lambda _: HangUp()}
