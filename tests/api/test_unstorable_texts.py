"""NUL and half surrogate pairs, which PostgreSQL can't store, in every text that the OpenAPI document describes.

The table is made from the document: a new parameter, field or address is in it without a word here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from campaigns.models import Campaign
from tests.api.client import campaign, checked
from tests.api.described import document
from tests.api.test_every_address import Tenant, rows, tenant
from tests.factories import CallFactory

pytestmark = pytest.mark.django_db

DOCUMENT = document()
NUMBER = "+919810012399"

# Bodies that would change something, so that what is refused is refused for its text. A new operation needs one here.
GOOD: dict[str, Any] = {
    "create_campaigns": {"campaigns": [campaign(url=..., flow_type="greeting", read_via_text="Hello.")]},
    "change_campaign": {"campaigns": [{"status_callback": "https://client.example/told"}]},
    "rehearse_campaign": {"campaigns": [campaign(url=..., flow_type="greeting", read_via_text="Hello.")]},
    "cancel_calls": {"calls": [{"number": "called"}]},
    "call_again": {"who": ["no-answer"]},
    "add_do_not_call": {"do_not_call": [{"number": NUMBER}]},
    "create_contacts": {"contacts": [{"number": NUMBER}]},
    "change_contacts": {"contacts": [{"sid": "contact_sid", "first_name": "Mina"}]},
    "change_contact": {"contacts": [{"first_name": "Mina"}]},
    "create_lists": {"lists": [{"name": "new"}]},
    "change_lists": {"lists": [{"sid": "list_sid", "name": "renamed"}]},
    "change_list": {"lists": [{"name": "renamed again"}]},
    "add_contacts_to_a_list": {"contact_references": [{"contact_sid": "contact_sid"}]},
    "upload_do_not_call": {"columns": '{"number": "a"}', "note": "by mail"},
    "upload_csv": {"list_name": "uploaded", "type": "dynamic", "columns": '{"number": "a"}', "ignore_columns": "true"},
}

# As they are in JSON, in an address, and in a form.
BAD = {
    "NUL": ("a\\u0000b", "a%00b", b"a\0b"),
    "half a pair": ("a\\ud800b", "a%ed%a0%80b", b"a\xed\xa0\x80b"),
    "the other half": ("a\\udc00\\ud800b", "a%ed%b0%80b", b"a\xed\xb0\x80b"),
}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    described: dict[str, Any]

    def __str__(self) -> str:
        return str(self.described["operationId"])

    def parameters(self, place: str) -> list[str]:
        return [one["name"] for one in self.described.get("parameters", []) if one["in"] == place]

    def bodies(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind, content in self.described.get("requestBody", {}).get("content", {}).items():
            yield kind, content["schema"]


OPERATIONS = [
    Operation(method.upper(), path, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]


def text_places(schema: dict[str, Any]) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every text in a schema; 0 stands for any place in an array, and "key" for a free key."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for either in (*schema.get("oneOf", []), *schema.get("allOf", []), *schema.get("anyOf", [])):
        yield from text_places(either)
    match schema.get("type"):
        case "string":
            yield ()
        case "array":
            yield from ((0, *inner) for inner in text_places(schema["items"]))
        case "object":
            for name, inner in schema.get("properties", {}).items():
                yield from ((name, *below) for below in text_places(inner))
            if schema.get("additionalProperties") == {}:
                yield ("key",)


def with_text(body: Any, place: tuple[str | int, ...], text: str) -> Any:
    """Return the body with a text at a place, which is made where it is not there."""
    if not place:
        return text
    first, *rest = place
    if first == 0:
        items = body if isinstance(body, list) and body else [None]
        return [with_text(items[0], tuple(rest), text), *items[1:]]
    fields = body if isinstance(body, dict) else {}
    return fields | {first: with_text(fields.get(first), tuple(rest), text)}


@pytest.fixture(scope="module")
def shared(shared_rows: None) -> Tenant:
    return tenant("acme", 1)


@pytest.fixture
def acme(shared: Tenant, redis: Any) -> Tenant:
    return shared.again()


def send(acme: Tenant, operation: Operation, *, path: str, body: bytes = b"", kind: str = "", **headers: str) -> Any:
    return acme.api.http.generic(
        operation.method, path, body, kind or "application/json", headers=acme.api.headers | headers
    )


def filled(operation: Operation, values: dict[str, str]) -> str:
    return operation.path.format(**values)


def refused(operation: Operation, response: Any, name: str, what: str) -> None:
    """Check that a response is a 4xx that says where the text was."""
    place = (str(operation), name, what)
    assert 400 <= response.status_code < 500, (place, response.content)
    assert response.status_code not in {401, 405, 409, 413, 422, 429}, (place, response.content)
    if "RestException" not in json.loads(response.content):
        checked(operation.method, response)
    envelope = json.loads(response.content)["response"]
    (item,) = envelope if isinstance(envelope, list) else [envelope]
    description = item["error_data"]["description"]
    subject = name.removesuffix("_id").removesuffix("_sid").rpartition("_")[2]
    assert name in description or (response.status_code == 404 and subject in description.lower()), (place, description)


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_it_is_refused_in_every_part_of_an_address(acme, operation, what):
    before = rows()
    _, bad, _ = BAD[what]
    for name in operation.parameters("path"):
        response = send(acme, operation, path=filled(operation, acme.values | {name: bad}))
        refused(operation, response, name, what)
    for name in operation.parameters("query"):
        response = send(acme, operation, path=f"{filled(operation, acme.values)}?{name}={bad}")
        refused(operation, response, name, what)
    assert rows() == before


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.parameters("header")], ids=str)
def test_it_is_refused_in_every_header(acme, operation):
    before = rows()
    for name in operation.parameters("header"):
        body = json.dumps(with_values(GOOD[str(operation)], acme)).encode()
        headers = {name.lower(): "a\0b"}
        response = send(acme, operation, path=filled(operation, acme.values), body=body, **headers)
        refused(operation, response, name, "NUL")
    assert rows() == before


def with_values(body: Any, acme: Tenant) -> Any:
    """Put the ids of the tenant's objects in the place of their names."""
    if isinstance(body, dict):
        return {name: with_values(value, acme) for name, value in body.items()}
    if isinstance(body, list):
        return [with_values(value, acme) for value in body]
    return acme.values.get(body, body) if isinstance(body, str) else body


