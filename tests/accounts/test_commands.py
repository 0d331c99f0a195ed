"""create_account, create_trunk and create_flow: the operator's first commands."""

import base64
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Account, ApiKey, CallerId, Trunk
from campaigns.models import Flow
from tests.accounts.sign_ins import account_of
from tests.factories import CampaignFactory

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> dict:
    out = io.StringIO()
    call_command("create_account", *arguments, "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


def test_an_account_comes_with_credentials_that_are_shown_once_and_stored_hashed():
    made = create("acme", "--caller-id", "08012345678")
    assert made["account_sid"] == "acme"
    assert made["caller_ids"] == ["+918012345678"]
    stored = ApiKey.objects.get(key=made["api_key"])
    assert made["api_token"] not in stored.token_digest
    assert account_of(made["api_key"], made["api_token"]) == Account.objects.get(sid="acme")


def test_an_account_comes_with_a_webhook_secret_of_its_own_that_is_stored_encrypted():
    made, other = create("acme"), create("umbrella")
    assert len(base64.b64decode(made["webhook_secret"].removeprefix("whsec_"))) == 32
    assert made["webhook_secret"] != other["webhook_secret"]
    assert Account.objects.get(sid="acme").webhook_secret.reveal() == made["webhook_secret"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT webhook_secret FROM accounts_account WHERE sid = 'acme'")
        assert made["webhook_secret"] not in cursor.fetchone()[0]


def test_old_clients_sign_in_with_the_sid():
    made = create("acme")
    assert account_of("acme", made["api_token"]) == Account.objects.get(sid="acme")


def test_wrong_revoked_and_inactive_credentials_are_nobodys():
    made = create("acme", "--api-key", "k", "--api-token", "t")
    assert (made["api_key"], made["api_token"]) == ("k", "t")
    assert account_of("k", "wrong") is None
    assert account_of("nobody", "t") is None
    Account.objects.update(is_active=False)
    assert account_of("k", "t") is None
    Account.objects.update(is_active=True)
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert account_of("k", "t") is None


def test_caller_ids_may_have_several_trunks_in_an_order():
    for name in ("main", "backup"):
        call_command("create_trunk", name, "--carrier", "sandbox", stdout=io.StringIO())
    create("acme", "--caller-id", "08012345678", "--trunk", "main", "--further-trunks", "backup")
    caller_id = CallerId.objects.get()
    assert (caller_id.trunk.name, [str(route) for route in caller_id.routes.all()]) == (
        "main",
        ["1. main", "2. backup"],
    )
    create("umbrella", "--caller-id", "08012345679", "--trunk", "main")
    assert not CallerId.objects.get(number="+918012345679").routes.exists()


def test_every_limit_can_be_chosen():
    create(
        "acme",
        *("--time-zone", "Europe/London", "--region", "gb", "--calling-hours", "00:00-24:00"),
        *("--channels", "5", "--starts-per-minute", "10", "--requests-per-minute", "20"),
        *("--caller-id", "020 7946 0958", "1408888"),
    )
    account = Account.objects.get()
    assert str(account.calling_hours) == "00:00-24:00 Europe/London"
    assert (account.channels, account.starts_per_minute, account.requests_per_minute) == (5, 10, 20)
    assert [caller_id.number for caller_id in account.caller_ids.order_by("id")] == ["+442079460958", "1408888"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--time-zone", "Asia/Kolkatta"], "is not a time zone"),
        (["--region", "UK"], "is not a country"),
        (["--calling-hours", "Mon 10:30"], "calling hours look like"),
        (["--rules", "usa"], "there is no rule set usa"),
        (["--calling-hours", "10:30-10:30"], "must not close when they open"),
        (["--channels", "0"], "greater than or equal to 1"),
        (["--trunk", "nowhere"], "there is no trunk nowhere"),
        (["--caller-id", "abc"], "abc is not a number"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        create("acme", *arguments)
    assert not Account.objects.exists()


def test_a_sid_and_a_key_are_used_once():
    create("acme", "--api-key", "k")
    with pytest.raises(CommandError, match="already exists"):
        create("acme")
    with pytest.raises(CommandError, match="the API key k is taken"):
        create("other", "--api-key", "k")
    assert Account.objects.count() == 1


def test_a_trunks_token_is_read_from_standard_input_and_stored_encrypted(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("secret token\n"))
    call_command(
        *("create_trunk", "main", "--base-url", "https://carrier.example/", "--account-sid", "a", "--api-key", "k"),
        stdout=io.StringIO(),
    )
    trunk = Trunk.objects.get(name="main")
    assert (trunk.api_token.reveal(), trunk.base_url) == ("secret token", "https://carrier.example")
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_token FROM accounts_trunk")
        [[stored]] = cursor.fetchall()
    assert stored
    assert "secret" not in stored


def test_a_trunk_without_an_address_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("t\n"))
    with pytest.raises(CommandError, match="base_url"):
        call_command("create_trunk", "main", "--api-key", "k", "--account-sid", "a")


def test_a_flow_is_added_and_replaced_under_its_id(tmp_path):
    create("acme")
    file = tmp_path / "flow.json"
    for text in ("Hello", "Good morning"):
        file.write_text(json.dumps({"steps": [{"say": text}]}))
        call_command("create_flow", "acme", "7", "--file", str(file), stdout=io.StringIO())
    assert Flow.objects.get().document == {"steps": [{"say": "Good morning"}]}


def test_a_flow_that_rings_people_is_stored_with_a_warning_where_rules_hold(tmp_path):
    create("acme", "--rules", "us", "--agent-numbers", "022 2222 2222", "+911800112233")
    assert Account.objects.get().agent_numbers == ["+912222222222", "+911800112233"]
    file, err = tmp_path / "flow.json", io.StringIO()
    file.write_text(json.dumps({"steps": [{"connect": {"numbers": ["+912222222222", "+912222222223"]}}]}))
    call_command("create_flow", "acme", "7", "--file", str(file), stdout=io.StringIO(), stderr=err)
    assert err.getvalue().startswith("warning: the flow connects to +912222222223, and rules hold")


def test_a_flow_of_an_open_campaign_is_not_replaced_by_one_that_its_carrier_can_t_run(tmp_path):
    campaign = CampaignFactory(running=True, caller_id__trunk__carrier="sandbox")
    file = tmp_path / "flow.json"
    file.write_text(json.dumps({"steps": [{"record": {}}]}))
    options = [campaign.account.sid, campaign.flow.flow_id, "--file", str(file)]
    with pytest.raises(CommandError, match=r"the flow has the step record, .* can't do: store it under another ID"):
        call_command("create_flow", *options)
    assert Flow.objects.get().document == campaign.flow.document


def test_a_number_of_an_agent_that_is_none_is_refused():
    with pytest.raises(CommandError, match="12 is not a number with its country code"):
        create("acme", "--agent-numbers", "12")


@pytest.mark.parametrize(
    ("sid", "text", "sentence"),
    [
        ("nobody", "{}", "there is no account nobody"),
        ("acme", "{", "is not JSON"),
        ("acme", '{"steps": [{"sing": "a"}]}', r"flow\.steps\[0\]"),
        ("acme", None, "can't read"),
    ],
)
def test_a_flow_that_can_not_be_is_refused(tmp_path, sid, text, sentence):
    create("acme")
    file = tmp_path / "flow.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CommandError, match=sentence):
        call_command("create_flow", sid, "7", "--file", str(file))
    assert not Flow.objects.exists()


def test_hours_by_weekday_and_rules():
    create = ("create_account", "acme", "--calling-hours", "Mon-Fri 18:30-03:30", "--rules", "us", "us-states")
    call_command(*create, stdout=io.StringIO())
    account = Account.objects.get(sid="acme")
    assert (str(account.calling_hours), account.rules) == ("Mon-Fri 18:30-03:30 Asia/Kolkata", ["us", "us-states"])
