"""Flow documents are validated by the published schema, and found by the address that a campaign names."""

import json

import jsonschema
import pytest
from django.core.exceptions import ValidationError

from accounts.models import Account
from campaigns.flow_schema import SCHEMA_FILE, validate_flow
from campaigns.flows import connects_to_people, find_flow, read_address
from campaigns.models import Campaign
from core.errors import InvalidRequest
from tests.factories import AccountFactory, CallerIdFactory, FlowFactory, TrunkFactory


def test_the_published_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


def test_a_flow_with_every_kind_of_step():
    again = {"gather": {"branches": {"#": [{"hangup": True}]}, "digits": 4, "timeout": 2.5}}
    branches = {"1": [{"connect": "+919810012345"}], "2": [again]}
    prompt = [{"say": "Press 1 or 2"}, {"play": "https://example.org/beep.wav"}]
    say = {"say": {"text": "Namaste", "language": "hi-IN", "voice": "Polly.Aditi"}}
    connect = {"connect": {"numbers": ["+919810012345", "+919810012346"], "ring": 20, "otherwise": [say]}}
    branches |= {"3": [connect]}
    gather = {
        "prompt": prompt,
        "attempts": 3,
        "finish_key": "#",
        "branches": branches,
        "otherwise": [{"say": "Goodbye"}],
    }
    validate_flow({"steps": [{"say": "Hello"}, {"play": "https://example.org/a.mp3"}, {"gather": gather}]})


# A key that ends the input, and a branch that needs it.
KEY_OF_BRANCH = {"finish_key": "#", "branches": {"1#": [{"say": "a"}]}}


@pytest.mark.parametrize(
    ("flow", "place"),
    [
        ([], "flow"),
        ({}, "flow"),
        ({"steps": []}, "flow.steps"),
        ({"steps": [{"say": ""}]}, "flow.steps[0].say"),
        ({"steps": [{"say": "a", "play": "https://example.org/a"}]}, "flow.steps[0]"),
        ({"steps": [{"say": "a"}, {"sing": "b"}]}, "flow.steps[1]"),
        ({"steps": [{"gather": {"branches": {}}}]}, "flow.steps[0].gather.branches"),
        ({"steps": [{"gather": {"branches": {"x": [{"say": "a"}]}}}]}, "flow.steps[0].gather.branches"),
        ({"steps": [{"connect": "12345"}]}, "flow.steps[0].connect"),
        ({"steps": [{"say": {"text": ""}}]}, "flow.steps[0].say.text"),
        ({"steps": [{"say": {"text": "a", "language": "Hindi, please"}}]}, "flow.steps[0].say.language"),
        ({"steps": [{"say": {"text": "a", "voice": "<x>"}}]}, "flow.steps[0].say.voice"),
        ({"steps": [{"say": {"text": "a", "pitch": 1}}]}, "flow.steps[0].say"),
        ({"steps": [{"say": 5}]}, "flow.steps[0].say"),
        ({"steps": [{"connect": {"numbers": []}}]}, "flow.steps[0].connect.numbers"),
        ({"steps": [{"connect": {"numbers": ["+919810012345"], "ring": 3}}]}, "flow.steps[0].connect.ring"),
        ({"steps": [{"connect": {"numbers": ["5"]}}]}, "flow.steps[0].connect.numbers[0]"),
        (
            {"steps": [{"connect": {"numbers": ["+919810012345"], "otherwise": [{"gather": KEY_OF_BRANCH}]}}]},
            "flow.steps[0].connect.otherwise[0].gather",
        ),
        (
            {"steps": [{"gather": {"branches": {"1": [{"gather": KEY_OF_BRANCH}]}}}]},
            "flow.steps[0].gather.branches.1[0].gather",
        ),
        ({"steps": [{"say": "a"}], "machine": [{"gather": {}}]}, "flow.machine[0]"),
        ({"steps": [{"play": "file:///etc/passwd"}]}, "flow.steps[0].play"),
    ],
)
def test_a_flow_that_makes_no_sense_is_refused_at_its_place(flow, place):
    with pytest.raises(ValidationError) as refusal:
        validate_flow(flow)
    assert refusal.value.message.startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("url", "sid"),
    [
        ("http://my.exotel.com/acme/exoml/start_voice/29281", "acme"),
        ("https://my.exotel.com/acme/exoml/start_voice/29281", "acme"),
        ("http://my.exotel.com/exoml/start_voice/29281", ""),
        ("http://my.exotel.in/exoml/start/29281", ""),
        ("http://my.exotel.in/start/29281/", ""),
        ("http://calls.example:8000/29281", ""),
        ("http://my.in.exotel.com/acme/exoml/start_voice/29281?a=b", "acme"),
    ],
)
def test_every_form_of_the_address_names_the_flow(url, sid):
    assert read_address(url) == (sid, "29281")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("javascript:fetch(1)//start/29281", "http or https"),
        ("JaVaScRiPt://my.exotel.com/start/29281", "http or https"),
        ("data:text/html,/start/29281", "http or https"),
        ("ftp://my.exotel.com/start/29281", "http or https"),
        ("//my.exotel.com/start/29281", "http or https"),
        ("/start/29281", "http or https"),
        ("29281", "http or https"),
        ("http:///start/29281", "http or https"),
        ("http://my.exotel.com/start/29281?a=b c", "http or https"),
        ("http://my.exotel.com/start/29281?\r\nCallerId=1", "http or https"),
        ("http://my.exotel.com/start/29281?\u202e", "http or https"),
        ('http://my.exotel.com/start/29281?"><script>', "http or https"),
        ("http://my.exotel.com\\@evil.example/start/29281", "http or https"),
        ("http://key:token@my.exotel.com/start/29281", "credentials"),
        ("http://my.exotel.com:99999/start/29281", "is not an address"),
        ("http://[/start/29281", "is not an address"),
        ("http://my.exotel.com/acme/../umbrella/exoml/start_voice/29281", "names no flow"),
        ("http://my.exotel.com/acme/exoml/start_voice/2%2f1", "names no flow"),
        ("http://my.exotel.com?flow=29281", "names no flow"),
        ("http://my.exotel.com/", "names no flow"),
    ],
)
def test_what_is_no_flows_address_is_told_so(url, says):
    with pytest.raises(InvalidRequest, match=says):
        read_address(url)


