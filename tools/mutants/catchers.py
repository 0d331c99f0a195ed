"""Run the tests and rows that must catch mutants, and tell what they said."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Seconds. Most tests take five, a row up to two minutes; a mutant that makes them hang is not caught by that.
TEST_SECONDS = 120
ROW_SECONDS = 400
OF_A_TEST_RUN = ("PYTEST_", "TRUNKLINE_TESTS_")


@dataclass(frozen=True)
class Said:
    """What a run of catchers said.

    Attributes:
        is_green: everything passed.
        complaints: what was seen to be wrong, one sentence for each.
        output: all of it, for people.
    """

    is_green: bool
    complaints: tuple[str, ...]
    output: str


class Catchers:
    """Runs tests and rows in a tree; `environment` leads the tests to servers that run."""

    def __init__(self, tree: Path, environment: Mapping[str, str]) -> None:
        self._tree = tree
        # A hunt may itself be a test: its catchers are no workers of that run.
        self._environment = {name: value for name, value in environment.items() if not name.startswith(OF_A_TEST_RUN)}

    def run_tests(self, node_ids: Sequence[str]) -> Said:
        report = self._tree / ".mutants-report.xml"
        report.unlink(missing_ok=True)
        command = ["pytest", "-q", "-x", "-p", "no:cacheprovider", f"--junitxml={report}", *node_ids]
        code, output = self._run(command, TEST_SECONDS + 10 * len(node_ids))
        return Said(code == 0, failures(report.read_text()) if report.exists() else (), output)

    def run_rows(self, rows: Sequence[str]) -> Said:
        command = ["tools.chaos", "--rows", ",".join(rows), "--seeds", "1", "--lanes", "1"]
        code, output = self._run(command, ROW_SECONDS * len(rows))
        return Said(code == 0, violations(output), output)

    def _run(self, module: Sequence[str], seconds: float) -> tuple[int, str]:
        try:
            ran = subprocess.run(
                [sys.executable, "-m", *module],
                cwd=self._tree,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return 1, f"no end after {seconds:g} s\n{expired.output or ''}"
        return ran.returncode, ran.stdout


def failures(report: str) -> tuple[str, ...]:
    """Return the message of each test that failed, from pytest's report. An error in a fixture or an import is none."""
    root = ElementTree.fromstring(report)  # noqa: S314 -- pytest has just written it
    return tuple(failure.get("message", "") for failure in root.iter("failure"))


def violations(output: str) -> tuple[str, ...]:
    """Return the violations that `make chaos` printed; a long one is broken into lines."""
    sentences: list[str] = []
    for line in output.splitlines():
        if violation := re.match(r"\w+ seed \d+: (.*)", line):
            sentences.append(violation[1])
        elif sentences and line.startswith(("breaking things", " ")):
            break
        elif sentences:
            sentences[-1] += f" {line}"
    return tuple(" ".join(sentence.split()) for sentence in sentences)
