"""The report: a CSV behind report_url with every number, safe to open in a spreadsheet."""

import csv
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from campaigns.models import Call, Campaign
from core.times import rfc3339
from dialer.models import Transfer
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, CustomFieldFactory

AT = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
COLUMNS = [
    *("number", "name", "status", "last_outcome", "attempts", "call_sids", "digits", "duration", "start_time"),
    *("end_time", "caller_id", "custom_field", "recording_url", "reason", "transfers", "transfer_duration"),
]


@pytest.fixture
def ended(account):
    return CampaignFactory(account=account, completed=True, with_retries=True)


def download(api, url):
    parts = urlsplit(url)
    return api.http.get(f"{parts.path}?{parts.query}")


def written(api, row, more=""):
    """Download the report over the link in the response, without credentials."""
    response = download(api, api.get(f"/campaigns/{row.pk.hex}").data["report_url"] + more)
    assert response.status_code == 200
    assert response.streaming
    return b"".join(response.streaming_content)


def report(api, row):
    return list(csv.DictReader(io.StringIO(written(api, row).decode(), newline="")))


@pytest.mark.parametrize("trait", ["started", "running", "paused", "paused_before_start"])
def test_there_is_no_report_until_the_campaign_has_ended(api, account, trait):
    row = CampaignFactory(account=account, **({} if trait == "started" else {trait: True}))
    assert api.get(f"/campaigns/{row.pk.hex}").data["report_url"] is None


@pytest.mark.parametrize("trait", ["completed", "failed", "canceled", "deleted", "archived"])
def test_every_ended_campaign_has_one_in_the_list_too(api, account, trait):
    row = CampaignFactory(account=account, **{trait: True})
    url = api.get(f"/campaigns?status={trait}").records[0]["report_url"]
    assert url.startswith(f"{settings.PUBLIC_URL}/reports/{row.pk.hex}.csv?signature=")
    assert download(api, url).status_code == 200


def test_it_is_a_csv_file_with_a_name(api, ended):
    response = download(api, api.get(f"/campaigns/{ended.pk.hex}").data["report_url"])
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="campaign-{ended.pk.hex}.csv"'
    assert b"".join(response.streaming_content).decode().strip().split(",") == COLUMNS


def test_it_has_every_number_dialled_or_not_with_the_reason(api, ended):
    CallFactory(campaign=ended, completed=True, number="+919810000001", end_reason="answered")
    CallFactory(campaign=ended, failed=True, number="+919810000002", end_reason="busy; no retry is left")
    CallFactory(campaign=ended, canceled=True, number="+919810000003", end_reason="the campaign's end came first")
    CallFactory(campaign=ended, failed=True, number="+919810000004", attempts_made=0, last_outcome="", end_reason="x")
    assert [(line["number"], line["status"], line["attempts"], line["reason"]) for line in report(api, ended)] == [
        ("+919810000001", "completed", "1", "answered"),
        ("+919810000002", "failed", "1", "busy; no retry is left"),
        ("+919810000003", "canceled", "0", "the campaign's end came first"),
        ("+919810000004", "failed", "0", "x"),
    ]


def test_a_number_given_twice_has_two_lines(api, ended):
    Campaign.objects.update(call_duplicate_numbers=True)
    CallFactory.create_batch(2, campaign=ended, completed=True, number="+919810000001")
    assert [line["number"] for line in report(api, ended)] == ["+919810000001"] * 2


def test_the_custom_field_stands_in_every_line(api, ended):
    CustomFieldFactory(campaign=ended, value='{"term": "2, late"}')
    CallFactory.create_batch(2, campaign=ended, completed=True)
    assert [line["custom_field"] for line in report(api, ended)] == ['{"term": "2, late"}'] * 2


