"""`make mutants`: break the code in every way of the catalogue, and require that each is seen. Exit status 1 if not.

python -m tools.mutants [--only NAME,NAME] [--quick] [--part 1/3] [--markdown]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools.local import services
from tools.local.project import PROJECT, own_environment
from tools.local.signals import interrupt_on_stop_signals
from tools.mutants import catalogue
from tools.mutants.catalogue import CatalogueError, Mutant
from tools.mutants.catchers import Catchers
from tools.mutants.hunt import Verdict, hunt, unmutated

# Characters of what a catcher said, in the table.
SHOWN = 120
console = Console(width=None if sys.stdout.isatty() else 160)


def main() -> int:
    options = _parse()
    interrupt_on_stop_signals()
    try:
        mutants = _chosen(options)
    except CatalogueError as error:
        raise SystemExit(str(error)) from error
    if options.markdown:
        print(markdown(mutants))
        return 0
    with _tree() as tree, _catchers(tree) as catchers:
        if red := unmutated(mutants, tree, catchers):
            console.print(red, style="red", highlight=False, markup=False)
            return 1
        verdicts = []
        for mutant in mutants:
            verdicts.append(hunt(mutant, tree, catchers))
            _print_line(verdicts[-1])
    console.print(_table(verdicts))
    return 0 if all(verdict.is_caught for verdict in verdicts) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description="Break the code, and require that it is seen.")
    parser.add_argument("--only", help="only the mutants of these names, comma-separated")
    parser.add_argument("--quick", action="store_true", help="only the few that `make test` tries")
    parser.add_argument("--part", default="1/1", help="a part of them, such as 2/3 (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the table of the documentation, and stop")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Mutant]:
    mutants = catalogue.load()
    if options.only:
        mutants = catalogue.chosen(mutants, options.only)
    if options.quick:
        mutants = [mutant for mutant in mutants if mutant.is_quick]
    part, _, parts = options.part.partition("/")
    return mutants[int(part) - 1 :: int(parts)]


@contextmanager
def _tree() -> Iterator[Path]:
    """Copy the project as it is, committed or not, to a folder of its own: the mutants live and die there.

    Files keep their times, so that what Python has compiled of them is valid in the copy too.
    """
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=PROJECT, text=True)
    with tempfile.TemporaryDirectory(prefix="trunkline-mutants-") as folder:
        tree = Path(folder) / "tree"
        for name in names.splitlines():
            if (PROJECT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, tree / name)
        for parent in {Path(name).parent for name in names.splitlines()}:
            _copy_compiled(PROJECT / parent / "__pycache__", tree / parent / "__pycache__")
        yield tree


def _copy_compiled(source: Path, target: Path) -> None:
    for file in source.glob("*.pyc"):
        target.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # replaced by another process at this moment
            shutil.copy2(file, target / file.name)


@contextmanager
def _catchers(tree: Path) -> Iterator[Catchers]:
    """Start the servers of the tests once for all mutants, which saves two seconds for each."""
    data_dir = tree.parent / "data"
    data_dir.mkdir()
    with services.embedded_services(data_dir, environ={}, durable=False) as urls:
        yield Catchers(tree, own_environment(data_dir, urls))


def _print_line(verdict: Verdict) -> None:
    word, style = ("caught", "green") if verdict.is_caught else ("NOT CAUGHT", "red")
    console.print(f"{verdict.mutant.name}: {word} in {verdict.seconds:.0f} s", style=style, highlight=False)
    if not verdict.is_caught:
        console.print(verdict.why, highlight=False, markup=False)


def _table(verdicts: Sequence[Verdict]) -> Table:
    caught = sum(verdict.is_caught for verdict in verdicts)
    table = Table("broken on purpose", "caught by", "it said", "s", title=f"{caught} of {len(verdicts)} mutants caught")
    for verdict in verdicts:
        said = escape(shortened(verdict.why)) if verdict.is_caught else "[red]NOT CAUGHT"
        table.add_row(verdict.mutant.breaks, escape(verdict.mutant.caught_by), said, f"{verdict.seconds:.0f}")
    return table


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def markdown(mutants: Sequence[Mutant]) -> str:
    """Return the table of docs/operator/guarantees.md."""
    rows = [f"| {mutant.breaks} | {_linked(mutant)} |" for mutant in mutants]
    return "\n".join(["| broken on purpose | seen by |", "|---|---|", *rows])


def _linked(mutant: Mutant) -> str:
    return f"chaos {mutant.row}" if mutant.row else f"`{mutant.caught_by.partition('::')[0]}`"


if __name__ == "__main__":
    sys.exit(main())
