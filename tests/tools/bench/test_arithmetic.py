import pytest

from tools.bench.arithmetic import busy_time, freed_to_next, mean_live, median, most_live, percentile, steady_rate


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7], 0.99, 7),
        ([3, 1, 2, 4], 0.5, 2),
        ([3, 1, 2, 4], 0.51, 3),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 101)), 1.0, 100),
        (list(range(1, 101)), 0.0, 1),
    ],
)
def test_a_percentile_is_the_value_of_the_nearest_rank(values, share, expected):
    assert percentile(values, share) == expected


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_the_median_of_an_odd_number_is_the_middle_one():
    assert median([9, 1, 5]) == 5


def test_a_steady_rate_leaves_out_the_beginning_and_the_end():
    """Ten a second from second 5 to 15, and far fewer before and after."""
    counted = [(0.0, 0.0), (5.0, 10.0)] + [(5.0 + n, 10.0 + 10 * n) for n in range(1, 9)] + [(60.0, 100.0)]
    assert steady_rate(counted) == pytest.approx(10)


def test_a_run_of_one_batch_has_no_rate():
    with pytest.raises(ValueError, match="too few"):
        steady_rate([(1.0, 100.0)])


def test_the_mean_of_live_calls_is_weighted_by_time():
    """Two calls for three seconds, then one for one: seven in four."""
    assert mean_live([(0, 4), (0, 3)], 0, 4) == pytest.approx(7 / 4)


def test_the_mean_counts_only_the_part_of_a_call_within_the_time():
    assert mean_live([(0, 10), (4, 5), (20, 30)], 4, 6) == pytest.approx((2 + 1) / 2)


def test_a_call_that_ends_as_another_starts_makes_room_first():
    assert most_live([(0, 1), (1, 2), (0, 2)]) == 2


def test_the_busy_time_runs_from_all_channels_taken_to_the_last_start():
    assert busy_time([(0, 9), (1, 9), (5, 12), (11, 13)], cap=3) == (5, 11)


def test_a_dialer_that_never_fills_its_channels_is_judged_too():
    """From the length of the longest call after the first start."""
    assert busy_time([(2, 6), (3, 5), (20, 21)], cap=10) == (6, 20)


def test_each_freed_channel_is_matched_with_the_next_start():
    spans = [(0.0, 1.0), (0.0, 2.0), (1.5, 4.0), (2.25, 4.0)]
    assert freed_to_next(spans, since=0.0, until=2.25) == [0.5, 0.25]


def test_the_channel_that_was_freed_first_is_taken_first():
    assert freed_to_next([(0, 1), (0, 2), (3, 9), (5, 9)], since=0, until=5) == [2, 3]


def test_channels_freed_when_no_work_is_left_have_no_next():
    assert freed_to_next([(0, 1), (2, 3), (2, 4)], since=0, until=2) == [1]
