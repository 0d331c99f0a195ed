"""Invalid bodies: a 4xx with an envelope and a sentence that says what to do; never a 500, and nothing stored."""

import json
from concurrent.futures import Future

import pytest

from campaigns.models import Campaign
from tests.api.client import campaign, stored
from tests.factories import CampaignFactory
from webhooks import addresses

pytestmark = pytest.mark.usefixtures("shared_account")

NUL = "\\u0000"


@pytest.fixture(autouse=True)
def nothing_is_stored(db):
    yield
    assert stored() == (0, 0)


def raw(**changes: str) -> bytes:
    """Return a body with pieces of raw JSON that json.dumps would not write."""
    pieces = {name: json.dumps(value) for name, value in campaign().items()} | changes
    return ('{"campaigns": [{' + ", ".join(f'"{name}": {piece}' for name, piece in pieces.items()) + "}]}").encode()


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"{", "not valid JSON"),
            (b"{'campaigns': []}", "not valid JSON"),
            (b'{"campaigns": [{"name": "x",}]}', "not valid JSON"),
            (b"campaigns=1&from=2", "not valid JSON"),
            (b"<campaigns/>", "not valid JSON"),
            (b'{"a": 1} {"b": 2}', "not valid JSON"),
            (b'{"name": "a\nb"}', "not valid JSON"),
            (b'{"name": "\x00"}', "not valid JSON"),
            (b"\xff\xfe{\x00}\x00", "UTF-8"),
            (b'{"name": "\xe9"}', "UTF-8"),
            (b'{"name": "\xed\xa0\x80"}', "UTF-8"),
            (b"\x1f\x8b\x08\x00", "UTF-8"),
            (raw(name=f'"abc{NUL}"'), "'campaigns[0].name': holds a NUL"),
            (raw(**{f"key{NUL}": "1"}), "NUL"),
            (raw(unknown=f'{{"deep": [["{NUL}"]]}}'), "'campaigns[0].unknown.deep[0][0]': holds a NUL"),
            (f'["a", "{NUL}"]'.encode(), "'[1]': holds a NUL"),
            (f'"{NUL}"'.encode(), "the body holds a NUL"),
            (raw(name='"abc\\ud800"'), "'campaigns[0].name': holds half a surrogate"),
            (raw(name='"abc\\udc00\\ud800"'), "surrogate"),
            (raw(custom_field='"\\ud83d"'), "surrogate"),
            (raw(throttle="NaN"), "NaN"),
            (raw(unknown="-Infinity"), "Infinity"),
            (raw(throttle="1e400"), "too large"),
            (raw(unknown="-1e400"), "too large"),
            (raw(throttle="9" * 41), "too large"),
            (raw(throttle="9" * 100_000), "too large"),
            (raw(**{"from": "[" + "9" * 5000 + "]"}), "too large"),
            (b"[" * 100_000, "deep"),
            (b"[" * 400 + b"]" * 400, "deep"),
            (b"[" * 33 + b"]" * 33, "deep"),
            (raw(retries='{"a":' * 300 + "1" + "}" * 300), "deep"),
            (raw(unknown='{"a":' * 900 + "1" + "}" * 900), "deep"),
            (raw(**{"from": "[" * 900 + "]" * 900}), "deep"),
            (b'{"campaigns": [], "campaigns": []}', "'campaigns' stands twice"),
            (raw(retries='{"interval_mins": 5, "number_of_retries": 1, "interval_mins": 9}'), "twice"),
        ],
    )
    @pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
    def test_a_body_that_is_not_plain_json_is_refused_with_the_reason(self, api, body, says, content_type):
        assert api.post("/campaigns", body, content_type=content_type).is_refused(400, says)

    @pytest.mark.parametrize(
        "body",
        [b"", b"  \n", b"{}", b"[]", b"null", b"true", b"5", b'"text"', b'[{"from": []}]']
        + [b'{"campaigns": %s}' % value for value in (b"[]", b"{}", b"null", b'"x"', b"5", b"true")],
    )
    @pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
    def test_a_body_without_campaigns_is_told_that_they_are_mandatory(self, api, body, content_type):
        assert api.post("/campaigns", body, content_type=content_type).is_refused(400, "Campaigns is mandatory")

    @pytest.mark.parametrize("one", [None, [], "x", 5, True])
    def test_each_campaign_is_an_object(self, api, one):
        assert api.post("/campaigns", {"campaigns": [one]}).is_refused(400, "'campaigns[0]'", "must be an object")

    def test_a_body_above_the_limit_is_too_large_whatever_it_holds(self, api):
        response = api.post("/campaigns", b" " * 20_000_000)
        assert response.is_refused(413, "larger than 2,000,000 bytes", "fewer numbers")

    @pytest.mark.parametrize(
        "content_type", ["application/json; charset=utf-16", "a/b; charset*=utf-8'", ";;;", "\u00e9", "*/*", "x" * 5000]
    )
    def test_an_odd_content_type_is_no_reason_to_break(self, api, content_type):
        assert api.post("/campaigns", b"{", content_type=content_type).is_refused(400, "not valid JSON")

    def test_changes_are_refused_in_the_same_words(self, api, account):
        row = CampaignFactory(account=account)
        path = f"/campaigns/{row.pk.hex}"
        assert api.put(path, b"{").is_refused(400, "not valid JSON")
        assert api.put(path, b"[]").is_refused(400, "Campaigns is mandatory")
        assert api.put(path, b" " * 2_000_001).is_refused(413, "fewer numbers")
        assert api.put(path, {"retries": {"number_of_retries": 9}}).is_refused(400, "'retries.number_of_retries'")
        row.delete()


