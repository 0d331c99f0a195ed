"""Dispatch cost per attempt: what do the rules for the people who are called add?"""

from tools.bench.dispatch_cost import FEW, FULL, Situation, compare
from tools.bench.figures import Row
from tools.bench.run import Run

NAME = "dispatch-rules"
LISTED, PAST_ATTEMPTS = 1_000_000, 10_000_000


def measure(run: Run) -> list[Row]:
    """Measure as `dispatch_cost` does. Most of its time goes into making the past attempts."""
    listed, past = run.count(LISTED, least=10_000), run.count(PAST_ATTEMPTS, least=10_000)
    figure = f"dispatch with rules for numbers, {listed:,} on the do-not-call list, {past:,} past attempts: beside none"
    ruled, bare = Situation("rules", FEW, FULL, listed, past), Situation(1, FEW, FULL)
    return [compare(run, figure, ruled, bare, 1.3, NAME)]
