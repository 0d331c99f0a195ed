"""Wrong passwords at the admin's sign-in: guesses are stopped, and nobody is locked out by another's."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from api.http.rate_limits import Meter
from campaigns_project import sign_in

pytestmark = pytest.mark.django_db

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
RIGHT = "a long enough password"


@pytest.fixture(autouse=True)
def people(redis, django_user_model):
    for name in ("meera", "asha"):
        django_user_model.objects.create_user(name, password=RIGHT, is_staff=True)


def attempt(name: str, password: str = "wrong", address: str = HERE):
    return Client().post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address)


def test_the_right_password_after_45_wrong_ones_is_not_let_in(time_machine):
    statuses = [attempt("meera").status_code for _ in range(45)]
    assert statuses == [200] * 10 + [429] * 35
    refused = attempt("meera", RIGHT)
    assert refused.status_code == 429
    assert "Too many wrong passwords: try again in" in refused.content.decode()
    assert 0 < int(refused.headers["Retry-After"]) <= 901
    assert attempt("MEERA").status_code == 429


def test_the_window_ends(time_machine):
    time_machine.move_to(datetime(2026, 3, 2, 6, 0, tzinfo=UTC), tick=False)
    for _ in range(10):
        attempt("meera")
    assert attempt("meera", RIGHT).status_code == 429
    time_machine.shift(901)
    assert attempt("meera", RIGHT).status_code == 302


def test_others_at_the_same_address_are_let_in_whatever_was_guessed_there():
    for number in range(60):
        attempt(f"guess-{number}")
    for _ in range(10):
        attempt("meera")
    assert attempt("asha", RIGHT).status_code == 302


def test_an_address_that_guessed_at_many_names_tries_each_once():
    for number in range(50):
        attempt(f"guess-{number}")
    assert attempt("asha").status_code == 200
    assert attempt("asha").status_code == 429


def test_a_name_that_is_guessed_at_from_many_addresses_is_let_in_where_it_was_before():
    assert attempt("meera", RIGHT).status_code == 302
    for number in range(50):
        attempt("meera", address=f"198.51.100.{number}")
    assert attempt("meera", RIGHT, ELSEWHERE).status_code == 429
    assert attempt("meera", RIGHT, HERE).status_code == 302


def test_a_form_without_a_password_makes_no_name_known():
    attempt("meera", "")
    for number in range(50):
        attempt("meera", address=f"198.51.100.{number}")
    assert attempt("meera", RIGHT).status_code == 429


def test_a_few_mistakes_do_no_harm():
    for _ in range(9):
        attempt("meera")
    assert attempt("meera", RIGHT).status_code == 302


def test_without_redis_the_right_password_signs_in(monkeypatch):
    away = Meter("redis://127.0.0.1:1")
    monkeypatch.setattr(sign_in, "wrong_passwords", lambda: away)
    monkeypatch.setattr(sign_in, "_sign_ins", lambda: away)
    assert attempt("meera").status_code == 200
    assert attempt("meera", RIGHT).status_code == 302


def test_a_session_ends_after_twelve_hours():
    response = attempt("meera", RIGHT)
    assert response.cookies["sessionid"]["max-age"] == 12 * 3600