WRONG = {
    "a text": "text",
    "a number": 5,
    "a fraction": 1.5,
    "true": True,
    "an array": [1],
    "an object": {"a": 1},
    "a huge number": 10**39,
    "an array of arrays": [[[]]],
}


def all_but(*right: str) -> list[str]:
    return [kind for kind in WRONG if kind not in right]


TYPES = (
    [("name", kind) for kind in all_but("a text")]
    + [("caller_id", kind) for kind in all_but("a text")]
    + [("url", kind) for kind in all_but("a text")]
    + [("custom_field", kind) for kind in all_but("a text")]
    + [("type", kind) for kind in WRONG]
    + [("campaign_type", kind) for kind in WRONG]
    + [("call_duplicate_numbers", kind) for kind in all_but("true")]
    + [("retries", kind) for kind in WRONG]
    + [("retries.number_of_retries", kind) for kind in WRONG]
    + [("retries.interval_mins", kind) for kind in all_but("a number")]
    + [("retries.mechanism", kind) for kind in WRONG]
    + [("retries.on_status", kind) for kind in WRONG]
    + [("schedule", kind) for kind in all_but("an object")]
    + [("schedule.send_at", kind) for kind in WRONG]
    + [("schedule.end_at", kind) for kind in WRONG]
    + [("mode", kind) for kind in WRONG]
    + [("throttle", kind) for kind in all_but("a number", "a huge number")]
    + [(name, kind) for name in ("call_status_callback", "call_schedule_callback", "status_callback") for kind in WRONG]
)


