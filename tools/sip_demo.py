"""What `make demo CARRIER=sip` needs beside the others: sipp as the far end of the trunk, and a gateway."""

from collections.abc import Iterator
from contextlib import contextmanager

from tools import sipp_party
from tools.local import process_groups
from tools.local.ports import free_ports
from tools.local.project import read_procfile
from tools.sipp_party import Sipp
from tools.stack import Stack

# A phone that rings and rings is given up soon.
SETTINGS = {"RING_TIMEOUT_SECONDS": "4"}
# Ends of numbers at which the trunk stays silent: it would rest, as it should, and the demo would wait.
SILENT = "16"


@contextmanager
def far_end(stack: Stack) -> Iterator[Sipp]:
    """Run sipp for the length of a `with` block, and whatever gateway was started over it."""
    party = Sipp(stack.data_dir, "trunk")
    try:
        yield party
    finally:
        party.stop()


def create_trunk(stack: Stack, name: str, party: Sipp) -> None:
    """Create a trunk that leads to sipp, and start a gateway beside the processes of the stack."""
    stack.manage("create_trunk", name, "--carrier", "sip", "--base-url", f"sip:127.0.0.1:{party.port}")
    [port] = free_ports(1)
    environment = {**stack.environment, "SIP_PORT": str(port)}
    with (stack.data_dir / "sipgateway.log").open("wb") as log:
        stack.start_beside(process_groups.spawn(read_procfile()["sipgateway"], environment, stdout=log))


def numbers(count: int) -> list[str]:
    """Return numbers to call, none of which leaves the trunk silent."""
    found: list[str] = []
    number = 10_000_000
    while len(found) < count:
        if not str(number).endswith(SILENT):
            found.append(f"+9198{number:08d}")
        number += 1
    return found


def totals(party: Sipp) -> dict[str, int]:
    """Return what sipp heard, as the sandbox's ring log tells it."""
    rings = party.rings()
    return {
        "rings": len(rings),
        "double_rings": sipp_party.double_rings(rings),
        "most_at_once": sipp_party.most_at_once(rings),
    }
