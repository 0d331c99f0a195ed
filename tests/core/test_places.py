"""Places: so many at once for each name, given back in any case."""

import pytest
from redis.exceptions import RedisError

from core import places


def taken(name: str, most: int = 2) -> bool:
    return places.take(name, most) is not None


@pytest.fixture(autouse=True)
def _redis(redis, monkeypatch):
    monkeypatch.setattr(places, "_rests_until", 0.0)


def test_there_are_so_many_for_each_name():
    assert [taken("a"), taken("a"), taken("a"), taken("b")] == [True, True, False, True]


def test_one_that_is_left_is_free():
    place = places.take("a", 1)
    assert place is not None
    assert not taken("a", 1)
    place.leave()
    assert taken("a", 1)


def test_one_is_left_when_a_response_ends_and_when_its_client_goes():
    for parts_read in (0, 1, 2):
        place = places.take("a", 1)
        assert place is not None
        parts = place.leave_after(part for part in (b"1", b"2"))
        for _ in range(parts_read):
            next(parts)
        parts.close()
    place = places.take("a", 1)
    assert place is not None
    assert list(place.leave_after([b"1", b"2"])) == [b"1", b"2"]
    assert taken("a", 1)


def test_one_whose_process_has_died_is_free_after_a_while(redis):
    assert taken("a", 1)
    [holder] = redis.zrange("places:a", 0, -1)
    left = redis.zscore("places:a", holder) - redis.time()[0]
    assert places.KEPT_SECONDS - 60 < left <= places.KEPT_SECONDS
    redis.zadd("places:a", {holder: redis.time()[0] - 1})
    assert taken("a", 1)
    assert redis.ttl("places:a") > 0


def test_while_redis_is_away_everybody_has_one(monkeypatch):
    asked = []

    def away():
        asked.append(True)
        raise RedisError("away")

    monkeypatch.setattr(places, "redis_client", away)
    assert all(taken("a", 1) for _ in range(5))
    assert len(asked) == 1, "it is not asked again at once"
