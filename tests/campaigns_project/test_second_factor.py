"""The second factor of the admin: set up, asked for, recovered, reset."""

import re
import time
from base64 import b32decode

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.core.serializers import serialize
from django.urls import reverse
from django_otp.oath import totp

from accounts.audit_entry import AuditEntry
from accounts.models import Membership
from accounts.second_factor_devices import AuthenticatorApp, RecoveryCodes
from core.encryption import Secret
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

INDEX, PAGE, LOGIN = "/admin/", "/admin/now/", "/admin/login/"
ENTER, SET_UP = "/admin/second-factor/", "/admin/second-factor/set-up/"
PASSWORD = "a long enough password"


@pytest.fixture
def person(client, clock):
    """A superuser who has entered the password. The clock stands still, or a code might run out within a test."""
    person = get_user_model().objects.create_superuser("meera", password=PASSWORD)
    assert client.post(LOGIN, {"username": "meera", "password": PASSWORD}).status_code == 302
    return person


def code_of(device: AuthenticatorApp, offset: int = 0) -> str:
    """Return the code that an app shows; another one for each offset."""
    return f"{totp(b32decode(device.secret), drift=offset):06d}"


def new_code(client) -> str:
    """Return the code of the app that has read the picture."""
    secret = re.search(r"enter this secret: <code>(\w+)</code>", client.get(SET_UP).content.decode())
    assert secret
    return f"{totp(b32decode(secret[1])):06d}"


def set_up(client) -> list[str]:
    """Set up a second factor. Returns the recovery codes that the page shows."""
    page = client.post(SET_UP, {"code": new_code(client)})
    return re.findall(r"<li><code>(\w+)</code></li>", page.content.decode())


def let_wrong_codes_be_forgotten() -> None:
    for kind in (AuthenticatorApp, RecoveryCodes):
        kind.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)


def sign_in_again(client) -> None:
    client.post("/admin/logout/")
    client.post(LOGIN, {"username": "meera", "password": PASSWORD})


def test_without_one_the_password_is_enough(client, person):
    assert client.get(PAGE).status_code == 200


def test_a_page_asks_once_whether_there_is_one(client, person, django_assert_max_num_queries):
    with django_assert_max_num_queries(1000) as captured:
        client.get(PAGE)
    asked = [query["sql"] for query in captured if AuthenticatorApp._meta.db_table in query["sql"]]
    assert len(asked) == 1, asked


def test_the_picture_and_the_secret_are_on_the_page_and_on_no_other_host(client, person):
    page = client.get(SET_UP).content.decode()
    assert 'src="data:image/svg+xml' in page
    assert not AuthenticatorApp.objects.exists(), "none is stored before its first code"
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page)
    assert client.get(PAGE).status_code == 200, "one that is not set up yet is not asked for"


def test_once_set_up_each_sign_in_asks_for_a_code_that_works_once(client, person):
    codes = set_up(client)
    assert len(codes) == len(set(codes)) == 10
    assert min(map(len, codes)) >= 16
    assert client.get(PAGE).status_code == 200
    sign_in_again(client)
    assert client.get("/admin/accounts/account/", follow=True).redirect_chain[-1][0].startswith(ENTER)
    used = AuthenticatorApp.objects.get()
    assert client.post(ENTER, {"code": code_of(used)}).status_code == 200, "the code that set it up is used up"
    let_wrong_codes_be_forgotten()
    response = client.post(f"{ENTER}?next=/admin/accounts/account/", {"code": code_of(used, 1)})
    assert response.headers["Location"] == "/admin/accounts/account/"
    assert client.get(PAGE).status_code == 200


def test_a_recovery_code_works_once(client, person):
    codes = set_up(client)
    for tries, passes in (
        (codes[0].upper(), True),
        (codes[0], False),
        (codes[1], True),
        ("", False),
        ("0" * 99, False),
    ):
        sign_in_again(client)
        let_wrong_codes_be_forgotten()
        client.post(ENTER, {"code": tries})
        assert (client.get(PAGE).status_code == 200) is passes, tries


