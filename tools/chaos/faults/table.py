"""The rows of the table: a fault with its number and its title."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tools.chaos.run import Fault


@dataclass(frozen=True)
class Row:
    """A fault.

    number: in docs/operator/guarantees.md.
    is_race: whether the moment between two processes decides how it goes, so that only many seeds meet every case.
    """

    number: str
    title: str
    fault: Fault
    is_race: bool


@dataclass
class Table:
    rows: list[Row] = field(default_factory=list)

    def add(self, number: str, title: str, fault: Fault, *, race: bool = False) -> None:
        self.rows.append(Row(number, title, fault, race))

    def row(self, number: str, title: str, *, race: bool = False) -> Callable[[Fault], Fault]:
        """Add the function below as a row."""

        def add(fault: Fault) -> Fault:
            self.add(number, title, fault, race=race)
            return fault

        return add
