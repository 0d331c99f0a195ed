"""What the rule-based machines (`test_*_stateful.py`) share: how long they look, and a clean start for each example.

`STATEFUL_PROFILE=long pytest tests/dialer/test_attempts_stateful.py` looks for something new, for minutes to hours, and
keeps what it finds in `.hypothesis`. The default asks the same questions every time, in seconds.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from core.state_machine import History

TENANTS_APPS = ("accounts", "contacts", "campaigns", "dialer", "webhooks")

# An example is a whole story over real servers, so the health checks of small and fast ones say nothing here.
_ANY_HEALTH = list(HealthCheck)
# Not the explanation of a failure, which takes as long as finding it.
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
# A failure is made small before it is shown, for up to five minutes: that must not be cut off.
TIME_LIMIT = pytest.mark.timeout(600 if PROFILE == "quick" else 0)


def steps(*ways: tuple[Any, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    """For a machine's one rule: a method's name and its arguments, each way as likely as the others.

    A rule for each would be the usual form, but Hypothesis leaves out some of the rules in every example. The stories
    that matter here (started, paused, then deleted) need most of them.
    """
    return st.one_of([st.tuples(st.just(name), *arguments) for name, *arguments in ways])


def take(machine: RuleBasedStateMachine, step: tuple[Any, ...]) -> None:
    name, *arguments = step
    getattr(machine, name)(*arguments)


def run(machine: Callable[[], RuleBasedStateMachine], times: int = 1) -> None:
    """times: as many times the examples that the slowest machine can afford."""
    profile = settings.get_profile(PROFILE)
    # It calls what it is given, whatever its annotation says.
    factory: Any = machine
    run_state_machine_as_test(factory, settings=settings(profile, max_examples=times * profile.max_examples))


def forget_rows() -> None:
    """Empties the tables of our own apps. Their foreign keys are checked at the end, so in any order."""
    tables = [model._meta.db_table for app in TENANTS_APPS for model in apps.get_app_config(app).get_models()]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; " + "; ".join(f"DELETE FROM {table}" for table in tables) + "; COMMIT")


def chained(history: Iterable[History], first: str) -> str:
    """The status that a subject's history, in its order, ends with; asserts that each row begins where one ended."""
    status = first
    for row in history:
        assert row.from_status == status, f"{row} does not follow on {status}"
        status = row.to_status
    return status
