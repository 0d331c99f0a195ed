"""Twilio's own OpenAPI document as a judge: of what the driver asks, and of what the sandbox and the stand-in reply."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest

from dialer.carriers.base import Detection
from dialer.carriers.twiml import TwilioCarrier
from sandbox.calls import Call, CallRequest, TwilioOptions, new_call_sid
from sandbox.ring_log import Ring
from sandbox.script import CallPlan
from sandbox.twilio_api import as_json
from tests.dialer import twilio
from tests.dialer.stand_in import served
from tests.dialer.test_twiml_carrier import access, look_up, place, request

DOCUMENT = json.loads(Path(__file__).with_name("twilio_openapi.json").read_text())
CALLS, CALL = DOCUMENT["paths"]
FORM = "application/x-www-form-urlencoded"


class Recorder(twilio.Twilio):
    """Keeps what it was asked: method, path, fields of the query or the form."""

    def __init__(self, url):
        super().__init__(url)
        self.asked = []

    def respond(self, method, path, form):
        fields = form if method == "POST" else parse_qs(urlsplit(path).query)
        self.asked.append((method.lower(), urlsplit(path).path, fields))
        return super().respond(method, path, form)


@pytest.fixture
def api():
    with served(Recorder) as recorder:
        yield recorder


def check(schema, value):
    """Raise ValidationError for what the schema refuses, or does not name."""
    closed = {**schema, "additionalProperties": False, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(closed, format_checker=jsonschema.FormatChecker()).validate(value)


def as_json_schema(schema):
    """Return a schema of OpenAPI 3.0 as one of JSON Schema, which has no `nullable`."""
    properties = {}
    for name, field in schema["properties"].items():
        nullable = field.get("nullable") and "type" in field
        properties[name] = {**field, "type": [field["type"], "null"]} if nullable else field
    return {**schema, "properties": properties}


def read(schema, values):
    """Read a form's field as its schema types it."""
    match schema.get("type"):
        case "array":
            return values
        case "integer":
            return int(values[0])
    return values[0]


def judge(method, path, fields):
    """Raise for a request that the document does not describe."""
    template = CALLS if path.endswith("/Calls.json") else CALL
    assert path.startswith(template.partition("{")[0])
    operation = DOCUMENT["paths"][template][method]
    if method == "post":
        schema = operation["requestBody"]["content"][FORM]["schema"]
    else:
        named = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
        schema = {"type": "object", "properties": named}
    properties = schema["properties"]
    unknown = fields.keys() - properties.keys()
    assert not unknown, f"{unknown} are no fields of {method} {template}"
    check(schema, {name: read(properties[name], values) for name, values in fields.items()})


@pytest.mark.parametrize("detection", list(Detection))
def test_every_request_of_the_driver_is_one_that_twilio_describes(api, detection):
    carrier = TwilioCarrier.connect(access(api.url))
    asked = request(detection=detection)
    ref = place(carrier, asked).carrier_ref
    look_up(carrier, ref)
    look_up(carrier)
    carrier.withdraw({asked.attempt_id: ref})
    carrier.hang_up([ref])
    assert [(method, path.rpartition("/")[2].replace(ref, "SID")) for method, path, _ in api.asked] == [
        ("post", "Calls.json"),
        ("get", "SID.json"),
        ("get", "Calls.json"),
        ("get", "SID.json"),
        ("post", "SID.json"),
        ("post", "SID.json"),
    ]
    for each in api.asked:
        judge(*each)


@pytest.mark.parametrize(
    "change", [{"to": ["+1"]}, {"Timeout": ["soon"]}, {"StatusCallbackMethod": ["PUT"]}, {"To": []}]
)
def test_the_judge_refuses_what_twilio_does_not_describe(change):
    right = {"To": ["+919810000001"], "From": ["+14155550100"], "Timeout": ["30"]}
    judge("post", "/2010-04-01/Accounts/AC1/Calls.json", right)
    wrong = {name: values for name, values in (right | change).items() if values}
    with pytest.raises((AssertionError, ValueError, jsonschema.ValidationError)):
        judge("post", "/2010-04-01/Accounts/AC1/Calls.json", wrong)


def test_the_status_of_a_change_is_one_of_twilios():
    with pytest.raises(jsonschema.ValidationError):
        judge("post", "/2010-04-01/Accounts/AC1/Calls/CA1.json", {"Status": ["hung-up"]})


@pytest.mark.parametrize("ended", [None, 8.0])
def test_what_the_sandbox_shows_of_a_call_is_what_twilio_describes(ended):
    asked = CallRequest(
        twilio.ACCOUNT_SID,
        "+919810000001",
        "+14155550100",
        "http://127.0.0.1/",
        twilio=TwilioOptions("token", frozenset({"completed"})),
    )
    ring = Ring("+919810000001", "+14155550100", None, new_call_sid(asked), 0.0, 1, answer=ended and 1.0, end=ended)
    call = Call(asked, ring, CallPlan("completed", 1.0, None, None, "seed"), 1.0, updated=0.0, created=0.0)
    check(as_json_schema(DOCUMENT["components"]["schemas"]["api.v2010.account.call"]), as_json(call))
