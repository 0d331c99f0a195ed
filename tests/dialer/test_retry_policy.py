"""Retries: at most three, on the chosen outcomes, at equal or doubling waits, none after the end."""

from datetime import UTC, datetime, timedelta

import pytest

from dialer.retry_policy import RetryPolicy, next_attempt_at

ENDED = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def policy(retries=3, minutes=10, exponential=False, on_status=("busy", "no-answer", "failed"), not_after=None):
    not_after = not_after or ENDED + timedelta(days=30)
    return RetryPolicy(retries, minutes * MINUTE, exponential, frozenset(on_status), not_after)


@pytest.mark.parametrize(
    ("exponential", "attempt", "wait"),
    [
        (False, 1, 10),
        (False, 2, 10),
        (False, 3, 10),
        (True, 1, 10),  # 10 x 2^0
        (True, 2, 20),  # 10 x 2^1
        (True, 3, 40),  # 10 x 2^2
    ],
)
def test_waits(exponential, attempt, wait):
    assert next_attempt_at("busy", attempt, policy(exponential=exponential), ENDED) == ENDED + wait * MINUTE


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_number_of_retries_counts_the_attempts_beyond_the_first(retries, attempts):
    moments = [next_attempt_at("busy", attempt, policy(retries=retries), ENDED) for attempt in range(1, 6)]
    assert [moment is not None for moment in moments] == [attempt < attempts for attempt in range(1, 6)]


def test_only_the_chosen_outcomes_are_tried_again():
    only_busy = policy(on_status=["busy"])
    assert next_attempt_at("busy", 1, only_busy, ENDED)
    assert next_attempt_at("no-answer", 1, only_busy, ENDED) is None
    assert next_attempt_at("failed", 1, only_busy, ENDED) is None


def test_an_answered_call_is_never_dialled_again():
    assert next_attempt_at("completed", 1, policy(), ENDED) is None


def test_no_retry_at_or_after_the_campaigns_end():
    end = ENDED + 10 * MINUTE
    assert next_attempt_at("busy", 1, policy(not_after=end), ENDED) is None
    assert next_attempt_at("busy", 1, policy(not_after=end + timedelta(seconds=1)), ENDED) == end
