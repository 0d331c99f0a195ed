from pathlib import Path

import pytest
from django.conf import settings

from accounts.credentials import create_key
from tests.api.client import Api
from tests.factories import AccountFactory, CallerIdFactory, FlowFactory


@pytest.fixture(scope="session", autouse=True)
def static_files():
    """The folder that `collectstatic` makes: without it every first request of a client warns."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def account(db):
    """An account that can make campaigns: a caller ID and a flow are its own."""
    account = AccountFactory(sid="acme")
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
    account = AccountFactory(sid="umbrella")
    CallerIdFactory(account=account, number="+918047110000")
    FlowFactory(account=account, flow_id="666")
    made = create_key(account)
    return Api(account, made.key, made.token)
