"""What an answered call does next: the one interpreter of flows, for every carrier that runs them.

Pure: a flow document and a place in it in, actions out. Between two actions that wait (for keys, for another call)
nothing is kept anywhere: the place travels with the call (in an address, or in the memory of a gateway), so any process
can go on with it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

# The branch that is taken when nobody pressed a key that has one, or took the call. No key is written so.
OTHERWISE = "-"
_STEP = re.compile(r"0|[1-9][0-9]{0,2}")
_KEYS = re.compile(r"[0-9*#]{1,32}")
# Deeper than a person would follow, and short enough for an address.
MOST_LEVELS = 50
# How long a number of a connect rings that does not say.
RING_SECONDS = 30
# The same of a record.
RECORD_SECONDS, RECORD_SILENCE = 60, 5


@dataclass(frozen=True)
class Say:
    """Read a text aloud. language (BCP 47) and voice: "" for the carrier's own."""

    text: str
    language: str = ""
    voice: str = ""


@dataclass(frozen=True)
class Play:
    """Play the recording at an address."""

    url: str


@dataclass(frozen=True)
class OptOut:
    """Put the person called on the account's do-not-call list. Nothing is heard of it."""


@dataclass(frozen=True)
class Refuse:
    """Note that the person called refuses further calls of this kind. Nothing is heard of it."""


@dataclass(frozen=True)
class HangUp:
    """End the call."""


@dataclass(frozen=True)
class Place:
    """A step of the flow: one that waits (a gather for keys, a connect for another call, a record), or a record_call.

    Attributes:
        path: step numbers and the branches between them: `0.1.2` is the third step of branch 1 of the first.
        attempt: how often it has asked, or which of its numbers it rings, from 1.
    """

    path: tuple[str, ...]
    attempt: int = 1

    def __str__(self) -> str:
        return ".".join((*self.path, str(self.attempt)))


@dataclass(frozen=True)
class Connect:
    """Connect the callee to a number (E.164), which may ring for so many seconds. `connected` says what follows."""

    number: str
    ring: int
    place: Place


@dataclass(frozen=True)
class Record:
    """Record what the callee says. `recorded` says what follows.

    Attributes:
        seconds: how long it may be.
        silence: seconds of silence that end it.
        finish_key: ends it, too.
        beep: a tone is heard before it.
    """

    seconds: int
    silence: int
    finish_key: str
    beep: bool
    place: Place


@dataclass(frozen=True)
class RecordCall:
    """Record the call from here on, until it ends: what the callee says, and what it hears. Nothing waits for it."""

    place: Place


@dataclass(frozen=True)
class Ask:
    """Give the prompt and wait for keys. `pressed` says what follows.

    Attributes:
        digits: keys at the most.
        timeout: seconds for the next key.
        finish_key: ends the input and is not part of it; "" for none.
    """

    prompt: tuple[Say | Play, ...]
    digits: int
    timeout: float
    place: Place
    finish_key: str = ""


Action = Say | Play | Connect | OptOut | Refuse | HangUp | Ask | Record | RecordCall


class NoSuchPlace(ValueError):
    """The flow does not wait there: the address was made up, or the flow was changed during the call."""


class _At(NamedTuple):
    """A step: the list that it is in, and its number there. `path` leads to the list."""

    path: tuple[str, ...]
    steps: Sequence[Any]
    number: int


def start(document: Mapping[str, Any]) -> list[Action]:
    """Return what happens when a person picks up. The last action is an Ask, a Connect, a Record or a HangUp."""
    return _run(document, _At((), document["steps"], 0))


def message(document: Mapping[str, Any]) -> list[Action]:
    """Return what an answering machine hears: what the flow has for machines. Without it, the call ends."""
    return _run(document, _At((), document.get("machine", []), 0))


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


def steps_of(document: Any) -> set[str]:
    """Return the names of the steps that a flow has anywhere, and of what they have."""
    match document:
        case Mapping():
            return set(document).union(*map(steps_of, document.values()))
        case list():
            return set().union(*map(steps_of, document))
    return set()


def numbers_of(document: Any) -> list[str]:
    """Return the numbers that a flow connects to anywhere, each once, in their order."""
    match document:
        case {"connect": str(number)}:
            return [number]
        case {"connect": {"numbers": list(numbers), **rest}}:
            return list(dict.fromkeys([*numbers, *numbers_of(rest)]))
        case Mapping():
            parts = [numbers_of(part) for part in document.values()]
        case list():
            parts = [numbers_of(part) for part in document]
        case _:
            parts = []
    return list(dict.fromkeys(number for part in parts for number in part))


