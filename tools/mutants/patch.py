"""Apply a mutant to a tree of files. It must fit: one that the code has outgrown is an error, never passed over."""

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.mutants.catalogue import Edit, Mutant

# What is not the product: nothing there is mutated, so that no mutant breaks its own judge.
NOT_PRODUCT = {"tests", "tools", "docs", "sandbox"}
SUFFIXES = {".py", ".lua"}


class NoLongerApplies(Exception):
    """The code has changed, so that the mutant says nothing any more. The message says what to do."""


@contextmanager
def applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Apply the mutant for the length of the `with` block. Raises NoLongerApplies."""
    changed = mutated_files(mutant, tree)
    before = {file: file.read_text() for file in changed}
    try:
        for file, text in changed.items():
            _write(file, text)
        yield
    finally:
        for file, text in before.items():
            _write(file, text)


def mutated_files(mutant: Mutant, tree: Path, product: Mapping[Path, str] | None = None) -> dict[Path, str]:
    """Return the new text of each file that the mutant changes. Raises NoLongerApplies.

    Args:
        product: the texts of `product_texts`, where many mutants are asked about one tree.
    """
    texts = dict(product_texts(tree) if product is None else product)
    changed: dict[Path, str] = {}
    for edit in mutant.edits:
        pattern = _pattern(edit.old)
        longest = max(_words(edit.old), key=len)  # most files don't have it, which is found out sooner
        found = [
            (file, match)
            for file, text in texts.items()
            if longest in text and (not edit.where or file.relative_to(tree).match(edit.where))
            for match in pattern.finditer(text)
        ]
        if len(found) != 1:
            raise NoLongerApplies(_sentence(mutant, edit, [str(file.relative_to(tree)) for file, _ in found]))
        [(file, match)] = found
        text = texts[file]
        changed[file] = texts[file] = (
            text[: match.start()] + _indented(edit.new, text, match.start()) + text[match.end() :]
        )
    for file, text in changed.items():
        _check(mutant, file.relative_to(tree), text)
    return changed


def product_texts(tree: Path) -> dict[Path, str]:
    """Return the text of each file of the product."""
    files = [file for folder in sorted(tree.iterdir()) if _is_product(folder) for file in sorted(folder.rglob("*"))]
    return {file: file.read_text() for file in files if file.suffix in SUFFIXES}


def _is_product(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".") and folder.name not in NOT_PRODUCT


def _pattern(old: str) -> re.Pattern[str]:
    """Match the text however it is broken into lines: words with any space between them, a last comma or none."""
    words = _words(old)
    parts = []
    for before, word in zip(["", *words], words, strict=False):
        if not before:
            space = r"(?<!\w)" if _is_name(word) else ""
        elif _is_name(before) and _is_name(word):
            space = r"\s+"
        else:
            space = r"\s*,?\s*" if word in ")]}" and before != "," else r"\s*"
        parts.append(space + re.escape(word))
    return re.compile("".join(parts))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _is_name(word: str) -> bool:
    return word.replace("_", "a").isalnum()


def _indented(new: str, text: str, position: int) -> str:
    """Give the lines after the first the indentation of the line that the text comes into."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    indentation = line[: len(line) - len(line.lstrip())]
    return new.strip("\n").replace("\n", f"\n{indentation}")


def _sentence(mutant: Mutant, edit: Edit, files: list[str]) -> str:
    where = edit.where or "the product"
    found = f"is in {len(files)} places ({', '.join(sorted(set(files)))})" if files else "is nowhere"
    return (
        f"the mutant {mutant.name} no longer applies: «{' '.join(edit.old.split())}» {found} in {where}, and must be"
        f" in one. Bring its entry in tools/mutants/catalogue up to the code; it must still break this: {mutant.breaks}"
    )


def _check(mutant: Mutant, file: Path, text: str) -> None:
    if file.suffix == ".py":
        try:
            ast.parse(text)
        except SyntaxError as error:
            raise NoLongerApplies(f"the mutant {mutant.name} makes {file} unreadable: {error}") from error


def _write(file: Path, text: str) -> None:
    """Write it, and forget what was compiled: Python tells a changed file by its size and second only."""
    file.write_text(text)
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
