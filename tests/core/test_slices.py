"""A turn of slices ends when its time is over, and comes again."""

import pytest

from core import slices


@pytest.fixture
def enqueued(monkeypatch):
    tasks: list[str] = []
    monkeypatch.setattr(slices, "taken", lambda key: None)
    monkeypatch.setattr(slices, "enqueue_once", lambda key, task: tasks.append(task))
    return tasks


def test_a_turn_stops_after_the_slice_in_which_its_time_is_over_and_comes_again(monkeypatch, enqueued):
    monkeypatch.setattr(slices, "TURN_SECONDS", 0)
    left = iter(range(3))
    slices.take_turn("work", left)
    assert (enqueued, list(left)) == (["work"], [1, 2])


def test_a_turn_that_has_done_everything_does_not_come_again(monkeypatch, enqueued):
    monkeypatch.setattr(slices, "TURN_SECONDS", 600)
    left = iter(range(3))
    slices.take_turn("work", left)
    assert (enqueued, list(left)) == ([], [])
