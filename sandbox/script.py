"""The script: what happens when a number is rung."""

import random
from dataclasses import dataclass

from sandbox.faults import Faults, parse_faults
from sandbox.phone_numbers import to_e164
from sandbox.validation import ScriptError, a_list, a_number, an_integer, an_object, one_of, shown

OUTCOMES = ("completed", "busy", "no-answer", "failed")
ANSWERERS = ("person", "machine")
KEYS = frozenset("0123456789*#")

NO_ANSWER_RING_SECONDS = 15.0  # when the request names no TimeOut
FAILED_RING_SECONDS = 0.5
RING_SECONDS = (1.0, 4.0)  # of a callee who answers, or whose line turns out to be busy

EMPTY_SCRIPT: dict[str, object] = {
    "numbers": {},
    "default": [{"outcome": "completed"}],
    "seed": 1,
    "time_scale": 1,
    "faults": [],
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the script says of one ring. Seconds are before the time scale; None means drawn from the seed."""

    outcome: str
    ring: float | None
    talk: float | None
    digits: str | None
    transfer: str
    is_machine: bool
    weight: float


@dataclass(frozen=True, slots=True)
class CallPlan:
    """How one call will go, decided when it is placed.

    Seconds are before the time scale. talk None: as long as the flow takes. digits None: valid keys, drawn from
    digits_seed. transfer: how calls to other numbers end that the flow makes. is_machine: an answering
    machine answers.
    """

    outcome: str
    ring: float
    talk: float | None
    digits: str | None
    digits_seed: str
    transfer: str = "completed"
    is_machine: bool = False


class Script:
    """A checked script, and how often each number was rung under it.

    The counts take about a hundred bytes for each number rung, until the next script.
    """

    def __init__(
        self,
        document: dict[str, object],
        numbers: dict[str, list[Entry]],
        default: list[Entry],
        seed: int,
        time_scale: float,
        faults: Faults,
    ) -> None:
        self.document = document
        self.time_scale = time_scale
        self.faults = faults
        self._numbers = numbers
        self._default = default
        self._weights = [entry.weight for entry in default]
        self._seed = seed
        self._rings_of: dict[str, int] = {}

    def next_plan(self, number: str, ring_timeout: float | None) -> CallPlan:
        """Decide the next ring of a number (E.164). ring_timeout: the request's TimeOut, in seconds.

        The result depends only on the seed, the number and how often it was rung: a run repeats, whatever the order in
        which its numbers are dialled. A call that would ring longer than ring_timeout ends as no-answer.
        """
        nth = self._rings_of.get(number, 0)
        self._rings_of[number] = nth + 1
        chance = random.Random(f"{self._seed}:{number}:{nth}")
        entries = self._numbers.get(number)
        entry = entries[min(nth, len(entries) - 1)] if entries else chance.choices(self._default, self._weights)[0]
        outcome, ring = entry.outcome, entry.ring
        if ring is None:
            ring = _usual_ring(outcome, ring_timeout, chance)
        elif ring_timeout is not None and ring > ring_timeout:
            outcome, ring = "no-answer", ring_timeout
        seed = f"{self._seed}:{number}:{nth}:digits"
        return CallPlan(outcome, ring, entry.talk, entry.digits, seed, entry.transfer, entry.is_machine)


def _usual_ring(outcome: str, ring_timeout: float | None, chance: random.Random) -> float:
    if outcome == "no-answer":
        return NO_ANSWER_RING_SECONDS if ring_timeout is None else ring_timeout
    seconds = FAILED_RING_SECONDS if outcome == "failed" else chance.uniform(*RING_SECONDS)
    return seconds if ring_timeout is None else min(seconds, ring_timeout)


def parse_script(document: object) -> Script:
    """Parse and check a script. Missing keys take the values of EMPTY_SCRIPT. Raises ScriptError."""
    settings = {**EMPTY_SCRIPT, **an_object("script", document, EMPTY_SCRIPT)}
    seed = an_integer("seed", settings["seed"])
    return Script(
        document=settings,
        numbers=_parse_numbers(settings["numbers"]),
        default=_parse_entries("default", settings["default"], weighted=True),
        seed=seed,
        time_scale=a_number("time_scale", settings["time_scale"], above=0),
        faults=parse_faults("faults", settings["faults"], seed),
    )


def _parse_numbers(document: object) -> dict[str, list[Entry]]:
    if not isinstance(document, dict):
        raise ScriptError(f"numbers: must be an object, not {shown(document)}")
    numbers: dict[str, list[Entry]] = {}
    for written, entries in document.items():
        where = f"numbers.{shown(written)}"
        number = to_e164(written)
        if number is None:
            raise ScriptError(f"{where}: is not a phone number")
        if number in numbers:
            raise ScriptError(f"{where}: the same number stands here twice, in two spellings")
        numbers[number] = _parse_entries(where, entries, weighted=False)
    return numbers


def _parse_entries(where: str, document: object, *, weighted: bool) -> list[Entry]:
    entries = a_list(where, document)
    return [_parse_entry(f"{where}[{index}]", entry, weighted) for index, entry in enumerate(entries)]


def _parse_entry(where: str, document: object, weighted: bool) -> Entry:
    names = ("outcome", "ring", "talk", "digits", "transfer", "answers", *(("weight",) if weighted else ()))
    settings = an_object(where, document, names)
    return Entry(
        outcome=one_of(f"{where}.outcome", settings.get("outcome"), OUTCOMES),
        ring=a_number(f"{where}.ring", settings["ring"]) if "ring" in settings else None,
        talk=a_number(f"{where}.talk", settings["talk"]) if "talk" in settings else None,
        digits=_parse_digits(f"{where}.digits", settings["digits"]) if "digits" in settings else None,
        transfer=one_of(f"{where}.transfer", settings.get("transfer", "completed"), OUTCOMES),
        is_machine=one_of(f"{where}.answers", settings.get("answers", "person"), ANSWERERS) == "machine",
        weight=a_number(f"{where}.weight", settings.get("weight", 1), above=0),
    )


def _parse_digits(where: str, value: object) -> str:
    if not isinstance(value, str) or not KEYS.issuperset(value):
        raise ScriptError(f"{where}: must be a string of the keys 0-9, * and #, not {shown(value)}")
    return value
