from pathlib import Path

import pytest
from django.conf import settings

from accounts.credentials import create_key
from api.http.rate_limits import meter
from tests.api.client import Api
from tests.factories import AccountFactory, CallerIdFactory, FlowFactory


@pytest.fixture(scope="session", autouse=True)
def static_files():
    """The folder that `collectstatic` makes: without it every first request of a client warns."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def windows():
    """Nobody has asked anything yet: neither these accounts nor the one address that all tests come from."""
    meter().forget()


@pytest.fixture
def account(db):
    """An account that can make campaigns: a caller ID and a flow are its own. Some tests ask hundreds of times."""
    account = AccountFactory(sid="acme", requests_per_minute=1_000_000)
    CallerIdFactory(account=account, number="+918047113311")
    FlowFactory(account=account, flow_id="29281")
    return account


@pytest.fixture
def api(account):
    made = create_key(account)
    return Api(account, made.key, made.token)


@pytest.fixture
def other(db):
    """Another tenant."""
    account = AccountFactory(sid="umbrella", requests_per_minute=1_000_000)
    CallerIdFactory(account=account, number="+918047110000")
    FlowFactory(account=account, flow_id="666")
    made = create_key(account)
    return Api(account, made.key, made.token)
