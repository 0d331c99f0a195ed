"""Hunt one mutant: apply it, run what must catch it, and judge whether that saw the fault itself."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutants import patch
from tools.mutants.catalogue import Mutant
from tools.mutants.catchers import Catchers, Said

# Of the output of something that failed for a reason of its own.
LINES_SHOWN = 30


@dataclass(frozen=True)
class Verdict:
    """Whether the mutant was caught, what its catcher said or why that is no catch, and how long it took."""

    mutant: Mutant
    is_caught: bool
    why: str
    seconds: float


def unmutated(mutants: Sequence[Mutant], tree: Path, catchers: Catchers) -> str:
    """Return why the hunt can't begin, or "": every mutant must apply, and every catcher be green without one."""
    try:
        product = patch.product_texts(tree)
        for mutant in mutants:
            patch.mutated_files(mutant, tree, product)
    except patch.NoLongerApplies as error:
        return str(error)
    tests = sorted({mutant.caught_by for mutant in mutants if not mutant.row})
    rows = sorted({mutant.row for mutant in mutants if mutant.row})
    for names, run in ((tests, catchers.run_tests), (rows, catchers.run_rows)):
        if names and not (said := run(names)).is_green:
            return f"without any mutant these fail, so they can catch none: {', '.join(names)}\n{_end_of(said)}"
    return ""


def hunt(mutant: Mutant, tree: Path, catchers: Catchers) -> Verdict:
    began = time.monotonic()
    with patch.applied(mutant, tree):
        said = catchers.run_rows([mutant.row]) if mutant.row else catchers.run_tests([mutant.caught_by])
    is_caught, why = judge(mutant, said)
    return Verdict(mutant, is_caught, why, time.monotonic() - began)


def judge(mutant: Mutant, said: Said) -> tuple[bool, str]:
    """Tell whether the mutant was caught, and why."""
    if said.is_green:
        return False, "it survived: its catcher is green"
    for complaint in said.complaints:
        if re.search(mutant.sees, complaint):
            return True, " ".join(complaint.split())
    return False, f"its catcher failed for another reason:\n{_end_of(said)}"


def _end_of(said: Said) -> str:
    return "\n".join([*said.complaints, *said.output.splitlines()[-LINES_SHOWN:]])
