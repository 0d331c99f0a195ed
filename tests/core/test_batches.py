"""One faulty row costs itself alone, and a database or Redis that is away costs no row at all."""

import pytest
from django.db import InterfaceError, OperationalError
from redis.exceptions import ConnectionError as RedisAway

from accounts.models import Account
from core import batches
from tests.factories import AccountFactory

SIDS = ["a", "faulty", "b"]
TRANSIENT = [OperationalError("lost"), InterfaceError("closed"), RedisAway("refused")]


def store(sid: str) -> str:
    """Store an account; of the faulty one there is a row to undo."""
    AccountFactory(sid=sid)
    if sid == "faulty":
        raise ZeroDivisionError("poison")
    return sid.upper()


def stored() -> list[str]:
    return sorted(Account.objects.values_list("sid", flat=True))


@pytest.mark.django_db
def test_a_faulty_item_is_undone_and_given_up_and_the_others_are_handled():
    given_up = []
    handled = batches.one_by_one("test", SIDS, store, give_up=lambda sid, error: given_up.append((sid, str(error))))
    assert handled == {"a": "A", "b": "B"}
    assert given_up == [("faulty", "poison")]
    assert stored() == ["a", "b"]


@pytest.mark.django_db
def test_an_item_that_cannot_even_be_given_up_holds_up_no_other():
    def give_up(sid, _):
        AccountFactory(sid=f"{sid}, given up")
        raise ZeroDivisionError("poison again")

    assert batches.one_by_one("test", SIDS, store, give_up=give_up) == {"a": "A", "b": "B"}
    assert stored() == ["a", "b"]


@pytest.mark.django_db
@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_nothing_is_given_up_for_a_transient_error(error):
    given_up = []

    def store_until(sid):
        if sid == "b":
            raise error
        return AccountFactory(sid=sid)

    with pytest.raises(type(error)):
        batches.one_by_one("test", ["a", "b", "c"], store_until, give_up=lambda *given: given_up.append(given))
    assert given_up == []
    assert stored() == ["a"]


@pytest.mark.django_db
@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_while_giving_up_is_raised(error):
    def give_up(*_):
        raise error

    with pytest.raises(type(error)):
        batches.one_by_one("test", SIDS, store, give_up=give_up)
    assert stored() == ["a"]


def test_what_goes_well_together_is_not_done_again():
    assert batches.together("test", lambda: "together", otherwise=lambda: pytest.fail("again")) == "together"


def test_what_fails_together_is_done_otherwise():
    assert batches.together("test", lambda: 1 // 0, otherwise=lambda: 7) == 7


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_is_not_done_otherwise(error):
    def batch():
        raise error

    with pytest.raises(type(error)):
        batches.together("test", batch, otherwise=lambda: pytest.fail("otherwise"))
