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
RING_SECONDS = 30  # of a number that is connected to, where the flow does not say
KEY_SECONDS = 0.5  # between two keys of one callee
MAX_DEPTH = 50  # of nested gathers; far beyond any menu a person would listen to


class NotAFlow(ValueError):
    """The document is not a flow; the message says where."""


@dataclass(frozen=True, slots=True)
class Talk:
    """say and play: the line is in use for so many seconds; opt_out and refuse: for none."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """connect: ring numbers one after another. otherwise: what follows when nobody takes the call."""

    numbers: int
    ring: float
    otherwise: list["Step"]


@dataclass(frozen=True, slots=True)
class HangUp:
    """The flow ends the call."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Ask for keys, then branch on them. digits: keys at the most; timeout: seconds to wait for the next key.

    finish_key: ends the input, "" for none. Callees press it after keys that are fewer than may be pressed.
    """

    prompt: list["Step"]
    digits: int
    timeout: float
    attempts: int
    branches: dict[str, list["Step"]]
    otherwise: list["Step"]
    finish_key: str = ""


Step = Talk | Transfer | HangUp | Gather


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
    """The person at the other end, who presses scripted keys in order, or without a script valid ones by chance.

    transfer: how a call to another number ends that the flow makes.
    """

    def __init__(self, digits: str | None, seed: str, transfer: str = "completed") -> None:
        self._left = digits
        self._chance = random.Random(seed)
        self.transfer = transfer

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
            elif isinstance(step, Transfer):
                if not self.transfer(step):
                    return False
            elif not self.gather(step):
                return False
        return True

    def transfer(self, transfer: Transfer) -> bool:
        if self.callee.transfer == "completed":
            self.at += CONNECT_SECONDS
            return True
        rings = 0.0 if self.callee.transfer == "busy" else transfer.ring
        self.at += transfer.numbers * rings
        return self.steps(transfer.otherwise)

    def gather(self, gather: Gather) -> bool:
        for _ in range(gather.attempts):
            self.steps(gather.prompt)
            pressed = self.callee.press(gather)
            for key in pressed:
                self.at += KEY_SECONDS
                self.keys.append((self.at, key))
            if len(pressed) < gather.digits:
                self.at += KEY_SECONDS if pressed and gather.finish_key else gather.timeout
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
    if verb == "say" and isinstance(text := value.get("text") if isinstance(value, dict) else value, str):
        return Talk(len(text) / SPEECH_CHARACTERS_PER_SECOND)
    if verb == "play" and isinstance(value, str):
        return Talk(PLAY_SECONDS)
    if verb == "connect" and isinstance(value, str | dict):
        return _parse_connect(f"{where}.connect", value, depth)
    if verb in {"opt_out", "refuse"} and value is True:
        return Talk(0)
    if verb == "hangup" and value is True:
        return HangUp()
    if verb == "gather" and isinstance(value, dict):
        return _parse_gather(f"{where}.gather", value, depth)
    raise NotAFlow(f"{where}: unknown step {verb!r}, or a value that does not belong to it")


def _parse_connect(where: str, value: str | dict[str, object], depth: int) -> Transfer:
    settings = {"numbers": [value]} if isinstance(value, str) else value
    numbers = settings.get("numbers")
    if not isinstance(numbers, list) or not numbers or not all(isinstance(number, str) for number in numbers):
        raise NotAFlow(f"{where}.numbers: must be a list of numbers")
    ring = _positive_integer(f"{where}.ring", settings.get("ring", RING_SECONDS), most=600)
    otherwise = _parse_steps(f"{where}.otherwise", settings.get("otherwise", []), depth - 1)
    return Transfer(len(numbers), float(ring), otherwise)


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
    finish_key = settings.get("finish_key", "")
    if not isinstance(finish_key, str) or len(finish_key) > 1 or not KEYS.issuperset(finish_key):
        raise NotAFlow(f"{where}.finish_key: must be one key")
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
        finish_key=finish_key,
    )


def _positive_integer(where: str, value: object, most: int = 100) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise NotAFlow(f"{where}: must be a whole number from 1 to {most}")
    return value
