"""A serializer of a response is made once for a thread, and knows nothing of the response before."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest

from api.http.responses import Moment, ResponseSerializer, Text

MOMENT = datetime(2026, 1, 5, 6, tzinfo=UTC)


class Inner(ResponseSerializer):
    at = Moment(source="*")


class Outer(ResponseSerializer):
    inner = Inner(many=True, source="*")
    owner = Text()

    def get_owner(self, _moments):
        self.context.get("first", len)(())
        return self.context["owner"]()


@pytest.mark.parametrize(("zone", "owner"), [(ZoneInfo("Asia/Kolkata"), "acme"), (UTC, "umbrella")])
def test_each_response_has_its_own_context(zone, owner):
    context = {"zone": zone, "owner": lambda: owner}
    assert Outer.shown([MOMENT, MOMENT], context) == Outer([MOMENT, MOMENT], context=context).data
    assert Outer.shown([], context)["owner"] == owner


def test_after_a_fault_nothing_is_left_of_the_response():
    with pytest.raises(ZeroDivisionError):
        Outer.shown([MOMENT], {"zone": UTC, "owner": lambda: 1 / 0})
    with pytest.raises(KeyError, match="zone"):
        Outer.shown([MOMENT], {})


def test_threads_share_none():
    both = Barrier(2, timeout=60)

    def show(owner: str) -> str:
        shown = Outer.shown([], {"first": lambda _nothing: both.wait(), "owner": lambda: owner})
        return str(shown["owner"])

    Outer.shown([], {"owner": str})
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(show, ["acme", "umbrella"])) == ["acme", "umbrella"]
