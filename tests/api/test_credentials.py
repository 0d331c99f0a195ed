"""HTTP Basic, and the bounds of an account: it never sees what is another's."""

import base64

import pytest
from django.utils import timezone

from accounts.credentials import create_key
from accounts.models import ApiKey
from campaigns.models import Campaign
from tests.api.client import Api, basic, campaign
from tests.factories import ACTOR, CallAttemptFactory, CallFactory, CampaignFactory

pytestmark = pytest.mark.usefixtures("shared_account")

WHAT_TO_DO = "HTTP Basic"


def test_key_and_token_let_in(api):
    assert api.get("/campaigns").status == 200


def test_sid_and_token_let_in_as_old_clients_send_them(account):
    made = create_key(account, actor=ACTOR)
    assert Api(account, account.sid, made.token).get("/campaigns").status == 200


def test_any_token_of_the_account_goes_with_its_sid(account):
    tokens = [create_key(account, actor=ACTOR).token for _ in range(2)]
    assert [Api(account, account.sid, token).get("/campaigns").status for token in tokens] == [200, 200]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Bearer abc",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"a\0b:token").decode(),
        "Basic YTpi YTpi",
        "Basic " + "QUFB" * 20_000,
        "Digest username=key",
        basic("nobody", "nothing"),
        basic("", ""),
        basic("acme", ""),
        basic("acme", "wrong"),
        basic("acme", "\0"),
        basic("ключ", "токен"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_or_wrong_credentials_are_told_how_to_sign_in(api, method, header):
    api.headers = {} if header is None else {"authorization": header}
    response = api.send(method, "/campaigns", campaign() if method == "POST" else b"")
    assert response.is_refused(401, WHAT_TO_DO)
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert Campaign.objects.count() == 0


def test_a_revoked_key_and_an_inactive_account_are_not_let_in(api, account):
    account.is_active = False
    account.save()
    assert api.get("/campaigns").is_refused(401, WHAT_TO_DO)
    account.is_active = True
    account.save()
    assert api.get("/campaigns").status == 200
    ApiKey.objects.update(revoked_at=timezone.now())
    assert api.get("/campaigns").is_refused(401, WHAT_TO_DO)


def test_bad_credentials_are_refused_before_the_body_is_read(api):
    api.headers = {}
    assert api.post("/campaigns", b"{not json").status == 401


class TestAnotherAccounts:
    def test_sid_in_the_path_is_unknown(self, api, other):
        response = api.get("/v2/accounts/umbrella/campaigns")
        assert response.is_refused(404, "umbrella")
        assert response.envelope["response"] != other.get("/campaigns").envelope["response"]

    def test_and_so_is_one_that_does_not_exist_in_the_same_words(self, api, other):
        theirs = api.get("/v2/accounts/umbrella/campaigns").description
        nobodys = api.get("/v2/accounts/nobodysx/campaigns").description
        assert theirs.replace("umbrella", "X") == nobodys.replace("nobodysx", "X")

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", b""),
            ("PUT", "", {"action": "pause"}),
            ("DELETE", "", b""),
            ("GET", "/call-details", b""),
        ],
    )
    def test_campaign_is_a_404_and_untouched(self, api, other, method, path, body):
        theirs = CampaignFactory(account=other.account)
        response = api.send(method, f"/campaigns/{theirs.pk.hex}{path}", body)
        assert response.is_refused(404, theirs.pk.hex)
        theirs.refresh_from_db()
        assert theirs.status == "created"

    def test_campaigns_calls_and_attempts_are_in_no_list(self, api, other, account):
        CallAttemptFactory(call=CallFactory(campaign__account=other.account, completed=True), completed=True)
        ours = CampaignFactory(account=account, completed=True)
        assert [data["id"] for data in api.get("/campaigns").records] == [ours.pk.hex]
        assert api.get(f"/campaigns/{ours.pk.hex}/call-details").records == []

    def test_caller_id_and_flow_can_not_be_used(self, api, other):
        assert api.create(caller_id="+918047110000").is_refused(400, "'caller_id'", "+918047110000", "not a caller ID")
        url = "http://my.exotel.com/acme/exoml/start_voice/666"
        assert api.create(url=url).is_refused(400, "'url'", url, "no flow of this account")

    def test_campaign_can_not_be_changed_to_use_them(self, api, other, account):
        row = CampaignFactory(account=account)
        assert api.change(row, caller_id="+918047110000").status == 400
        assert api.change(row, url="http://x.example/666").status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://testserver"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({}, 200),
    ],
)
def test_a_page_of_another_site_changes_nothing(api, headers, status):
    api.headers = api.headers | headers
    assert api.create().status == status
    assert api.get("/campaigns").status == 200