class TestTypesAndValues:
    @pytest.mark.parametrize(("place", "kind"), TYPES)
    def test_a_value_of_the_wrong_type_is_refused_at_its_place(self, api, place, kind):
        body = campaign(retries={"number_of_retries": 1, "interval_mins": 5})
        *outer, name = place.split(".")
        parent = body.setdefault(outer[0], {}) if outer else body
        parent[name] = WRONG[kind]
        assert api.post("/campaigns", body).is_refused(400, f"'{place}")

    @pytest.mark.parametrize("missing", ["from", "caller_id", "url"])
    @pytest.mark.parametrize("how", [..., None])
    def test_what_is_mandatory_is_named_when_it_is_missing(self, api, missing, how):
        assert api.create(**{missing: how}).is_refused(400, f"'{missing}'", "required")

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"name": "ab"}, "'name'"),
            ({"name": "  a  "}, "'name'"),
            ({"name": ""}, "'name'"),
            ({"name": "a" * 256}, "'name'"),
            ({"type": "promo"}, "'type': must be one of trans"),
            ({"campaign_type": "promo"}, "'campaign_type': must be one of static, dynamic"),
            ({"caller_id": "12345"}, "'caller_id': 12345 is not a caller ID"),
            ({"caller_id": " " * 40 + "no number" + " " * 40}, "'caller_id': no number is not a caller ID"),
            ({"caller_id": "0" * 33}, "'caller_id'"),
            ({"url": "http://[/29281"}, "'url'"),
            ({"url": "http://my.exotel.com/acme/exoml/start_voice/1"}, "no flow of this account"),
            ({"url": "http://my.exotel.com/acme?flow=29281"}, "no flow of this account"),
            ({"url": "/" * 3000}, "'url'"),
            ({"custom_field": "a" * 10_001}, "'custom_field'"),
            ({"mode": "custom"}, "'throttle': with mode custom, give 1 to 59 calls a minute"),
            ({"mode": "custom", "throttle": 0}, "1 to 59"),
            ({"mode": "custom", "throttle": 60}, "1 to 59"),
            ({"mode": "custom", "throttle": -1}, "1 to 59"),
            ({"mode": "custom", "throttle": 10**39}, "1 to 59"),
            ({"retries": {}}, "'retries.number_of_retries'"),
            ({"retries": {"interval_mins": 5}}, "'retries.number_of_retries'"),
            ({"retries": {"mechanism": "Linear", "on_status": ["busy"]}}, "'retries.number_of_retries'"),
            ({"retries": {"number_of_retries": 1}}, "'retries.interval_mins': say how many minutes"),
            ({"retries": {"number_of_retries": 1, "interval_mins": None}}, "'retries.interval_mins'"),
            ({"retries": {"number_of_retries": 4, "interval_mins": 5}}, "'retries.number_of_retries'"),
            ({"retries": {"number_of_retries": -1, "interval_mins": 5}}, "'retries.number_of_retries'"),
            ({"retries": {"number_of_retries": 1, "interval_mins": 0}}, "'retries.interval_mins'"),
            ({"retries": {"number_of_retries": 1, "interval_mins": 43_201}}, "'retries.interval_mins'"),
            ({"retries": {"number_of_retries": 1, "interval_mins": 5, "on_status": []}}, "'retries.on_status'"),
            (
                {"retries": {"number_of_retries": 1, "interval_mins": 5, "on_status": ["busy", "completed"]}},
                "'retries.on_status[1]': must be one of busy, no-answer, failed",
            ),
            ({"status_callback": "ftp://example.com"}, "'status_callback': write an address"),
            ({"status_callback": "http://"}, "'status_callback'"),
            ({"status_callback": "http://[::1"}, "'status_callback'"),
            ({"status_callback": "http://example.com:65536/x"}, "'status_callback': its port does not exist"),
            ({"status_callback": "http://example.com:0/x"}, "'status_callback': its port does not exist"),
            ({"status_callback": "http://example.com/" + "a" * 2048}, "'status_callback'"),
        ],
    )
    def test_a_value_that_can_not_be_is_refused_with_the_way_out(self, api, fields, says):
        assert api.create(**fields).is_refused(400, says)

    def test_names_that_never_resolve_cost_a_request_its_time_once(self, api, account, settings, monkeypatch):
        """200 addresses in one request: the first uses up the time, and all are judged at delivery."""
        settings.WEBHOOK_LOOK_UP_SECONDS = 0.05
        settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = False
        waited = []

        class Never(Future[tuple[str, ...]]):
            def result(self, timeout=None):
                waited.append(timeout)
                return super().result(timeout)

        monkeypatch.setattr(addresses, "_looked_up", lambda *_: Never())
        given = [campaign(name=f"campaign {n}", status_callback=f"https://{n}.example/") for n in range(20)]
        given.append(campaign(name="last", status_callback="http://127.0.0.1/x"))
        assert api.post("/campaigns", {"campaigns": given}).is_refused(400, "campaigns[20].status_callback", "private")
        assert (len(waited), waited[0], set(waited[1:])) == (20, 0.05, {0.0})

    def test_an_account_of_one_start_a_minute_is_told_one(self, api, account):
        account.starts_per_minute = 1
        account.save()
        assert api.create(mode="custom", throttle=2).is_refused(400, "1 to 1")


