"""Which column of a file is the number, which are those of a contact, and which are the client's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from contacts.address_book import RULE_COLUMNS, TEXT_COLUMNS
from contacts.csv_uploads import column_names
from contacts.csv_uploads.header import Header
from contacts.csv_uploads.lines import FileRefused
from contacts.csv_uploads.records import begins_like_a_number
from core import names

# Exotel's limit for the columns of a dynamic list beside the known ones.
MAX_VARIABLES = 5
MAX_CELL = 255  # characters: what a contact's columns hold

OURS = ("number", *TEXT_COLUMNS, *RULE_COLUMNS)
# Names that a message lists.
_MAX_LISTED = 100


@dataclass(frozen=True)
class ColumnChoice:
    """What the client says about the columns of a file.

    Attributes:
        is_dynamic: whether the list takes columns of the client's own.
        names: of some columns, by ours: how the header spells them. In a dynamic list also by a name to choose.
        ignores_others: whether all columns are skipped that are neither ours nor named here.
    """

    is_dynamic: bool
    names: Mapping[str, str] = field(default_factory=dict)
    ignores_others: bool = False


@dataclass(frozen=True)
class Layout:
    """The meaning of a row's cells.

    columns: a name for each cell, `number` among them; a cell whose name is "" is skipped.
    """

    header: Header
    columns: tuple[str, ...]

    @property
    def variables(self) -> list[str]:
        """The columns whose values a text can name: all but the number."""
        return [name for _, name in self.named]

    def spelled_as(self, columns: Sequence[str]) -> "Layout":
        """Return the same layout with the names of these columns, where one of them means the same as one of its own.

        Capitals count where two of the columns differ in nothing else.
        """
        known: dict[str, list[str]] = {}
        for column in columns:
            known.setdefault(names.caseless(column), []).append(column)
        spelled = []
        for name in self.columns:
            alike = known.get(names.caseless(name), [])
            same = alike if len(alike) == 1 else [one for one in alike if names.exact(one) == names.exact(name)]
            spelled.append(same[0] if same else name)
        return replace(self, columns=tuple(spelled))

    @cached_property
    def number_at(self) -> int:
        return self.columns.index("number")

    @cached_property
    def has_rule_columns(self) -> bool:
        """Tell whether a row may say where its person is, or what that person agreed to."""
        return not set(RULE_COLUMNS).isdisjoint(self.columns)

    @cached_property
    def named(self) -> tuple[tuple[int, str], ...]:
        """The position and the name of each column that is loaded beside the number."""
        return tuple((at, name) for at, name in enumerate(self.columns) if name not in {"", "number"})


def layout_of(header: Header, choice: ColumnChoice) -> Layout:
    """Decide what each column is.

    Raises:
        FileRefused: no column has the numbers, or one of the others can't be loaded. The message names all of them.
    """
    columns = _ours(header, choice)
    if "number" not in columns:
        raise header.refused(_no_number(header))
    others = [name for name, ours in zip(header.names, columns, strict=True) if name and not ours]
    if header.is_of_rejected_rows:
        others = others[2:]
    if not choice.ignores_others:
        _require_loadable(header, choice, others)
        first = 2 if header.is_of_rejected_rows else 0
        columns[first:] = [ours or name for name, ours in zip(header.names[first:], columns[first:], strict=True)]
        _require_different(header, columns)
    layout = Layout(header, tuple(columns))
    own = [name for name in layout.variables if name not in OURS]
    if len(own) > MAX_VARIABLES:
        raise header.refused(
            f"{len(own)} columns of your own are more than {MAX_VARIABLES}: {_listed(own)}; leave some out, or send"
            " columns with those to keep and ignore_columns=true"
        )
    return layout


def _ours(header: Header, choice: ColumnChoice) -> list[str]:
    """Return our name of each column, or the one that the client chose; "" for all others."""
    columns = [""] * len(header.names)
    for ours, name in choice.names.items():
        columns[_position(header, ours, name, columns)] = ours
    for position, name in enumerate(header.names):
        ours = column_names.exact(name)
        if ours and ours not in choice.names and not columns[position]:
            if ours in columns:
                raise _twice(header, ours, columns.index(ours), position)
            columns[position] = ours
    usual = [column_names.usual(name) for name in header.names]
    for ours in ("number",) if choice.is_dynamic else OURS:
        fitting = [(rank, at) for at, (name, rank) in enumerate(usual) if name == ours and not columns[at]]
        if fitting and ours not in columns:
            columns[min(fitting)[1]] = ours
    return columns


def _position(header: Header, ours: str, name: str, taken: Sequence[str]) -> int:
    """Return where the column is that the client named."""
    found: list[int] = []
    for alike in (names.exact, names.caseless):
        found = found or [at for at, written in enumerate(header.names) if alike(written) == alike(name)]
    if not found:
        raise header.refused(f"'columns': the file has no column {name[:64]}; it has {_listed(header.names)}")
    if len(found) > 1:
        raise header.refused(f"'columns': the column {name[:64]} stands twice in the file")
    if taken[found[0]]:
        raise header.refused(f"'columns': {name[:64]} can't be both {taken[found[0]]} and {ours[:64]}")
    return found[0]


def _no_number(header: Header) -> str:
    if any(map(begins_like_a_number, header.names)):
        return (
            "no column is named number: this line looks like a row, not like a header; put one above it, such as"
            " number,first_name"
        )
    return (
        f"no column is named number; {column_names.EXAMPLES} would do. The columns are {_listed(header.names)}: rename"
        ' the one with the numbers, or send columns={"number": "…"} with its name'
    )


def _require_loadable(header: Header, choice: ColumnChoice, others: Sequence[str]) -> None:
    if others and not choice.is_dynamic:
        are = "is no column" if len(others) == 1 else "are no columns"
        raise header.refused(
            f"{_listed(others)} {are} of a static list, which has {', '.join(OURS)}; send ignore_columns=true to leave"
            ' them out, columns={"first_name": "…"} to say what they are, or type=dynamic to keep up to'
            f" {MAX_VARIABLES}"
        )
    if long := [name for name in others if len(name) > MAX_CELL]:
        raise header.refused(f"the column {long[0][:64]}… has a name of more than {MAX_CELL} characters")


def _require_different(header: Header, columns: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for at, name in enumerate(columns):
        if name and (before := first.setdefault(names.exact(name), at)) != at:
            raise _twice(header, name, before, at)


def _twice(header: Header, name: str, first: int, second: int) -> FileRefused:
    both = " and ".join(f"{at + 1} ({header.names[at][:64]})" for at in (first, second))
    return header.refused(f"the column {name[:64]} stands twice, as the columns {both}: rename one, or leave it out")


def _listed(columns: Sequence[str]) -> str:
    named = [name[:64] for name in columns if name]
    more = f" and {len(named) - _MAX_LISTED} more" if len(named) > _MAX_LISTED else ""
    return ", ".join(named[:_MAX_LISTED]) + more
