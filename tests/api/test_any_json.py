"""Any JSON value at any place of a valid campaign: never a 5xx, and a 4xx stores nothing."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.client import campaign, stored

GOOD = {
    "campaigns": [
        campaign(
            name="Fees due",
            type="trans",
            campaign_type="static",
            call_duplicate_numbers=False,
            retries={"number_of_retries": 1, "interval_mins": 5, "mechanism": "Linear", "on_status": ["busy"]},
            schedule={"send_at": "2026-03-02T15:00:00+05:30", "end_at": "2026-03-02T18:00:00+05:30"},
            call_status_callback="https://example.com/call",
            call_schedule_callback="https://example.com/schedule",
            status_callback="https://example.com/campaign",
            mode="custom",
            throttle=20,
            custom_field="round-7",
        )
    ]
}


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value of the body; the body itself is ()."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, value in inner for place in places(value, (*way, key)))]


def replaced(value: Any, way: tuple[Any, ...], by: Any) -> Any:
    if not way:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = replaced(value[way[0]], way[1:], by)
    return copy


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()  # NaN and the infinities included
    | st.text(st.characters())  # surrogates included
    | st.sampled_from(
        ["", "\0", "2026-03-02T15:00:00+05:30", "9999-12-31T23:59:59-12:00", "08047113311", "auto", "a,b"]
    )
)
KEYS = st.text(max_size=5) | st.sampled_from(["from", "campaigns", "send_at", "number_of_retries", "action", "lists"])
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.sampled_from(places(GOOD)), value=ANY_JSON)
def test_any_json_at_any_place_is_stored_whole_or_refused_whole(api, clock, place, value):
    before = stored()
    response = api.post("/campaigns", json.dumps(replaced(GOOD, place, value)).encode())
    assert response.status in {200, 400}, response.envelope
    if response.status == 400:
        assert stored() == before
    else:
        assert stored()[0] == before[0] + len(response.items)


@pytest.mark.parametrize("place", places(GOOD), ids=lambda place: ".".join(map(str, place)) or "body")
def test_any_place_can_be_null(api, clock, place):
    """A key that is null counts as missing: it is refused only if it is mandatory."""
    mandatory = {"campaigns", "from", "caller_id", "url", "number_of_retries", "interval_mins", "throttle"}
    absent_is_fine = place and isinstance(place[-1], str) and place[-1] not in mandatory
    response = api.post("/campaigns", replaced(GOOD, place, None))
    assert response.status == (200 if absent_is_fine else 400), response.envelope
