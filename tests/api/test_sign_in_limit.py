"""The limit of wrong credentials from one address: it slows guessing, and no client with good ones."""

from datetime import UTC, datetime

import pytest

from accounts.audit_entry import AuditEntry
from accounts.models import ApiKey
from api.http.rate_limits import Meter
from tests.api.client import basic

pytestmark = pytest.mark.usefixtures("shared_account")

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
WRONG = basic("acme", "wrong")
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


def guesses(api, times, *, address=HERE, user="acme", **options):
    """Send requests with wrong credentials and return their statuses."""
    right, api.headers = api.headers, {"authorization": basic(user, "wrong")}
    responses = [api.get("/campaigns", REMOTE_ADDR=address, **options).status for _ in range(times)]
    api.headers = right
    return responses


def test_after_20_wrong_credentials_in_a_minute_an_address_is_refused(api, time_machine):
    time_machine.move_to(START, tick=False)
    assert guesses(api, 21) == [401] * 20 + [429]
    api.headers = {"authorization": WRONG}
    response = api.get("/campaigns", REMOTE_ADDR=HERE)
    assert response.is_refused(429, "too many wrong credentials from this address", "in 61 s")
    assert response.headers["Retry-After"] == "61"


@pytest.mark.parametrize("user", ["umbrella", "nobody", "acme", "the same key"])
def test_good_credentials_are_let_in_whatever_others_at_their_address_have_sent(api, user):
    name = ApiKey.objects.get().key if user == "the same key" else user
    assert 429 in guesses(api, 25, user=name)
    for address in (HERE, ELSEWHERE):
        assert api.get("/campaigns", REMOTE_ADDR=address).status == 200
    assert guesses(api, 1, user=name) == [429]


def test_guesses_at_one_user_are_refused_before_they_are_looked_at(api, settings, django_assert_num_queries):
    """They may be guesses at a weak token, of the operator's choice."""
    settings.FAILED_SIGN_INS_PER_MINUTE = 1
    guesses(api, 10)
    with django_assert_num_queries(0):
        assert guesses(api, 1) == [429]
    assert api.get("/campaigns", REMOTE_ADDR=HERE).status == 200
    key = ApiKey.objects.get().key
    guesses(api, 10, user=key)
    assert api.get("/campaigns", REMOTE_ADDR=HERE).status == 429
    assert api.get("/campaigns", REMOTE_ADDR=ELSEWHERE).status == 200


def test_wrong_ones_are_read_again_when_the_minute_is_over(api, time_machine):
    time_machine.move_to(START, tick=False)
    guesses(api, 21)
    time_machine.shift(61)
    assert guesses(api, 1) == [401]


def test_guesses_at_an_account_are_recorded_once_a_minute_and_when_they_are_too_many(api, account):
    guesses(api, 30)
    guesses(api, 5, user="nobody")
    told = AuditEntry.objects.exclude(actor_kind="user").order_by("pk")
    assert [(entry.verb, entry.account, entry.ip) for entry in told] == [
        ("sign-in-failed", account, HERE),
        ("sign-in-limited", account, HERE),
    ]


def test_good_credentials_are_never_counted(api):
    assert {api.get("/campaigns", REMOTE_ADDR=HERE).status for _ in range(30)} == {200}


@pytest.mark.parametrize("header", [None, "Bearer abc", "Basic !!!!"])
def test_a_request_that_guesses_nothing_is_not_counted(api, header):
    right, api.headers = api.headers, {} if header is None else {"authorization": header}
    assert {api.get("/campaigns", REMOTE_ADDR=HERE).status for _ in range(30)} == {401}
    api.headers = right
    assert api.get("/campaigns", REMOTE_ADDR=HERE).status == 200


def test_the_number_is_a_setting(api, settings):
    settings.FAILED_SIGN_INS_PER_MINUTE = 2
    assert guesses(api, 3) == [401, 401, 429]


def test_without_redis_wrong_credentials_are_wrong_and_good_ones_good(api, monkeypatch):
    away = Meter("redis://127.0.0.1:1")
    monkeypatch.setattr("api.http.sign_in_limit.meter", lambda: away)
    assert guesses(api, 25) == [401] * 25
    assert api.get("/campaigns", REMOTE_ADDR=HERE).status == 200


# The address that counts ---------------------------------------------------------------------------------------------


def test_an_address_that_a_client_claims_is_ignored(api):
    for n in range(20):
        guesses(api, 1, headers={"x-forwarded-for": f"198.51.100.{n}"})
    assert guesses(api, 1) == [429]


def test_behind_our_own_proxy_its_word_counts_and_only_that(api, settings):
    settings.BEHIND_TLS_PROXY = True
    for n in range(20):
        guesses(api, 1, address="127.0.0.1", headers={"x-forwarded-for": f"198.51.100.{n}, {HERE}"})
    behind_proxy = [
        guesses(api, 1, address="127.0.0.1", headers={"x-forwarded-for": address})[0]
        for address in (HERE, f"{ELSEWHERE}, {HERE}", ELSEWHERE, f"{HERE}, {ELSEWHERE}")
    ]
    assert behind_proxy == [429, 429, 401, 401]


def test_a_customer_of_ipv6_has_one_address_however_many_it_has(api):
    for n in range(20):
        guesses(api, 1, address=f"2001:db8:1:2::{n:x}")
    assert guesses(api, 1, address="2001:db8:1:2:ffff::1") == [429]
    assert guesses(api, 1, address="2001:db8:1:3::1") == [401]


def test_an_ipv4_address_is_the_same_when_it_is_written_as_ipv6(api):
    guesses(api, 20, address=f"::ffff:{HERE}")
    assert guesses(api, 1) == [429]


def test_a_connection_without_an_address_is_one_address(api):
    guesses(api, 20, address="")
    assert guesses(api, 1, address="") == [429]
    assert ApiKey.objects.get().last_used_at is None