def test_several_attempts_of_a_call_share_its_line(api, ended):
    call = CallFactory(
        campaign=ended, completed=True, number="+919810000001", name="Asha", attempts_made=3, end_reason="answered"
    )
    busy = CallAttemptFactory(call=call, busy=True, claimed_at=AT)
    given_back = CallAttemptFactory(call=call, canceled=True, number=2, claimed_at=AT + timedelta(minutes=3))
    digits = CallAttemptFactory(
        call=call, completed=True, number=2, claimed_at=AT + timedelta(minutes=5), duration_seconds=7, digits="12"
    )
    last = CallAttemptFactory(
        call=call,
        completed=True,
        number=3,
        claimed_at=AT + timedelta(minutes=10),
        duration_seconds=20,
        digits="3#",
        recording_url="https://carrier.example/r.mp3",
    )
    (line,) = report(api, ended)
    assert line == {
        "number": "+919810000001",
        "name": "Asha",
        "status": "completed",
        "last_outcome": "completed",
        "attempts": "3",
        "call_sids": f"{busy.pk.hex} {digits.pk.hex} {last.pk.hex}",
        "digits": "12 3#",
        "duration": "27",
        "start_time": "2026-03-02T11:30:01+05:30",
        "end_time": "2026-03-02T11:41:00+05:30",
        "caller_id": ended.caller_id.number,
        "custom_field": "",
        "recording_url": "https://carrier.example/r.mp3",
        "reason": "answered",
        "transfers": "",
        "transfer_duration": "0",
    }
    assert given_back.pk.hex not in line["call_sids"]


def test_calls_to_other_numbers_share_the_line_of_the_call_that_was_connected_to_them(api, ended):
    call = CallFactory(campaign=ended, completed=True)
    attempts = [CallAttemptFactory(call=call, completed=True, number=n, claimed_at=AT) for n in (1, 2)]
    CallAttemptFactory(call=CallFactory(campaign=ended, completed=True), completed=True)
    ends = [("busy", None, ""), ("failed", None, "number-cap"), ("completed", 40, ""), ("completed", 2, "")]
    of_attempts = [*attempts, attempts[1], attempts[1]]
    for at, (attempt, (outcome, talked, rule)) in enumerate(zip(of_attempts, ends, strict=True)):
        Transfer.objects.create(
            attempt=attempt,
            account=attempt.account,
            place=f"{at}.1",
            number=f"+91801234567{at}",
            started_at=AT,
            placing_at=AT,
            ended_at=AT + timedelta(minutes=1),
            outcome=outcome,
            rule=rule,
            talk_seconds=talked,
        )
    told = "busy:+918012345670 number-cap:+918012345671 completed:+918012345672 completed:+918012345673"
    assert [(line["transfers"], line["transfer_duration"]) for line in report(api, ended)] == [(told, "42"), ("", "0")]
    excel = written(api, ended, "&format=excel").decode()
    assert f'"=""{told}"""' in excel


def test_the_calls_of_another_campaign_are_not_in_it(api, account, ended):
    CallAttemptFactory(call=CallFactory(campaign__account=account, completed=True), completed=True)
    assert report(api, ended) == []


@pytest.mark.parametrize(
    "formula",
    [
        *("=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t1", "\r1", "\n1", '=HYPERLINK("http://x")'),
        # Spreadsheets in some languages read full-width signs as plain ones.
        *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)"),
    ],
)
@pytest.mark.parametrize("column", ["name", "custom_field", "digits", "recording_url", "reason"])
def test_a_cell_that_a_spreadsheet_would_run_becomes_text(api, ended, column, formula):
    call = CallFactory(
        campaign=ended,
        completed=True,
        name=formula if column == "name" else "Asha",
        end_reason=formula if column == "reason" else "answered",
    )
    outside = {column: formula} if column in {"digits", "recording_url"} else {}
    CallAttemptFactory(call=call, completed=True, **outside)
    CustomFieldFactory(campaign=ended, value=formula if column == "custom_field" else "round-7")
    (line,) = report(api, ended)
    assert line[column] == "'" + formula
    assert line["number"] == call.number  # begins with a plus, and stays readable for programs


@pytest.mark.parametrize(
    "text", ["Asha", "a=b", "2+2", "Ann-Marie", "'quoted'", 'a "b", c', "two\nlines", "शुल्क 📞", "%s"]
)
def test_other_text_is_left_as_it_is(api, ended, text):
    CustomFieldFactory(campaign=ended, value=text)
    CallFactory(campaign=ended, completed=True, name=text)
    (line,) = report(api, ended)
    assert (line["name"], line["custom_field"]) == (text, text)


