"""The faults of docs/operator/guarantees.md. Each breaks one thing at a moment that the run's seed chooses.

A fault is a generator: until its `yield` the campaigns are not posted yet, after it they are being dialled, and at its
end everything that it broke is repaired, or left for the system to repair by itself.
"""

from tools.chaos.faults import (
    carrier,
    clock,
    data,
    hostile,
    identity,
    legs,
    limits,
    neighbours,
    old_rows,
    processes,
    receiver,
    restore,
    retries,
    rules,
    servers,
    timing,
)
from tools.chaos.faults.table import Row

MODULES = (
    processes,
    servers,
    carrier,
    identity,
    retries,
    receiver,
    clock,
    data,
    limits,
    timing,
    neighbours,
    hostile,
    old_rows,
    rules,
    legs,
    restore,
)


def _position(row: Row) -> tuple[int, str]:
    """10b comes after 2a."""
    digits = "".join(character for character in row.number if character.isdigit())
    return int(digits), row.number


ROWS: list[Row] = sorted(
    (row for module in MODULES for row in module.table.rows),
    key=_position,
)
"""In the order of docs/operator/guarantees.md."""
