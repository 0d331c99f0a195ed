"""Odd addresses, methods and query parameters: an envelope and a sentence, whatever is asked."""

import pytest

from tests.factories import CampaignFactory

pytestmark = pytest.mark.usefixtures("shared_account")

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/",
        "/v2/accounts",
        "/v2/accounts/acme",
        "/v2/accounts/acme/",
        "/v2/accounts/acme/campaigns/",
        "/v2/accounts/acme/campaign",
        f"/v2/accounts/acme/campaigns/{ID}/calls",
        f"/v2/accounts/acme/campaigns/{ID}/call-details/x",
        "/v2/accounts//campaigns",
        "/v2/accounts/a/b/campaigns",
        "/v2/accounts/acme/CAMPAIGNS",
        "/v2/%00",
        "/v2/%ff%fe",
        "/v2/..%2f..%2fetc%2fpasswd",
    ],
)
@pytest.mark.parametrize("signed_in", [True, False])
def test_an_address_that_does_not_exist_is_a_404(api, path, signed_in):
    api.headers = api.headers if signed_in else {}
    assert api.get(path).is_refused(404, "no such address")


@pytest.mark.parametrize(
    "campaign_id",
    [
        "1",
        "0",
        "%00",
        f"{ID}%00",
        ID,
        ID[:-1],
        ID + "0",
        f"%20{ID}",
        f"{ID}%0a",
        f"%7B{ID}%7D",
        f"urn:uuid:{ID}",
        "0x" + ID[2:],
        "0_1_2_3_4_5_6_7_8_9_a_b_c_d_e_f_",
        "%D9%A1" * 32,
        "%EF%BC%91" * 32,
        "%ff",
        "%ed%a0%80",
        "%F0%9F%93%9E",
        "..",
        "'; DROP TABLE campaigns_campaign; --",
        "a" * 5000,
        "%252e",
    ],
)
@pytest.mark.parametrize(
    ("method", "below", "body"),
    [("GET", "", b""), ("PUT", "", {"action": "pause"}), ("DELETE", "", b""), ("GET", "/call-details", b"")],
)
def test_an_odd_campaign_id_is_unknown(api, campaign_id, method, below, body):
    assert api.send(method, f"/campaigns/{campaign_id}{below}", body).is_refused(404, "there is no campaign")


@pytest.mark.parametrize("sid", ["%00", "ACME", "acme%20", "%ff", "..", "a" * 5000, "%F0%9F%93%9E"])
def test_an_odd_account_sid_is_unknown(api, sid):
    assert api.get(f"/v2/accounts/{sid}/campaigns").is_refused(404, "there is no account")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/campaigns", {"GET", "POST"}),
        (f"/campaigns/{ID}", {"GET", "PUT", "DELETE"}),
        (f"/campaigns/{ID}/call-details", {"GET"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_an_address_has_not_is_a_405_that_names_those_it_has(api, path, allowed, method):
    response = api.send(method, path)
    if method in allowed:
        assert response.status in {200, 400, 404}
        return
    assert response.is_refused(405, "no such method", "Allow")
    assert allowed <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("offset=-1", "'offset'"),
        ("offset=abc", "'offset'"),
        ("offset=1.5", "'offset'"),
        ("offset=9223372036854775808", "'offset'"),
        ("offset=%00", "'offset'"),
        ("offset=", "'offset'"),
        ("limit=abc", "'limit'"),
        ("limit=0", "'limit'"),
        ("limit=-5", "'limit'"),
        ("limit=" + "9" * 2000, "'limit'"),
        ("limit=NaN", "'limit'"),
        ("limit=1e400", "'limit'"),
        ("limit=%D9%A1%00", "'limit'"),
        ("status=%00", "'status'"),
        ("status=sleeping", "'status': sleeping is none of"),
        ("status=completed,%2C,nonsense", "'status': nonsense is none of"),
        ("status=---", "'status'"),
        ("status=%ed%a0%80", "'status'"),
        ("sort_by=;drop", "'sort_by': sort by date_created:asc"),
        ("sort_by=", "'sort_by'"),
        ("sort_by=id", "'sort_by'"),
        ("sort_by=account__sid", "'sort_by'"),
        ("sort_by=-created_at", "'sort_by'"),
        ("sort_by=date_created:sideways", "'sort_by'"),
        ("sort_by=date_created:asc:desc", "'sort_by'"),
        ("sort_by=%00", "'sort_by'"),
    ],
)
@pytest.mark.parametrize("below", ["", "call-details"])
def test_an_odd_query_parameter_is_refused_by_name(api, account, query, says, below):
    path = f"/campaigns/{CampaignFactory(account=account).pk.hex}/call-details" if below else "/campaigns"
    assert api.get(f"{path}?{query}").is_refused(400, says)


@pytest.mark.parametrize("query", ["name=%00", "type=%00", "name=%ff", "name=%ed%a0%80", "type=a%e0%a4"])
def test_what_is_no_text_is_refused_in_every_filter(api, query):
    assert api.get(f"/campaigns?{query}").is_refused(400, query.partition("=")[0])


@pytest.mark.parametrize(
    "query",
    [
        "unknown=1",
        "limit=5&limit=7",
        "%00=1",
        "=",
        "&&&",
        "%",
        "name=%",
        "%ff=1",
        "unknown=%ff",
        "name=" + "a" * 5000,
        "name=';--",
    ],
)
def test_what_is_not_a_known_parameter_is_ignored(api, query):
    assert api.get(f"/campaigns?{query}").status == 200


def test_too_many_parameters_are_refused(api):
    assert api.get("/campaigns?" + "a=1&" * 2000).is_refused(400, "can't be read")


def test_a_host_name_that_is_not_ours_is_told_how_to_become_one(api):
    assert api.get("/campaigns", headers={"host": "example.org"}).is_refused(400, "ALLOWED_HOSTS")
