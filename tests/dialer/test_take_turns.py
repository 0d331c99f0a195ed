"""Fair share: the campaigns of an account take turns, those with fewer calls up first."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dialer.turns import Ready, take_turns


def turns(ready, places):
    """ready holds (campaign, calls due, calls up)."""
    return list(take_turns([Ready(*row) for row in ready], places))


def shares(ready, places):
    return Counter(turns(ready, places))


def test_two_campaigns_share_equally():
    assert shares([("a", 500, 0), ("b", 500, 0)], 60) == {"a": 30, "b": 30}


def test_a_small_campaign_beside_a_large_one_gets_its_half_while_it_needs_it():
    assert shares([("large", 500, 0), ("small", 10, 0)], 60) == {"large": 50, "small": 10}


def test_who_has_more_calls_up_waits():
    assert shares([("full", 500, 50), ("new", 500, 0)], 10) == {"new": 10}


def test_a_single_place_goes_to_whoever_has_the_fewest_up():
    assert turns([("a", 5, 3), ("b", 5, 2)], 1) == ["b"]


campaigns = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)


@given(campaigns, st.integers(-5, 100))
def test_no_place_is_wasted_and_nobody_is_ahead_who_need_not_be(counts, places):
    ready = [(number, due, up) for number, (due, up) in enumerate(counts)]
    given_out = shares(ready, places)
    assert sum(given_out.values()) == min(max(places, 0), sum(due for _, due, _ in ready))
    for number, due, up in ready:
        assert given_out[number] <= due
        if given_out[number]:
            # Whoever still had calls due and got fewer places had at least as many calls up.
            rivals = [
                other_up + given_out[other] for other, other_due, other_up in ready if given_out[other] < other_due
            ]
            assert all(up + given_out[number] <= rival + 1 for rival in rivals)