def test_wrong_codes_wait_longer_and_longer(client, person):
    set_up(client)
    sign_in_again(client)
    client.post(ENTER, {"code": "000000"})
    right = code_of(AuthenticatorApp.objects.get(), 1)
    page = client.post(ENTER, {"code": right})
    assert "has to wait longer" in page.content.decode()
    assert client.get(PAGE).status_code == 302
    assert AuthenticatorApp.objects.get().throttling_failure_timestamp.timestamp() <= time.time()


def test_nobody_replaces_a_second_factor_with_the_password_alone(client, person):
    set_up(client)
    sign_in_again(client)
    for send in (client.get, client.post):
        assert send(SET_UP).headers["Location"] == ENTER
    assert AuthenticatorApp.objects.count() == 1


def test_a_new_one_replaces_the_old_one_and_its_recovery_codes(client, person):
    old = set_up(client)
    first = AuthenticatorApp.objects.get()
    new = set_up(client)
    assert AuthenticatorApp.objects.get() != first
    assert set(new).isdisjoint(old)
    for code, passes in ((old[0], False), (new[0], True)):
        sign_in_again(client)
        let_wrong_codes_be_forgotten()
        client.post(ENTER, {"code": code})
        assert (client.get(PAGE).status_code == 200) is passes


@pytest.mark.parametrize("code", ["", "000000", "abcdef", "1", "0" * 99, "\u0660" * 6])
def test_a_wrong_code_sets_up_nothing(client, person, code):
    client.get(SET_UP)
    page = client.post(SET_UP, {"code": code})
    assert "This code is wrong" in page.content.decode()
    assert not AuthenticatorApp.objects.exists()


@pytest.mark.parametrize("address", [ENTER, SET_UP])
def test_its_pages_are_for_those_who_know_the_password(client, address):
    assert client.get(address).headers["Location"].startswith(LOGIN)
    assert client.post(address, {"code": "000000"}).headers["Location"].startswith(LOGIN)


