"""How long a rehearsal takes of a campaign that goes on for days."""

import subprocess
import sys

from tools.bench import servers
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.local.project import PROJECT

NAME = "rehearsal"
NUMBERS = 100_000


def measure(run: Run) -> list[Row]:
    """Measure what `manage.py campaign rehearse` does, but for the start of its process."""
    numbers = run.count(NUMBERS, least=2_000)
    run.say(f"a rehearsal with {numbers:,} numbers")
    with servers.migrated(run.own_folder("rehearsal")) as variables:
        rounds = [sys.executable, "-m", "tools.bench.rehearsal_rounds", str(numbers)]
        told = subprocess.run(rounds, cwd=PROJECT, env=dict(variables), check=True, stdout=subprocess.PIPE, text=True)
    days, seconds = told.stdout.split()
    return [row(f"rehearsal of {numbers:,} numbers over {days} days", float(seconds), "s", NAME, target=at_most(20))]