CONNECTING = {
    "steps": [
        {"connect": "+912222222221"},
        {"gather": {"branches": {"1": [{"connect": {"numbers": ["+912222222222", "+912222222221"]}}]}}},
        {"connect": {"numbers": ["+912222222223"], "otherwise": [{"connect": "+912222222224"}]}},
    ]
}


@pytest.mark.parametrize(
    ("rules", "agents", "named"),
    [
        ({}, [], ""),
        ({"rules": ["us"]}, [], "+912222222221, +912222222222, +912222222223 and 1 more"),
        ({"number_gap_seconds": 5}, ["+912222222221", "+912222222224"], "+912222222222, +912222222223"),
        ({"number_caps": ["1 attempt in 1 hour"]}, [f"+91222222222{n}" for n in (1, 2, 3, 4)], ""),
    ],
)
def test_a_flow_that_rings_people_is_warned_of_where_rules_hold(rules, agents, named):
    warning = connects_to_people(Account(agent_numbers=agents, **rules), CONNECTING)
    assert warning.startswith(f"the flow connects to {named}, and rules hold" if named else "")
    assert bool(warning) is bool(named)


def test_a_flow_of_a_campaign_whose_rules_are_waived_is_warned_of_what_still_holds():
    waived = Campaign(waived_rules=["us"])
    warning = connects_to_people(Account(rules=["us"], agent_numbers=[]), CONNECTING, waived)
    assert "each of them is connected to one callee at a time" in warning
    assert "rules hold" not in warning
    assert "rules hold" in connects_to_people(Account(rules=["us", "fr"], agent_numbers=[]), CONNECTING, waived)


@pytest.mark.django_db
def test_a_flow_of_another_account_is_refused_and_that_of_the_own_trunk_taken():
    account = AccountFactory(sid="acme")
    flow = FlowFactory(account=account, flow_id="29281")
    url = "http://my.exotel.com/{}/exoml/start_voice/29281"
    assert find_flow(account, url.format("acme")) == flow
    with pytest.raises(InvalidRequest, match="is a flow of the account operator1, not of acme"):
        find_flow(account, url.format("operator1"))
    CallerIdFactory(account=account, trunk=TrunkFactory(exotel=True))
    assert find_flow(account, url.format("operator1")) == flow
    with pytest.raises(InvalidRequest, match="is a flow of the account umbrella"):
        find_flow(account, url.format("umbrella"))
