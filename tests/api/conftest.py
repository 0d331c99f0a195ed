from copy import copy
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings

from accounts.credentials import Credentials, create_key
from accounts.models import Account
from api.http.rate_limits import meter
from tests.api.client import Api
from tests.factories import ACTOR, AccountFactory, CallerIdFactory, FlowFactory


class Signed(NamedTuple):
    """An account with a caller ID and a flow, and a key of it where one was made."""

    account: Account
    credentials: Credentials | None = None


@pytest.fixture(scope="session", autouse=True)
def static_files():
    """Create the folder of `collectstatic`: without it every first request of a client warns."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def windows():
    """Empty the windows of the limits: all tests send their requests from one address."""
    meter().reset()


def make_account() -> Account:
    account = AccountFactory(sid="acme", requests_per_minute=1_000_000)
    CallerIdFactory(account=account, number="+918047113311")
    FlowFactory(account=account, flow_id="29281")
    return account


@pytest.fixture(scope="module")
def shared_account(shared_rows):
    """The account and a key of it, made once for a module that names this fixture in its mark `usefixtures`."""
    account = make_account()
    return Signed(account, create_key(account, actor=ACTOR))


@pytest.fixture
def signed(request, db):
    if "shared_account" not in request.fixturenames:
        return Signed(make_account())
    shared = request.getfixturevalue("shared_account")
    return Signed(copy(shared.account), shared.credentials)


@pytest.fixture
def account(signed):
    """An account with a caller ID and a flow, and a limit of requests that tests do not reach."""
    return signed.account


@pytest.fixture
def api(signed):
    made = signed.credentials or create_key(signed.account, actor=ACTOR)
    return Api(signed.account, made.key, made.token)


@pytest.fixture
def other(db):
    """Another tenant."""
    account = AccountFactory(sid="umbrella", requests_per_minute=1_000_000)
    CallerIdFactory(account=account, number="+918047110000")
    FlowFactory(account=account, flow_id="666")
    made = create_key(account, actor=ACTOR)
    return Api(account, made.key, made.token)
