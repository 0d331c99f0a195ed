from pathlib import Path

import pytest
from django.conf import settings

from accounts.credentials import create_key
from api.http.rate_limits import meter
from tests.api.client import Api
from tests.factories import ACTOR, AccountFactory, CallerIdFactory, FlowFactory


@pytest.fixture(scope="session", autouse=True)
def static_files():
    """Create the folder of `collectstatic`: without it every first request of a client warns."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def windows():
    """Empty the windows of the limits: all tests send their requests from one address."""
    meter().reset()


@pytest.fixture
def account(db):
    """An account with a caller ID and a flow, and a limit of requests that tests do not reach."""
    account = AccountFactory(sid="acme", requests_per_minute=1_000_000)
    CallerIdFactory(account=account, number="+918047113311")
    FlowFactory(account=account, flow_id="29281")
    return account


@pytest.fixture
def api(account):
    made = create_key(account, actor=ACTOR)
    return Api(account, made.key, made.token)


@pytest.fixture
def other(db):
    """Another tenant."""
    account = AccountFactory(sid="umbrella", requests_per_minute=1_000_000)
    CallerIdFactory(account=account, number="+918047110000")
    FlowFactory(account=account, flow_id="666")
    made = create_key(account, actor=ACTOR)
    return Api(account, made.key, made.token)