@pytest.mark.parametrize("column", ["name", "custom_field", "digits", "recording_url", "reason"])
def test_a_cell_that_another_spreadsheet_would_cut_is_guarded_behind_each_cut(api, ended, column):
    text = "Asha;=1+1\t@x,\r\n-1+1"
    call = CallFactory(campaign=ended, completed=True, **{"name": text} if column == "name" else {})
    if column == "reason":
        Call.objects.update(end_reason=text)
    CallAttemptFactory(call=call, completed=True, **{column: text} if column in {"digits", "recording_url"} else {})
    CustomFieldFactory(campaign=ended, value=text if column == "custom_field" else "round-7")
    (line,) = report(api, ended)
    assert line[column] == "Asha;'=1+1\t'@x,\r\n'-1+1"


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        # The night in which the clocks go back: 40 minutes, though the wall clock shows 20 less.
        ("Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T02:10:00+01:00"),
        ("Asia/Kolkata", "2026-03-02T11:30:00+05:30", "2026-03-03T00:30:00+05:30"),
        ("America/St_Johns", "2025-12-31T22:30:00-03:30", "2026-06-30T23:30:00-02:30"),
        ("UTC", "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"),
    ],
)
def test_times_have_the_offset_of_the_accounts_zone_at_that_moment(api, account, ended, zone, start, end):
    account.time_zone = zone
    account.save()
    started_at, ended_at = datetime.fromisoformat(start), datetime.fromisoformat(end)
    CallAttemptFactory(
        call=CallFactory(campaign=ended, completed=True),
        busy=True,
        claimed_at=started_at,
        placing_at=started_at,
        heard_at=started_at,
        ended_at=ended_at,
    )
    (line,) = report(api, ended)
    assert (line["start_time"], line["end_time"]) == (start, end)
    assert (start, end) == (rfc3339(started_at, account.zone), rfc3339(ended_at, account.zone))


class TestExcel:
    @pytest.fixture
    def call(self, ended):
        """A call whose numbers Excel would round, whose name it would garble and whose texts it would rewrite."""
        CustomFieldFactory(campaign=ended, value="0012")
        call = CallFactory(campaign=ended, completed=True, number="+919810000001", name="आशा 7b; राव")
        CallAttemptFactory(call=call, completed=True, digits="001", duration_seconds=7)
        return call

    @pytest.mark.parametrize(("name", "delimiter"), [("excel", ","), ("excel-semicolon", ";")])
    def test_it_begins_with_a_mark_and_keeps_digits_as_text(self, api, ended, call, name, delimiter):
        raw = written(api, ended, f"&format={name}")
        assert raw.startswith(b"\xef\xbb\xbfnumber" + delimiter.encode())
        (line,) = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=delimiter)
        kept = {
            "number": "+919810000001",
            "name": "आशा 7b; राव",
            "call_sids": call.attempts.get().pk.hex,
            "digits": "001",
            "caller_id": ended.caller_id.number,
            "custom_field": "0012",
        }
        assert {column: line[column] for column in kept} == {column: f'="{text}"' for column, text in kept.items()}
        assert (line["attempts"], line["duration"], line["status"]) == ("1", "7", "completed")

    def test_a_number_that_was_never_dialled_has_empty_cells(self, api, ended):
        CallFactory(campaign=ended, canceled=True, name="Asha")
        raw = written(api, ended, "&format=excel").decode("utf-8-sig")
        (line,) = csv.DictReader(io.StringIO(raw, newline=""))
        assert (line["name"], line["call_sids"], line["digits"], line["start_time"]) == ("Asha", "", "", "")

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("=1+1", '="\'=1+1"'),
            ("Asha", "Asha"),
            ("Asha;=1+x", '="Asha;\'=1+x"'),
            ('5" pipe', '5" pipe'),
            ("1\n2", "1\n2"),
            ("1" * 255, '="' + "1" * 255 + '"'),
            ("1" * 256, "1" * 256),
            # No number can end the text of the formula and begin a formula of its own.
            ("7\"&cmd|'/C calc'!A0&\"", "7\"&cmd|'/C calc'!A0&\""),
        ],
    )
    def test_a_text_is_a_formula_only_where_it_is_a_text_in_it(self, api, ended, text, kept):
        CustomFieldFactory(campaign=ended, value=text)
        CallFactory(campaign=ended, completed=True)
        raw = written(api, ended, "&format=excel").decode("utf-8-sig")
        (line,) = csv.DictReader(io.StringIO(raw, newline=""))
        assert line["custom_field"] == kept

    def test_the_plain_report_is_the_default_and_has_neither(self, api, ended, call):
        plain = written(api, ended)
        assert plain == written(api, ended, "&format=csv")
        sid = call.attempts.get().pk.hex
        number = ended.caller_id.number
        line = plain.decode().splitlines()[1]
        assert line.startswith(f"+919810000001,आशा 7b; राव,completed,completed,1,{sid},001,7,2")
        assert f",{number},0012,," in line

    @pytest.mark.parametrize("name", ["xlsx", "", "Excel", "%00"])
    def test_an_unknown_format_is_refused_with_the_known_ones(self, api, ended, name):
        response = download(api, api.get(f"/campaigns/{ended.pk.hex}").data["report_url"] + f"&format={name}")
        assert response.status_code == 400
        assert b"csv, excel, excel-semicolon" in response.content


