"""How the processes of a measured system share cores that are short: as units of systemd do, if groups can be made."""

from enum import StrEnum

from tools.local import cpu_groups


class Weights(StrEnum):
    """How a system was run, in the words of the rows."""

    OF_UNITS = "weights of the units"
    ALIKE = "all alike"
    NO_GROUPS = "all alike: no control groups here"


def chosen(*, alike: bool) -> Weights:
    """Return how systems are run on this machine, unless all processes are to be treated `alike`."""
    if alike:
        return Weights.ALIKE
    return Weights.OF_UNITS if cpu_groups.usable() else Weights.NO_GROUPS
