"""Flows: parse a flow document, and compute how a conversation through it goes.

Nothing waits here. A conversation is computed at once, as its length and the moment of each key. So the switchboard
needs one timer per call, and a call that is cut short reports the keys that were pressed by then.
"""

import random
from dataclasses import dataclass, field

from sandbox.script import KEYS

SPEECH_CHARACTERS_PER_SECOND = 15  # about 150 English words a minute
PLAY_SECONDS = 5.0
CONNECT_SECONDS = 10.0
KEY_SECONDS = 0.5  # between two keys of one callee
MAX_DEPTH = 50  # of nested gathers; far beyond any menu a person would listen to


class NotAFlow(ValueError):
    """The document is not a flow; the message says where."""


@dataclass(frozen=True, slots=True)
class Talk:
    """say, play and connect: the line is in use for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """The flow ends the call."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Ask for keys, then branch on them. digits: keys at the most; timeout: seconds to wait for the next key."""

    prompt: list["Step"]
    digits: int
    timeout: float
    attempts: int
    branches: dict[str, list["Step"]]
    otherwise: list["Step"]


Step = Talk | HangUp | Gather


@dataclass(frozen=True, slots=True)
class Conversation:
    """How a conversation goes: its length, and each key with the seconds from the answer to its press."""

    seconds: float
    keys: list[tuple[float, str]]

    def cut_to(self, seconds: float) -> "Conversation":
        """Return a conversation of exactly this length with the same keys; later ones are pressed at its end."""
        return Conversation(seconds, [(min(at, seconds), key) for at, key in self.keys])

    def pressed_by(self, seconds: float) -> str:
        """Return the keys that are pressed in the first so many seconds."""
        return "".join(key for at, key in self.keys if at <= seconds)


class Callee:
    """The person at the other end, who presses scripted keys in order, or without a script valid ones by chance."""

    def __init__(self, digits: str | None, seed: str) -> None:
        self._left = digits
        self._chance = random.Random(seed)

    def press(self, gather: Gather) -> str:
        """Return the keys for one round of a gather; "" when the scripted ones are used up."""
        if self._left is not None:
            pressed, self._left = self._left[: gather.digits], self._left[gather.digits :]
            return pressed
        if gather.branches:
            return self._chance.choice(list(gather.branches))
        return "".join(self._chance.choice("0123456789") for _ in range(gather.digits))


def run_flow(steps: list[Step], callee: Callee) -> Conversation:
    """Compute the conversation of a callee with a flow."""
    run = _Run(callee)
    run.steps(steps)
    return Conversation(run.at, run.keys)


@dataclass(slots=True)
class _Run:
    callee: Callee
    at: float = 0.0
    keys: list[tuple[float, str]] = field(default_factory=list)

    def steps(self, steps: list[Step]) -> bool:
        """Go through steps; False once the flow has hung up."""
        for step in steps:
            if isinstance(step, HangUp):
                return False
            if isinstance(step, Talk):
                self.at += step.seconds
            elif not self.gather(step):
                return False
        return True

    def gather(self, gather: Gather) -> bool:
        for _ in range(gather.attempts):
            self.steps(gather.prompt)
            pressed = self.callee.press(gather)
            for key in pressed:
                self.at += KEY_SECONDS
                self.keys.append((self.at, key))
            if len(pressed) < gather.digits:
                self.at += gather.timeout
            if pressed in gather.branches:
                return self.steps(gather.branches[pressed])
        return self.steps(gather.otherwise)


def parse_flow(document: object) -> list[Step]:
    """Parse a flow document, `{"steps": [...]}`. Keys other than `steps` are ignored. Raises NotAFlow."""
    if not isinstance(document, dict):
        raise NotAFlow("a flow is an object with steps")
    return _parse_steps("steps", document.get("steps"), MAX_DEPTH)


def _parse_steps(where: str, document: object, depth: int) -> list[Step]:
    if not isinstance(document, list):
        raise NotAFlow(f"{where}: must be a list of steps")
    if depth == 0:
        raise NotAFlow(f"{where}: nested deeper than {MAX_DEPTH} gathers")
    return [_parse_step(f"{where}[{index}]", step, depth) for index, step in enumerate(document)]


def _parse_step(where: str, document: object, depth: int) -> Step:
    if not isinstance(document, dict) or len(document) != 1:
        raise NotAFlow(f"{where}: a step is an object with exactly one key")
    ((verb, value),) = document.items()
    if verb == "say" and isinstance(value, str):
        return Talk(len(value) / SPEECH_CHARACTERS_PER_SECOND)
    if verb == "play" and isinstance(value, str):
        return Talk(PLAY_SECONDS)
    if verb == "connect" and isinstance(value, str):
        return Talk(CONNECT_SECONDS)
    if verb == "hangup" and value is True:
        return HangUp()
    if verb == "gather" and isinstance(value, dict):
        return _parse_gather(f"{where}.gather", value, depth)
    raise NotAFlow(f"{where}: unknown step {verb!r}, or a value that does not belong to it")


def _parse_gather(where: str, settings: dict[str, object], depth: int) -> Gather:
    digits = _positive_integer(f"{where}.digits", settings.get("digits", 1))
    timeout = settings.get("timeout", 5)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < 1e6:
        raise NotAFlow(f"{where}.timeout: must be seconds")
    prompt = _parse_steps(f"{where}.prompt", settings.get("prompt", []), depth - 1)
    if not all(isinstance(step, Talk) for step in prompt):
        raise NotAFlow(f"{where}.prompt: a prompt says and plays only")
    branches = settings.get("branches", {})
    if not isinstance(branches, dict):
        raise NotAFlow(f"{where}.branches: must be an object of steps by keys")
    for keys in branches:
        if not 1 <= len(keys) <= digits or not KEYS.issuperset(keys):
            raise NotAFlow(f"{where}.branches: {keys!r} cannot be pressed with digits = {digits}")
    return Gather(
        prompt=prompt,
        digits=digits,
        timeout=float(timeout),
        attempts=_positive_integer(f"{where}.attempts", settings.get("attempts", 1)),
        branches={keys: _parse_steps(f"{where}.branches.{keys}", steps, depth - 1) for keys, steps in branches.items()},
        otherwise=_parse_steps(f"{where}.otherwise", settings.get("otherwise", []), depth - 1),
    )


def _positive_integer(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise NotAFlow(f"{where}: must be a whole number from 1 to 100")
    return value
