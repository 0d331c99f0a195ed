"""API keys: their last use, their rotation, their end."""

import hashlib
import hmac
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.urls import reverse

from accounts import credentials
from accounts.models import ApiKey
from tests.accounts.sign_ins import account_of
from tests.factories import ACTOR, AccountFactory, ApiKeyFactory

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(START, tick=False)
    return time_machine


def signs_in(key: ApiKey) -> bool:
    return account_of(key.key, f"token of {key.key}") == key.account


def run(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


# The last use ---------------------------------------------------------------------------------------------------------


def test_the_last_use_is_recorded_at_most_once_a_minute(clock):
    key = ApiKeyFactory()
    recorded = []
    for seconds in (0, 1, 59, 2, 58):  # 0, 1, 60, 62 and 120 seconds after the start
        clock.shift(seconds)
        assert signs_in(key)
        key.refresh_from_db()
        recorded.append((key.last_used_at - START).total_seconds())
    assert recorded == [0, 0, 0, 62, 62]


def test_signing_in_writes_nothing_within_a_minute_of_the_last_use(clock, django_assert_num_queries):
    key = ApiKeyFactory()
    assert signs_in(key)
    clock.shift(59)
    with django_assert_num_queries(1):
        assert signs_in(key)


def test_a_refused_sign_in_is_no_use():
    key = ApiKeyFactory()
    account_of(key.key, "wrong")
    key.refresh_from_db()
    assert key.last_used_at is None


def test_of_several_keys_only_the_one_whose_token_was_sent_is_used():
    account = AccountFactory()
    used, unused = ApiKeyFactory(account=account), ApiKeyFactory(account=account)
    assert account_of(account.sid, f"token of {used.key}") == account
    assert set(ApiKey.objects.exclude(last_used_at=None)) == {used}
    assert unused.last_used_at is None


@pytest.mark.django_db(transaction=True)
def test_many_at_once_all_sign_in():
    key = ApiKeyFactory()

    def one(_):
        try:
            return signs_in(key)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(32)))


# Comparing tokens -----------------------------------------------------------------------------------------------------


def test_every_key_of_the_account_is_compared_in_constant_time(monkeypatch):
    account = AccountFactory()
    keys = [ApiKeyFactory(account=account) for _ in range(3)]
    compared = []

    def counted(a, b):
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(credentials, "compare_digest", counted)
    assert account_of(account.sid, f"token of {keys[0].key}") == account
    assert len(compared) == 3, "the first match must not end the comparison"


def test_tokens_are_random_256_bits_and_no_two_are_alike():
    account = AccountFactory()
    tokens = {credentials.create_key(account, actor=ACTOR).token for _ in range(50)}
    assert len(tokens) == 50
    assert {len(token) for token in tokens} == {43}  # 32 bytes in base64


def test_a_digest_is_one_pass_of_sha_256():
    """Each request computes one: a hash that is slow on purpose would cost more than the rest of the request."""
    assert credentials.digest("token 1") == hashlib.sha256(b"token 1").hexdigest()


# Rotation -------------------------------------------------------------------------------------------------------------


def test_a_rotated_key_and_the_new_one_both_work_until_the_overlap_is_over(clock):
    old = ApiKeyFactory(name="server")
    made = credentials.rotate(old, now=START, overlap=timedelta(hours=2), actor=ACTOR)
    new = ApiKey.objects.get(key=made.key)
    assert (new.name, new.account) == ("server", old.account)
    clock.shift(timedelta(hours=2) - timedelta(seconds=1))
    assert signs_in(old)
    clock.shift(timedelta(seconds=1))
    assert not signs_in(old)
    assert account_of(made.key, made.token) == old.account


def test_a_client_that_signs_in_with_the_sid_may_use_either_token(clock):
    old = ApiKeyFactory()
    made = credentials.rotate(old, now=START, actor=ACTOR)
    for token in (f"token of {old.key}", made.token):
        assert account_of(old.account.sid, token) == old.account


def test_rotating_again_does_not_prolong_the_life_of_the_old_key(clock):
    old = ApiKeyFactory()
    credentials.rotate(old, now=START, overlap=timedelta(hours=1), actor=ACTOR)
    credentials.rotate(old, now=START, overlap=timedelta(hours=24), actor=ACTOR)
    old.refresh_from_db()
    assert old.revoked_at == START + timedelta(hours=1)


def test_a_revoked_key_can_not_be_rotated(clock):
    with pytest.raises(credentials.Revoked):
        credentials.rotate(ApiKeyFactory(revoked=True), now=START + timedelta(days=400), actor=ACTOR)
    assert ApiKey.objects.count() == 1


