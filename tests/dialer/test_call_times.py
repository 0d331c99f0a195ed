"""The end of a call by two clocks: never earlier than it really was, and never believed where it can't be."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import call_times
from dialer.carriers.base import Event

PLACED = datetime(2026, 3, 2, 6, 0, 0, 400_000, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    return PLACED + timedelta(seconds=seconds)


def cut(seconds: float) -> datetime:
    """What a carrier writes: whole seconds."""
    return moment(seconds).replace(microsecond=0)


def told(started: float | None, ended: float | None, received: float | None = None) -> Event:
    return Event(
        status="no-answer",
        started_at=None if started is None else cut(started),
        ended_at=None if ended is None else cut(ended),
        received_at=None if received is None else moment(received),
    )


HOUR, ZONE = 3600, 5.5 * 3600


@pytest.mark.parametrize(
    ("event", "earliest", "latest"),
    [
        # It rang for 5 s, and the news came at once.
        (told(0, 5, 5.1), 5, 5.1),
        (told(None, 5, 5.1), 5, 5.1),
        # The news came late: the carrier's end counts.
        (told(0, 5, 600), 5, 7),
        # Of a late one nothing shows whether the clock is right.
        (told(None, 5, 600), 600, 600),
        # The clock is an hour, five and a half hours, half a minute behind.
        (told(-HOUR, 5 - HOUR, 5.1), 5, 5.1),
        (told(-ZONE, 5 - ZONE, 5.1), 5, 5.1),
        (told(-30, 5 - 30, 5.1), 5, 5.1),
        (told(-3, 5 - 3, 5.1), 5, 5.1),
        (told(-2, 5 - 2, 5.1), 5, 5.1),
        (told(-HOUR, 5 - HOUR, 600), 600, 600),
        # It is ahead: no call ends after the news of its end.
        (told(3, 5 + 3, 5.1), 5, 5.1),
        (told(ZONE, 5 + ZONE, 5.1), 5, 5.1),
        # No end, one before the beginning, one before the dial.
        (told(0, None, 5.1), 5, 5.1),
        (told(None, None, 5.1), 5, 5.1),
        (told(0, -7, 5.1), 5, 5.1),
        (told(None, -HOUR, 5.1), 5, 5.1),
        # The look-up tells it, a minute later.
        (told(0, 5), 5, 7),
        (told(-HOUR, 5 - HOUR), 60, 60),
    ],
)
def test_a_call_that_rang_for_five_seconds(event, earliest, latest):
    end = call_times.end_of(event, PLACED, moment(60) if event.received_at is None else moment(900))
    assert moment(earliest) <= end.latest <= moment(latest)
    assert PLACED <= end.at <= end.latest


@given(
    rang=st.floats(0, 60),
    skew=st.floats(-6 * 3600, 6 * 3600) | st.floats(-10, 10),
    late=st.floats(0, 7200),
    settled=st.floats(0, 60),
    says=st.tuples(st.booleans(), st.booleans()),
)
def test_an_interval_never_counts_from_before_the_end_or_after_the_news(rang, skew, late, settled, says):
    says_start, says_end = says
    event = told(skew if says_start else None, rang + skew if says_end else None, rang + late)
    end = call_times.end_of(event, PLACED, moment(rang + late + settled))
    # Moments are cut to microseconds.
    assert moment(rang) - timedelta(microseconds=2) <= end.latest <= moment(rang + late)


def test_an_answer_keeps_its_distance_from_the_end():
    event = Event(
        status="completed",
        started_at=cut(-HOUR),
        answered_at=cut(5 - HOUR),
        ended_at=cut(25 - HOUR),
        received_at=moment(25),
    )
    end = call_times.end_of(event, PLACED, moment(26))
    assert call_times.answer_of(event, end, PLACED) == moment(5)
    assert call_times.answer_of(told(0, 5, 5), end, PLACED) is None
