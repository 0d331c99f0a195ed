"""The mutants, read from the TOML files beside this module."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("catalogue")
# What a test says that saw something wrong. An error of another kind may be the mutant's own.
ASSERTION = r"\A(AssertionError|assert |Failed: DID NOT RAISE)"


class CatalogueError(Exception):
    """An entry can't be used. The message says which, and why."""


@dataclass(frozen=True)
class Edit:
    """Text to replace in the one place where it occurs; spaces and line breaks between words don't count.

    where: a glob of the files in question; "" for all files of the product.
    """

    old: str
    new: str
    where: str = ""


@dataclass(frozen=True)
class Mutant:
    """A fault in the code.

    Attributes:
        breaks: what is wrong then, as a sentence without its period.
        caught_by: the test (a pytest node id) or the row of `make chaos` (`row 12a`) that must fail.
        sees: a regular expression for what that one must say.
        is_quick: whether it is one of the few that `make test` tries.
    """

    name: str
    breaks: str
    caught_by: str
    sees: str
    edits: tuple[Edit, ...]
    is_quick: bool = False

    @property
    def row(self) -> str:
        """The number of the row that must catch it, or "" for a test."""
        return self.caught_by.removeprefix("row ") if self.caught_by.startswith("row ") else ""


def load(folder: Path = FOLDER) -> list[Mutant]:
    """Return all mutants, in the order of the files and of their entries. Raises CatalogueError."""
    mutants = [
        _mutant(entry, file.name)
        for file in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(file.read_text()).get("mutant", [])
    ]
    names = [mutant.name for mutant in mutants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CatalogueError(f"two mutants have the name {twice[0]}: rename one")
    return mutants


def chosen(mutants: Sequence[Mutant], names: str) -> list[Mutant]:
    """Return the mutants of these comma-separated names. Raises CatalogueError for one that is unknown."""
    by_name = {mutant.name: mutant for mutant in mutants}
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in by_name]:
        raise CatalogueError(f"there is no mutant {unknown[0]}: there are {', '.join(by_name)}")
    return [by_name[name] for name in wanted]


def _mutant(entry: Mapping[str, Any], file: str) -> Mutant:
    name = entry.get("name", "without a name")
    try:
        edits = tuple(Edit(**edit) for edit in entry["edits"])
        others = {key: value for key, value in entry.items() if key not in {"edits", "quick"}}
        mutant = Mutant(**{"sees": ASSERTION, **others}, edits=edits, is_quick=entry.get("quick", False))
    except (KeyError, TypeError) as error:
        raise CatalogueError(f"{file}, mutant {name}: {error}") from error
    if not mutant.edits or (mutant.row and mutant.sees == ASSERTION):
        raise CatalogueError(f"{file}, mutant {name}: give edits, and for a row what it sees")
    re.compile(mutant.sees)
    return mutant