def test_revoking_ends_an_overlap_at_once(clock):
    old = ApiKeyFactory()
    credentials.rotate(old, now=START, actor=ACTOR)
    assert credentials.revoke(old, now=START, actor=ACTOR)
    assert not signs_in(old)
    assert not credentials.revoke(old, now=START + timedelta(hours=1), actor=ACTOR)
    old.refresh_from_db()
    assert old.revoked_at == START


# Commands -------------------------------------------------------------------------------------------------------------


def test_create_key_prints_a_key_that_works():
    account = AccountFactory(sid="acme")
    made = json.loads(run("create_key", "acme", "--name", "laptop", "--json"))
    assert account_of(made["api_key"], made["api_token"]) == account
    assert ApiKey.objects.get().name == "laptop"
    assert "api_token" in run("create_key", "acme")


def test_rotate_key_says_when_the_old_key_ends(clock):
    old = ApiKeyFactory(key="0123abcd")
    made = json.loads(run("rotate_key", "0123", "--overlap-hours", "1.5", "--json"))
    assert (made["old_key"], made["old_key_ends"]) == ("0123abcd", "2026-03-02T07:30:00+00:00")
    assert account_of(made["api_key"], made["api_token"]) == old.account


def test_the_overlap_is_a_day_where_it_is_not_given(clock):
    ApiKeyFactory(key="k")
    assert json.loads(run("rotate_key", "k", "--json"))["old_key_ends"] == "2026-03-03T06:00:00+00:00"


def test_revoke_key_ends_it_now_and_keeps_the_row(clock):
    key = ApiKeyFactory(key="0123abcd")
    assert run("revoke_key", "0123abcd") == "revoked: 0123abcd\n"
    assert not signs_in(key)
    with pytest.raises(CommandError, match="is revoked already"):
        run("revoke_key", "0123abcd")


def test_list_keys_shows_the_last_use_and_the_end_and_no_token(clock):
    acme = AccountFactory(sid="acme")
    old = ApiKeyFactory(account=acme, name="server", key="k1", last_used_at=START)
    made = credentials.rotate(old, now=START, actor=ACTOR)
    credentials.revoke(ApiKeyFactory(account=acme, name="lost", key="k2"), now=START, actor=ACTOR)
    ApiKeyFactory(account__sid="umbrella", key="k3")
    shown = run("list_keys", "acme")
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    assert rows[0] == "account name key last used state"
    assert sorted(rows[1:]) == sorted(
        [
            "acme server k1 2026-03-02 06:00 in use until 2026-03-03 06:00",
            f"acme server {made.key} never in use",
            "acme lost k2 never revoked 2026-03-02 06:00",
        ]
    )
    assert made.token not in shown
    assert credentials.digest(made.token) not in shown
    assert "umbrella" in run("list_keys")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["create_key", "nobody"], "there is no account nobody"),
        (["create_key", "acme", "--name", "x" * 65], "at most 64"),
        (["rotate_key", "zzz"], "there is no key zzz"),
        (["rotate_key", ""], "there is no key"),
        (["rotate_key", "k"], "more than one key begins with k"),
        (["rotate_key", "k1", "--overlap-hours", "-1"], "from 0 hours to a year"),
        (["rotate_key", "k1", "--overlap-hours", "nan"], "from 0 hours to a year"),
        (["rotate_key", "k2"], "is revoked: create a new one"),
        (["revoke_key", "zzz"], "there is no key zzz"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(command, sentence):
    acme = AccountFactory(sid="acme")
    ApiKeyFactory(account=acme, key="k1")
    ApiKeyFactory(account=acme, key="k2", revoked=True)
    before = list(ApiKey.objects.order_by("id").values())
    with pytest.raises(CommandError, match=sentence):
        run(*command)
    assert list(ApiKey.objects.order_by("id").values()) == before


# The admin ------------------------------------------------------------------------------------------------------------


def test_the_admin_shows_the_last_use_and_rotates_a_key(admin_client, clock):
    old = ApiKeyFactory(last_used_at=START, key="0123abcd")
    address = reverse("admin:accounts_apikey_changelist")
    assert "11:30:00 IST" in admin_client.get(address).content.decode()
    chosen = {"action": "rotate", "_selected_action": [old.pk]}
    page = admin_client.post(address, chosen, follow=True).content.decode()
    new = ApiKey.objects.exclude(pk=old.pk).get()
    token = page.split("Token: <code>")[1].split("</code>")[0]
    assert account_of(new.key, token) == old.account
    old.refresh_from_db()
    assert old.revoked_at == START + credentials.OVERLAP
    assert token not in admin_client.get(address).content.decode()


def test_the_admin_says_why_a_key_is_not_rotated(admin_client):
    old = ApiKeyFactory(revoked=True)
    chosen = {"action": "rotate", "_selected_action": [old.pk]}
    page = admin_client.post(reverse("admin:accounts_apikey_changelist"), chosen, follow=True).content.decode()
    assert "create a new one" in page
    assert ApiKey.objects.count() == 1