@pytest.mark.parametrize("next_page", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_a_code_leads_to_no_other_site(client, person, next_page):
    set_up(client)
    sign_in_again(client)
    response = client.post(f"{ENTER}?next={next_page}", {"code": code_of(AuthenticatorApp.objects.get(), 1)})
    assert response.headers["Location"] == INDEX


@pytest.mark.parametrize(
    ("required", "role", "must"),
    [
        ([], "administrator", False),
        (["administrator"], "viewer", False),
        (["administrator"], "administrator", True),
        (["viewer", "operator"], "viewer", True),
        (["viewer"], "operator", False),
    ],
)
def test_roles_of_the_setting_must_set_one_up(client, settings, required, role, must):
    settings.SECOND_FACTOR_ROLES = required
    person = get_user_model().objects.create_user("ravi", password=PASSWORD, is_staff=True)
    Membership.objects.create(user=person, account=AccountFactory(), role=role)
    client.post(LOGIN, {"username": "ravi", "password": PASSWORD})
    assert client.get(PAGE).status_code == (302 if must else 200)
    if must:
        assert client.get(PAGE, follow=True).redirect_chain[-1][0] == SET_UP
        set_up(client)
        assert client.get(PAGE).status_code == 200


def test_a_superuser_counts_as_administrator(client, settings, person):
    settings.SECOND_FACTOR_ROLES = ["administrator"]
    assert client.get(PAGE).status_code == 302


def test_an_administrator_resets_that_of_a_lost_phone(client, person, admin_client):
    set_up(client)
    chosen = {"action": "reset_second_factor", "_selected_action": [person.pk]}
    admin_client.post(reverse("admin:auth_user_changelist"), chosen)
    assert not AuthenticatorApp.objects.exists()
    assert not RecoveryCodes.objects.exists()
    sign_in_again(client)
    assert client.get(PAGE).status_code == 200


def stored_texts() -> str:
    """Return what somebody reads who has the database or a backup of it."""
    sessions = " ".join(str(row.get_decoded()) for row in Session.objects.all())
    return str(serialize("json", [*AuthenticatorApp.objects.all(), *RecoveryCodes.objects.all()])) + sessions


def test_the_database_has_neither_the_key_of_an_app_nor_a_recovery_code(client, person):
    new_code(client)
    page = client.get(SET_UP).content.decode()
    [secret] = re.findall(r"enter this secret: <code>(\w+)</code>", page)
    keys = (secret, b32decode(secret).hex())
    assert not [key for key in keys if key in stored_texts()], "while it is being set up"
    codes = set_up(client)
    app = AuthenticatorApp.objects.get()
    assert app.secret == secret
    assert not [text for text in (*keys, *codes) if text in stored_texts()]
    assert len(RecoveryCodes.objects.get().digests) == 10


def test_a_key_of_another_secret_key_is_told_and_recovery_codes_work_still(client, person):
    codes = set_up(client)
    shown = code_of(AuthenticatorApp.objects.get(), 1)
    AuthenticatorApp.objects.update(key=Secret("of another SECRET_KEY"))
    sign_in_again(client)
    assert "SECRET_KEY has changed" in client.post(ENTER, {"code": shown}).content.decode()
    client.post(ENTER, {"code": codes[0]})
    assert client.get(PAGE).status_code == 200
    assert len(set_up(client)) == 10


def told() -> list[str]:
    """Return what was done to second factors, the oldest first."""
    rows = AuditEntry.objects.order_by("pk").exclude(verb="signed-in")
    return [f"{row}: {row.what}" if row.what else str(row) for row in rows]


def test_each_change_of_a_second_factor_says_who_made_it(client, person, admin_client):
    codes = set_up(client)
    sign_in_again(client)
    client.post(ENTER, {"code": "000000"})
    client.post(ENTER, {"code": "000000"})  # has to wait: nobody looked at it
    let_wrong_codes_be_forgotten()
    client.post(ENTER, {"code": codes[0]})
    set_up(client)
    chosen = {"action": "reset_second_factor", "_selected_action": [person.pk]}
    for _ in range(2):  # the second time there is none
        admin_client.post(reverse("admin:auth_user_changelist"), chosen)
    assert told() == [
        "meera set up a second factor for meera",
        "somebody failed to sign in as meera: wrong code of the second factor",
        "meera used a recovery code of meera: 9 are left",
        "meera set up a second factor for meera: in the place of the one before",
        "admin removed the second factor of meera",
    ]
    assert set(AuditEntry.objects.exclude(verb="signed-in").values_list("object_id", flat=True)) == {str(person.pk)}


def test_an_entry_that_can_not_be_stored_leaves_everything_as_it_was(client, person, monkeypatch):
    codes = set_up(client)
    sign_in_again(client)

    def fails(*_, **__):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("accounts.audit.record", fails)
    with pytest.raises(RuntimeError):
        client.post(ENTER, {"code": codes[0]})
    assert len(RecoveryCodes.objects.get().digests) == 10
    assert client.get(PAGE).status_code == 302


def test_a_command_resets_that_of_the_only_administrator(client, person, capsys):
    set_up(client)
    call_command("reset_second_factor", "meera")
    assert not AuthenticatorApp.objects.exists()
    assert not RecoveryCodes.objects.exists()
    assert told()[-1].endswith("removed the second factor of meera")
    assert told()[-1].startswith("system ")
    with pytest.raises(CommandError, match="meera has no second factor"):
        call_command("reset_second_factor", "meera")
    with pytest.raises(CommandError, match="nobody signs in as ravi"):
        call_command("reset_second_factor", "ravi")


def test_no_page_shows_the_secrets_of_others(admin_client):
    for name in ("accounts/authenticatorapp", "accounts/recoverycodes"):
        assert admin_client.get(f"/admin/{name}/").status_code == 404


def test_new_tokens_are_shown_once_and_never_in_a_cookie(admin_client):
    account = AccountFactory()
    made = admin_client.post(reverse("admin:accounts_apikey_add"), {"account": account.pk, "name": "laptop"})
    assert made.status_code == 302
    assert "messages" not in made.cookies
    page = admin_client.get(made.headers["Location"]).content.decode()
    assert "Copy the token now" in page
    assert "Copy the token now" not in admin_client.get(made.headers["Location"]).content.decode()
