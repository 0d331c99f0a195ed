"""Faults between the carrier and its client, as the script orders them."""

import random
from dataclasses import dataclass

from sandbox.validation import ScriptError, a_list, a_number, an_integer, an_object, one_of

# Default seconds of the faults that take time; None for those that take none.
DEFAULT_SECONDS: dict[str, float | None] = {
    "http-400": None,
    "http-403": None,
    "http-404": None,
    "http-429": None,
    "http-500": None,
    "http-503": None,
    "hang-before-ring": 30,
    "hang-after-ring": 30,
    "error-after-ring": None,
    "malformed-answer": None,
    "drop-callbacks": None,
    "repeat-callbacks": None,
    "delay-callbacks": 5,
    "shuffle-callbacks": None,
    "callbacks-ahead": 3600,
    "callbacks-behind": 3600,
    "repeat-sids": None,
    "queue-calls": 60,
    "down": None,
}
CONNECT_FAULTS = frozenset(
    {
        "http-400",
        "http-403",
        "http-404",
        "http-429",
        "http-500",
        "http-503",
        "hang-before-ring",
        "hang-after-ring",
        "error-after-ring",
        "malformed-answer",
    }
)


@dataclass(slots=True)
class Fault:
    """One ordered fault.

    rate is the share of occasions that it strikes; times_left counts the strikes that are left (None: no limit);
    seconds is how long it takes, before the time scale, or how far times are off. Which occasions it strikes depends on
    the seed and their order.
    """

    name: str
    rate: float
    times_left: int | None
    seconds: float
    chance: random.Random

    def strikes(self) -> bool:
        """Decide for one occasion, and count it."""
        if self.times_left == 0 or self.chance.random() >= self.rate:
            return False
        if self.times_left is not None:
            self.times_left -= 1
        return True


class Faults:
    """The faults of one script, in its order."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults

    def strike(self, *names: str) -> Fault | None:
        """Return the first fault of these names that strikes this occasion, or None."""
        for fault in self._faults:
            if fault.name in names and fault.strikes():
                return fault
        return None


def parse_faults(where: str, document: object, seed: int) -> Faults:
    """Read the script's `faults`. Raises ScriptError."""
    entries = a_list(where, document, may_be_empty=True)
    return Faults([_parse_fault(f"{where}[{index}]", entry, index, seed) for index, entry in enumerate(entries)])


def _parse_fault(where: str, entry: object, index: int, seed: int) -> Fault:
    if isinstance(entry, str):
        entry = {"name": one_of(where, entry, DEFAULT_SECONDS)}
    settings = an_object(where, entry, ("name", "rate", "times", "seconds"))
    name = one_of(f"{where}.name", settings.get("name"), DEFAULT_SECONDS)
    seconds = DEFAULT_SECONDS[name]
    if "seconds" in settings:
        if seconds is None:
            raise ScriptError(f"{where}.seconds: {name} takes no time; only hangs, delays and wrong times do")
        seconds = a_number(f"{where}.seconds", settings["seconds"])
    return Fault(
        name=name,
        rate=a_number(f"{where}.rate", settings.get("rate", 1), most=1),
        times_left=an_integer(f"{where}.times", settings["times"], least=1) if "times" in settings else None,
        seconds=seconds or 0,
        chance=random.Random(f"{seed}:fault:{index}"),
    )
