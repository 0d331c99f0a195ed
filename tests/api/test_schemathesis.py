"""The served schema against the served API: whatever is asked, no fault of the server and no answer outside the schema.

Cases are generated from the schema with a fixed seed; each operation has its share of 500 a method. 2,000
(SCHEMATHESIS_CASES) reach the same 54 pairs of an operation and a status.
"""

import os
from collections import Counter
from copy import deepcopy
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from campaigns_project.wsgi import application
from tests.api.described import document
from tests.factories import CampaignFactory, WebhookTryFactory

pytestmark = pytest.mark.django_db

CASES_PER_METHOD = int(os.environ.get("SCHEMATHESIS_CASES", "500"))

OPERATIONS = sorted((method, path) for path, methods in document()["paths"].items() for method in methods)
SHARE = {method: CASES_PER_METHOD // times for method, times in Counter(method for method, _ in OPERATIONS).items()}


@pytest.fixture(scope="module")
def schema():
    import schemathesis  # takes a second, which only those who run these tests shall wait for

    loaded = schemathesis.openapi.from_dict(deepcopy(document()))
    loaded.app = application
    return loaded


@pytest.fixture(scope="module")
def checks():
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    conformances = (checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)
    return [not_a_server_error, *conformances]


@pytest.fixture(autouse=True)
def one_connection():
    """The application closes its connection after a request; here the test's own transaction is in it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_answer_is_a_fault_or_outside_the_schema(schema, checks, method, path, api, account):
    Account.objects.update(requests_per_minute=1_000_000)
    campaign = CampaignFactory(account=account)
    own = {
        "account_sid": account.sid,
        "campaign_id": campaign.pk.hex,
        "webhook_id": WebhookTryFactory(delivery__campaign=campaign).delivery.webhook_id.hex,
    }

    @settings(max_examples=SHARE[method], derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(), is_known=st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        case.path_parameters["account_sid"] = account.sid
        if is_known:
            case.path_parameters |= {name: own[name] for name in case.path_parameters if name in own}
        case.call_and_validate(checks=checks, headers=api.headers)

    ask()