class TestLink:
    @pytest.mark.parametrize("change", ["none", "empty", "cut", "forged", "nul", "unicode", "twice"])
    def test_a_wrong_signature_is_refused(self, api, ended, change):
        url = api.get(f"/campaigns/{ended.pk.hex}").data["report_url"]
        bare, _, signature = url.partition("?signature=")
        wrong = {
            "none": bare,
            "empty": f"{bare}?signature=",
            "cut": url[:-1],
            "forged": f"{bare}?signature=ImFiYyI:1abcde:{'A' * 43}",
            "nul": f"{bare}?signature=%00{signature}",
            "unicode": f"{bare}?signature=%F0%9F%93%9E%ff",
            "twice": f"{url}&signature=x",
        }[change]
        response = download(api, wrong)
        assert response.status_code == 403
        assert b"get the campaign again" in response.content

    def test_the_signature_of_one_campaign_opens_no_other(self, api, account, ended):
        signature = api.get(f"/campaigns/{ended.pk.hex}").data["report_url"].partition("?")[2]
        other = CampaignFactory(account=account, completed=True)
        assert download(api, f"/reports/{other.pk.hex}.csv?{signature}").status_code == 403

    def test_a_link_works_for_a_week_and_a_new_one_is_made_each_time(self, api, clock, account):
        row = CampaignFactory(account=account, completed=True)
        url = api.get(f"/campaigns/{row.pk.hex}").data["report_url"]
        clock.shift(timedelta(days=7) - timedelta(seconds=1))
        assert download(api, url).status_code == 200
        clock.shift(timedelta(seconds=2))
        assert download(api, url).status_code == 403
        assert report(api, row) == []

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_a_report_is_only_read(self, api, ended, method):
        parts = urlsplit(api.get(f"/campaigns/{ended.pk.hex}").data["report_url"])
        assert api.http.generic(method, f"{parts.path}?{parts.query}").status_code == 405

    @pytest.mark.parametrize("name", ["x.csv", "0.csv", "%00.csv", "A" * 32 + ".csv", "a" * 32])
    def test_an_odd_file_name_is_not_found(self, api, name):
        assert api.http.get(f"/reports/{name}").status_code == 404


def test_the_link_of_an_inactive_account_ends_and_no_cache_keeps_a_report(api, account, ended):
    url = api.get(f"/campaigns/{ended.pk.hex}").data["report_url"]
    assert download(api, url).headers.get("Cache-Control") == "private, no-store"
    account.is_active = False
    account.save()
    assert download(api, url).status_code == 404