def step_at(document: Mapping[str, Any], place: Place) -> str:
    """Return the name of the step at a place. Raises NoSuchPlace."""
    at = _find(document, place.path)
    return str(next(iter(at.steps[at.number])))


def recorded(document: Mapping[str, Any], place: Place) -> list[Action]:
    """Return what happens once the recording of a place is over. Raises NoSuchPlace."""
    at = _find(document, place.path)
    if "record" not in at.steps[at.number]:
        raise NoSuchPlace(str(place))
    return _run(document, at._replace(number=at.number + 1))


def connecting(document: Mapping[str, Any], place: Place) -> list[Action]:
    """Return what rings the number of a place, once everything before it was heard. Raises NoSuchPlace."""
    at = _find(document, place.path)
    return [_connect(_connect_at(at, place), place)]


def connected(
    document: Mapping[str, Any], place: Place, *, was_taken: bool, may_try_others: bool = True
) -> list[Action]:
    """Return what happens once the call to the number of a place is over.

    Args:
        was_taken: somebody answered it.
        may_try_others: the numbers after it may be rung.

    Raises:
        NoSuchPlace
    """
    at = _find(document, place.path)
    connect = _connect_at(at, place)
    if was_taken:
        return _run(document, at._replace(number=at.number + 1))
    if may_try_others and place.attempt < len(connect["numbers"]):
        return [_connect(connect, Place(place.path, place.attempt + 1))]
    return _run(document, _At((*place.path, OTHERWISE), connect.get("otherwise", []), 0))


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
        place = Place((*at.path, str(at.number)))
        if verb == "gather":
            return [*actions, _ask(value, place)]
        if connect := _connect_of(at.steps[at.number]):
            return [*actions, _connect(connect, place)]
        if verb == "record":
            return [*actions, _record(value, place)]
        actions.append(RecordCall(place) if verb == "record_call" else _ACTIONS[verb](value))
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
        steps = _steps_of(steps[number], path[depth + 1], path)
    raise NoSuchPlace(".".join(path))


def _steps_of(step: Mapping[str, Any], branch: str, path: Sequence[str]) -> Sequence[Any]:
    """Return the steps of a step's branch. Raises NoSuchPlace."""
    gather, connect = step.get("gather"), _connect_of(step)
    if gather and (branch == OTHERWISE or branch in gather["branches"]):
        return _branch(gather, branch)
    if connect and branch == OTHERWISE:
        otherwise: Sequence[Any] = connect.get("otherwise", [])
        return otherwise
    raise NoSuchPlace(".".join(path))


def _connect_of(step: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the step's connect in its long form; None where it is another step."""
    connect: str | Mapping[str, Any] | None = step.get("connect")
    return {"numbers": [connect]} if isinstance(connect, str) else connect


def _connect_at(at: _At, place: Place) -> Mapping[str, Any]:
    """Return the connect there, in its long form. Raises NoSuchPlace where none has the place's number."""
    connect = _connect_of(at.steps[at.number])
    if connect is None or not 1 <= place.attempt <= len(connect["numbers"]):
        raise NoSuchPlace(str(place))
    return connect


def _connect(connect: Mapping[str, Any], place: Place) -> Connect:
    return Connect(connect["numbers"][place.attempt - 1], connect.get("ring", RING_SECONDS), place)


def _record(record: Mapping[str, Any], place: Place) -> Record:
    return Record(
        seconds=record.get("seconds", RECORD_SECONDS),
        silence=record.get("silence", RECORD_SILENCE),
        finish_key=record.get("finish_key", "#"),
        beep=record.get("beep", True),
        place=place,
    )


def _branch(gather: Mapping[str, Any], branch: str) -> Sequence[Any]:
    steps: Sequence[Any] = gather.get("otherwise", []) if branch == OTHERWISE else gather["branches"][branch]
    return steps


def _ask(gather: Mapping[str, Any], place: Place) -> Ask:
    prompt = tuple(_ACTIONS[verb](value) for step in gather.get("prompt", []) for verb, value in step.items())
    digits, timeout = gather.get("digits", 1), gather.get("timeout", 5)
    return Ask(prompt, digits, timeout, place, gather.get("finish_key", ""))


def _say(value: str | Mapping[str, str]) -> Say:
    return Say(value) if isinstance(value, str) else Say(**value)


_ACTIONS: Mapping[str, Any] = {
    "say": _say,
    "play": Play,
    "opt_out": lambda _: OptOut(),
    "refuse": lambda _: Refuse(),
    "hangup": lambda _: HangUp(),
}