HOW_TO_WRITE = "as in 2026-01-31T10:30:00+05:30"


class TestSchedule:
    @pytest.mark.parametrize(
        "moment",
        [
            "2026-03-02T15:00:00",
            "2026-03-02 15:00",
            "2026-03-02",
            "2026-03-02T15:00:00+25:00",
            "2026-03-02T15:00:00-24:00",
            "2026-03-02T15:00:00+99:99",
            "2026-03-02T15:00:00+5",
            "2026-03-02T15:00:00 IST",
            "2026-03-02T15:00:00 Asia/Kolkata",
            "2026-03-02T15:00:00[Asia/Kolkata]",
            "2026-02-30T15:00:00Z",
            "2026-03-02T24:30:00Z",
            "2026-03-02T15:00:61Z",
            "02/03/2026 15:00 +05:30",
            "1772442000",
            "tomorrow",
            "",
            "T" * 100_000,
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
        ],
    )
    @pytest.mark.parametrize("end", ["send_at", "end_at"])
    def test_a_value_that_is_not_a_moment_with_an_offset_is_refused_with_an_example(self, api, clock, end, moment):
        assert api.create(schedule={end: moment}).is_refused(400, f"'schedule.{end}'", HOW_TO_WRITE)

    @pytest.mark.parametrize(
        ("schedule", "says"),
        [
            # It is 11:30 in India.
            ({"send_at": "2026-03-02T11:24:59+05:30"}, "'schedule.send_at': this moment has passed"),
            ({"send_at": "0001-01-01T00:00:00Z"}, "'schedule.send_at': this moment has passed"),
            ({"send_at": "0001-01-01T00:00:00-14:00"}, "'schedule.send_at': this moment has passed"),
            ({"send_at": "2027-03-03T12:00:00+05:30"}, "'schedule.send_at': this is more than a year ahead"),
            ({"send_at": "9999-12-31T23:59:59Z"}, "'schedule.send_at': this is more than a year ahead"),
            ({"send_at": "9999-12-31T23:59:59+14:00"}, "'schedule.send_at': this is more than a year ahead"),
            ({"end_at": "2026-03-02T11:30:00+05:30"}, "'schedule.end_at': must be after send_at, and after now"),
            ({"end_at": "0001-01-01T00:00:00Z"}, "'schedule.end_at': must be after send_at"),
            ({"end_at": "9999-12-31T23:59:59Z"}, "'schedule.end_at': is more than a year after send_at"),
            (
                {"send_at": "2026-03-02T15:00:00+05:30", "end_at": "2026-03-02T15:00:00+05:30"},
                "'schedule.end_at': must be after send_at",
            ),
            # Later by the clock on the wall, but an earlier moment.
            (
                {"send_at": "2026-03-02T15:00:00+05:30", "end_at": "2026-03-02T15:30:00+08:00"},
                "'schedule.end_at': must be after send_at",
            ),
        ],
    )
    def test_a_schedule_that_can_not_be_is_refused(self, api, clock, schedule, says):
        assert api.create(schedule=schedule).is_refused(400, says)


def test_a_fault_of_the_server_shows_nothing_of_its_inside(api, monkeypatch):
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("campaigns.lifecycle.create", break_down)
    response = api.create()
    assert response.is_refused(500, "fault of the server", "request_id")
    assert "secret" not in json.dumps(response.envelope)
    assert Campaign.objects.count() == 0