JSON_BODIES = [
    (operation, schema) for operation in OPERATIONS for kind, schema in operation.bodies() if kind == "application/json"
]


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize(("operation", "schema"), JSON_BODIES, ids=[str(operation) for operation, _ in JSON_BODIES])
def test_it_is_refused_in_every_text_of_a_body(acme, operation, schema, what):
    before = rows()
    escape, _, _ = BAD[what]
    good = with_values(GOOD[str(operation)], acme)
    places = set(text_places(schema))
    assert places
    for place in places:
        # A schema describes the bare object as well, beside the array of objects.
        is_bare = len(good) == 1 and place[0] not in good
        ((_, (first, *_)),) = good.items() if is_bare else ((None, (good,)),)
        body = json.dumps(with_text(first, place, "@bad@")).replace("@bad@", escape).encode()
        response = send(acme, operation, path=filled(operation, acme.values), body=body)
        name = next(str(part) for part in reversed(place) if part != 0)
        refused(operation, response, name, what)
    assert rows() == before


FORMS = [
    (operation, schema)
    for operation in OPERATIONS
    for kind, schema in operation.bodies()
    if kind == "multipart/form-data"
]


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize(("operation", "schema"), FORMS, ids=[str(operation) for operation, _ in FORMS])
def test_it_is_refused_in_every_part_of_a_form(acme, operation, schema, what):
    before = rows()
    _, _, bad = BAD[what]
    for (name,) in set(text_places(schema)):
        body = form(GOOD[str(operation)], name, bad)
        response = send(
            acme, operation, path=filled(operation, acme.values), body=body, kind="multipart/form-data; boundary=x"
        )
        refused(operation, response, str(name), what)
    assert rows() == before


def form(fields: dict[str, str], bad_name: str | int, bad: bytes) -> bytes:
    """Return a form with a file, in which one part is bad; of the file, its name."""
    parts = {name: value.encode() for name, value in fields.items()} | {str(bad_name): bad}
    file_name = parts.pop("file_name", b"parents")
    sent = [f'form-data; name="{name}"\r\n\r\n'.encode() + value for name, value in parts.items()]
    sent.append(b'form-data; name="file_name"; filename="' + file_name + b'.csv"\r\n\r\na\n' + NUMBER.encode())
    return b"".join(b"--x\r\nContent-Disposition: " + part + b"\r\n" for part in sent) + b"--x--\r\n"


def test_the_good_bodies_are_good(acme):
    """This shows that the others are refused for their text."""
    CallFactory(failed=True, campaign=Campaign.objects.get(pk=acme.values["campaign_id"]))  # to be called again
    for operation in OPERATIONS:
        kinds = dict(operation.bodies())
        if not kinds:
            continue
        if "multipart/form-data" in kinds:
            body, kind = form(GOOD[str(operation)], "type", b"dynamic"), "multipart/form-data; boundary=x"
        else:
            body, kind = json.dumps(with_values(GOOD[str(operation)], acme)).encode(), ""
        response = send(acme, operation, path=filled(operation, acme.values), body=body, kind=kind)
        assert response.status_code in {200, 207}, (str(operation), response.content)
        items = json.loads(response.content)["response"]
        assert {item["code"] for item in (items if isinstance(items, list) else [items])} <= {200, 409}


def test_the_table_has_every_kind_of_text():
    paths = {(str(operation), place) for operation, schema in JSON_BODIES for place in text_places(schema)}
    assert ("create_campaigns", ("campaigns", 0, "retries", "on_status", 0)) in paths
    assert ("create_campaigns", ("campaigns", 0, "from", 0)) in paths
    assert ("create_campaigns", ("from",)) in paths
    assert ("create_contacts", ("contacts", 0, "custom_field", "key")) in paths
    assert ("change_campaign", ("campaigns", 0, "schedule", "end_at")) in paths
    assert {name for _, schema in FORMS for (name,) in text_places(schema)} == {
        "list_name", "type", "columns", "ignore_columns", "allow_blanks", "file_name"
    }  # fmt: skip
    assert len(paths) > 100
