"""Flow documents are validated by the published schema, and found by the address that a campaign names."""

import json

import jsonschema
import pytest
from django.core.exceptions import ValidationError

from campaigns.flow_schema import SCHEMA_FILE, validate_flow
from campaigns.flows import flow_id_of


def test_the_published_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


def test_a_flow_with_every_kind_of_step():
    again = {"gather": {"branches": {"#": [{"hangup": True}]}, "digits": 4, "timeout": 2.5}}
    branches = {"1": [{"connect": "+919810012345"}], "2": [again]}
    prompt = [{"say": "Press 1 or 2"}, {"play": "https://example.org/beep.wav"}]
    gather = {"prompt": prompt, "attempts": 3, "branches": branches, "otherwise": [{"say": "Goodbye"}]}
    validate_flow({"steps": [{"say": "Hello"}, {"play": "https://example.org/a.mp3"}, {"gather": gather}]})


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
        ({"steps": [{"play": "file:///etc/passwd"}]}, "flow.steps[0].play"),
    ],
)
def test_a_flow_that_makes_no_sense_is_refused_at_its_place(flow, place):
    with pytest.raises(ValidationError) as refusal:
        validate_flow(flow)
    assert refusal.value.message.startswith(f"{place}: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://my.exotel.com/acme/exoml/start_voice/29281",
        "https://my.exotel.com/acme/exoml/start_voice/29281",
        "http://my.exotel.com/exoml/start_voice/29281",
        "http://my.exotel.in/exoml/start/29281",
        "http://my.exotel.in/start/29281/",
        "http://my.in.exotel.com/acme/exoml/start_voice/29281?a=b",
    ],
)
def test_the_last_segment_of_the_address_is_the_flows_id(url):
    assert flow_id_of(url) == "29281"
