"""Profiles and helpers of the rule-based machines (`test_*_stateful.py`).

`STATEFUL_PROFILE=long pytest tests/dialer/test_attempts_stateful.py` searches for new failures, for minutes to hours,
and keeps them in `.hypothesis`. The default profile runs the same examples every time, in seconds.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

# An example is a long history over real servers: the health checks are meant for small, fast ones.
_ANY_HEALTH = list(HealthCheck)
# Without Phase.explain, which takes as long as finding the failure.
_PHASES = [Phase.reuse, Phase.generate, Phase.shrink]

settings.register_profile(
    "quick",
    max_examples=25,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    phases=_PHASES,
    suppress_health_check=_ANY_HEALTH,
)
settings.register_profile(
    "long",
    max_examples=2000,
    stateful_step_count=60,
    deadline=None,
    print_blob=True,
    phases=_PHASES,
    suppress_health_check=_ANY_HEALTH,
)

PROFILE = os.environ.get("STATEFUL_PROFILE", "quick")
# Hypothesis shrinks a failure for up to five minutes before it shows it: the timeout must not cut that off.
TIME_LIMIT = pytest.mark.timeout(600 if PROFILE == "quick" else 0)


def steps(*ways: tuple[Any, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return a strategy for a machine's only rule: the name of a method and its arguments, all equally likely.

    A rule per method would be the usual form, but Hypothesis leaves out some rules in every example, and the histories
    that matter here (started, paused, then deleted) need most of them.
    """
    return st.one_of([st.tuples(st.just(name), *arguments) for name, *arguments in ways])


def take(machine: RuleBasedStateMachine, step: tuple[Any, ...]) -> None:
    """Call the method that the step names, with its arguments."""
    name, *arguments = step
    getattr(machine, name)(*arguments)


def run(machine: Callable[[], RuleBasedStateMachine], times: int = 1) -> None:
    """Run the machine.

    Args:
        times: multiplies the profile's number of examples, which is what the slowest machine can afford.
    """
    profile = settings.get_profile(PROFILE)
    # Hypothesis accepts any callable, although the annotation says a class.
    factory: Any = machine
    run_state_machine_as_test(factory, settings=settings(profile, max_examples=times * profile.max_examples))


def chained(history: Iterable[Sequence[str]], first: str) -> str:
    """Return the last status of a history of moves, each from a status to another.

    Asserts that each begins where the one before ended.
    """
    status = first
    for before, after in history:
        assert before == status, f"{before} → {after} does not follow on {status}"
        status = after
    return status
