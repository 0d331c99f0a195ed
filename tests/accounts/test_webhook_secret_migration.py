"""Accounts from before there were webhooks get a secret each."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE = ("accounts", "0002_api_key_last_use")
AFTER = ("accounts", "0003_webhook_secret")


def migrate(*targets):
    """Answers the models as they are then."""
    executor = MigrationExecutor(connection)
    return executor.migrate(list(targets)).apps


@pytest.fixture
def back_to_now(transactional_db):
    yield
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())


def test_accounts_that_are_there_get_a_secret_of_their_own(back_to_now):
    old = migrate(BEFORE).get_model("accounts", "Account")
    old.objects.bulk_create(old(sid=sid) for sid in ("acme", "umbrella"))
    new = migrate(AFTER).get_model("accounts", "Account")
    secrets = {account.webhook_secret.reveal() for account in new.objects.all()}
    assert len(secrets) == 2
    assert all(secret.startswith("whsec_") for secret in secrets)
