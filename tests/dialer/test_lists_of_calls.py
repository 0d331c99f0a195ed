"""What carriers list of the calls since a moment: page after page, and none that came in."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dialer.carriers.base import Access, CantList, Carrier, Listed
from dialer.carriers.exotel import ZONE, ExotelCarrier
from dialer.carriers.twiml import TelnyxCarrier, TwilioCarrier
from sipgateway.driver import SipCarrier
from tests.dialer.stand_in import StandIn, served

NOW = datetime.now(UTC).replace(microsecond=0)
CALLER_ID = "+918012345678"
NUMBERS = [f"+9198100123{n:02}" for n in range(45)]


class Lists(StandIn):
    """Both kinds of API: ten calls on a page, the newest first, a minute between two."""

    replies: tuple[tuple[int, object], ...] = ()
    more_at = ""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[dict[str, list[str]]] = []

    def respond(self, method: str, path: str, form: dict[str, list[str]]) -> tuple[int, object]:
        query = parse_qs(urlsplit(path).query)
        self.asked.append(query)
        if len(self.asked) <= len(self.replies):
            return self.replies[len(self.asked) - 1]
        page = int(query.get("Page", ["0"])[0])
        numbers = NUMBERS[10 * page : 10 * page + 10]
        first = urlsplit(path).path
        further = f"{self.more_at}{first}?Page={page + 1}" if len(NUMBERS) > 10 * page + 10 else None
        rows = [self._row(path, 10 * page + place, number) for place, number in enumerate(numbers)]
        if "/v1/" in path:
            return 200, {"Metadata": {"NextPageUri": further}, "Calls": rows}
        return 200, {"calls": rows, "next_page_uri": further}

    @staticmethod
    def _row(path: str, place: int, number: str) -> dict[str, Any]:
        at = NOW - timedelta(minutes=place)
        is_inbound = place == 3
        if "/v1/" in path:
            created = at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
            row = {"Sid": f"s{place}", "From": number, "To": CALLER_ID, "PhoneNumberSid": CALLER_ID, "Status": "busy"}
            return row | {"DateCreated": created, "Direction": "inbound" if is_inbound else "outbound-api"}
        row = {"sid": f"s{place}", "to": number, "from": CALLER_ID, "status": "busy", "date_created": at.isoformat()}
        return row | {"direction": "inbound" if is_inbound else "outbound-api"}


@pytest.fixture
def lists() -> Iterator[Lists]:
    with served(Lists) as stand_in:
        yield stand_in


def carriers(url: str) -> dict[str, Carrier]:
    access = Access(url, "AC1", "AC1", "token")
    return {
        "exotel": ExotelCarrier.connect(access),
        "twilio": TwilioCarrier.connect(access),
        "telnyx": TelnyxCarrier.connect(access),
    }


def listed(lists: Lists, name: str, since: datetime = NOW - timedelta(hours=1)) -> list[Listed]:
    return [call for page in carriers(lists.url)[name].list_calls(since) for call in page]


NAMES = pytest.mark.parametrize("name", ["exotel", "twilio", "telnyx"])


@NAMES
def test_every_page_is_read_and_calls_that_came_in_are_left_out(lists: Lists, name: str):
    found = listed(lists, name)
    assert [call.number for call in found] == [number for place, number in enumerate(NUMBERS) if place != 3]
    assert {(call.caller_id, call.event.status) for call in found} == {(CALLER_ID, "busy")}
    assert (found[0].event.carrier_ref, found[0].created_at) == ("s0", NOW)


@pytest.mark.parametrize("name", ["twilio", "telnyx"])
def test_a_list_that_can_not_be_filtered_is_read_back_to_the_moment(lists: Lists, name: str):
    """And ten minutes further, as the carrier's clock may be off."""
    found = listed(lists, name, since=NOW - timedelta(minutes=2))
    assert [call.event.carrier_ref for call in found] == [f"s{n}" for n in range(13) if n != 3]
    assert len(lists.asked) == 3, "the first page without one is the last"


def test_exotel_is_asked_for_the_time_alone(lists: Lists):
    listed(lists, "exotel", since=NOW)
    first = (NOW - timedelta(minutes=10)).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
    assert lists.asked[0]["DateCreated"][0].startswith(f"gte:{first};lte:")


@NAMES
def test_a_carrier_that_wants_to_be_left_alone_is_asked_again(lists: Lists, name: str, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    lists.replies = ((429, {}), (503, {}))
    assert len(listed(lists, name)) == 44
    assert waits == [2.0, 10.0]


@NAMES
@pytest.mark.parametrize("reply", [(500, {}), (401, {}), (200, {"Calls": "none", "calls": 7})])
def test_a_list_that_can_not_be_read_is_no_empty_list(lists: Lists, name: str, reply):
    lists.replies = (reply,)
    with pytest.raises(CantList):
        listed(lists, name)


@NAMES
def test_a_carrier_that_is_away_can_not_be_listed(name: str):
    with served(Lists) as gone:
        pass
    with pytest.raises(CantList, match="no reply"):
        listed(gone, name)


@NAMES
def test_credentials_are_sent_to_no_other_host(lists: Lists, name: str):
    lists.more_at = "http://other.example"
    with pytest.raises(CantList, match="another host"):
        listed(lists, name)


def test_a_sip_trunk_keeps_no_list():
    carrier = SipCarrier.connect(Access("sip:trunk.example", "", "", ""))
    with pytest.raises(CantList, match="keeps no list"):
        list(carrier.list_calls(NOW))
