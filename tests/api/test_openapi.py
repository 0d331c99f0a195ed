"""The OpenAPI document is valid and has every address; its pages load nothing from other hosts."""

import json
import re

import jsonschema
import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from api import openapi_page
from api.http import openapi
from tests.api.addresses import addresses


@pytest.fixture(scope="module")
def document():
    GENERATOR_STATS.reset()
    return openapi.document()


def test_the_document_is_valid_and_made_without_a_warning(document):
    validate_schema(document)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache


def test_every_address_below_v2_is_described(document):
    served = {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", address) for address in addresses() if address.startswith("v2")}
    aliases = {path for path in served if "/campaign/" in path}
    assert aliases
    assert set(document["paths"]) == served - aliases


def test_every_operation_names_its_errors_and_its_credentials(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert {"400", "401", "404", "429"} <= set(operation["responses"]), (path, method)
            assert operation["security"] == [{"apiKey": []}], (path, method)
            assert operation["operationId"]


CONTACT = {"number": "+919810012345", "first_name": "Asha"}
CAMPAIGN = {"name": "No class", "caller_id": "08012345678", "from": ["+919810012345"]}
CAMPAIGNS, CONTACTS, LISTS = (f"/v2/accounts/{{account_sid}}/{name}" for name in ("campaigns", "contacts", "lists"))
DO_NOT_CALL = "/v2/accounts/{account_sid}/do-not-call"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", CAMPAIGNS, {"campaigns": [CAMPAIGN]}),
        ("post", CAMPAIGNS, CAMPAIGN),
        ("put", f"{CAMPAIGNS}/{{campaign_id}}", {"campaigns": [{"action": "pause"}]}),
        ("put", f"{CAMPAIGNS}/{{campaign_id}}", {"action": "pause"}),
        ("put", f"{CAMPAIGNS}/{{campaign_id}}", {"campaigns": [{"name": "another"}]}),
        ("put", f"{CAMPAIGNS}/{{campaign_id}}", {"name": "another"}),
        ("post", CONTACTS, {"contacts": [CONTACT]}),
        ("post", CONTACTS, CONTACT),
        ("put", f"{CONTACTS}/{{contact_sid}}", {"contacts": [CONTACT]}),
        ("put", f"{CONTACTS}/{{contact_sid}}", CONTACT),
        ("post", DO_NOT_CALL, {"do_not_call": [{"number": "+919810012345"}]}),
        ("post", DO_NOT_CALL, {"number": "+919810012345", "note": "by mail"}),
        ("post", LISTS, {"lists": [{"name": "parents"}]}),
        ("post", LISTS, {"name": "parents"}),
        ("put", f"{LISTS}/{{list_sid}}", {"lists": [{"name": "parents"}]}),
        ("put", f"{LISTS}/{{list_sid}}", {"name": "parents"}),
    ],
)
def test_a_body_is_described_in_every_form_in_which_it_is_taken(document, method, path, body):
    described = document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(body, described | {"components": document["components"]})


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


def test_null_clears_the_end_of_a_schedule_in_a_change_only(document):
    components = document["components"]["schemas"]
    changed, created = (components[name]["properties"]["schedule"] for name in ("CampaignChange", "CampaignRequest"))
    assert changed["nullable"]
    assert "nullable" not in created
    schedules = [components[ref.rpartition("/")[2]] for ref in (changed["allOf"][0]["$ref"], created["$ref"])]
    assert [schedule["properties"]["end_at"].get("nullable", False) for schedule in schedules] == [True, False]
    nullable = [name for name, field in components["CampaignChange"]["properties"].items() if field.get("nullable")]
    assert nullable == ["schedule"]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/docs/", "/redoc/"])
def test_the_pages_load_nothing_from_other_hosts(client, address):
    page = client.get(address).content.decode()
    assert "/static/drf_spectacular_sidecar/" in page
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)


@pytest.mark.django_db
def test_the_document_is_served(client, document):
    served = client.get("/openapi.json")
    assert served.status_code == 200
    assert set(served.json()["paths"]) == set(document["paths"])


def test_the_document_is_made_once_and_not_sent_again_to_a_client_that_has_it(client, monkeypatch):
    first = client.get("/openapi.json")
    assert first.status_code == 200
    assert first["Content-Type"] == "application/vnd.oai.openapi+json"
    assert json.loads(first.content)["paths"]
    monkeypatch.setattr(openapi_page, "document", None)
    again = client.get("/openapi.json", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/openapi.json", headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.content) == (200, first.content)
    for response in (first, again, other):
        assert "max-age=3600" in response["Cache-Control"]
        assert response["ETag"] == first["ETag"]
    assert client.post("/openapi.json").status_code == 405
