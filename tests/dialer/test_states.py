"""Every legal and every illegal move of campaign, call and attempt."""

from itertools import product

import pytest

from campaigns import call_states, campaign_states
from campaigns.models import Call, Campaign
from dialer import attempt_states
from dialer.models import CallAttempt

CAMPAIGN = """
    created > in-progress paused failed deleted
    in-progress > paused completed failed
    paused > created in-progress completed failed canceled deleted
    completed > archived
    failed > archived
    canceled > archived
"""
CALL = """
    created > in-progress failed canceled
    in-progress > completed failed retrying created canceled
    retrying > in-progress failed canceled
"""
ATTEMPT = """
    claimed > placing canceled
    placing > in-progress unknown completed busy no-answer failed canceled
    unknown > in-progress completed busy no-answer failed canceled
    in-progress > unknown completed busy no-answer failed canceled
"""


def moves(table: str) -> set[tuple[str, str]]:
    lines = [line.split(" > ") for line in table.strip().splitlines()]
    return {(before.strip(), after) for before, afters in lines for after in afters.split()}


@pytest.mark.parametrize(
    ("allows", "model", "table"),
    [
        (campaign_states.allows, Campaign, CAMPAIGN),
        (call_states.allows, Call, CALL),
        (attempt_states.allows, CallAttempt, ATTEMPT),
    ],
)
def test_exactly_these_moves_are_legal(allows, model, table):
    states = model.Status.values
    assert {(before, after) for before, after in product(states, states) if allows(before, after)} == moves(table)
