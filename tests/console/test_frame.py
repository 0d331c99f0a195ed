"""What stands around every page: the menu of the person, the present page, the box that finds a number."""

import re

import pytest
from django.contrib.admin import AdminSite
from django.urls import reverse

from console import navigation
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

ADMIN_PAGES = ("admin:campaigns_campaign_changelist", "admin:engine_room", "admin:password_change")


def menu(page: str) -> list[str]:
    """Return the texts of the menu."""
    wide = re.search(r'<ul class="frame-wide">(.*?)</ul>', page, re.DOTALL)
    return re.findall(r">([^<]+)</a>", wide[1]) if wide else []


@pytest.mark.parametrize(
    ("role", "of_all"), [("viewer", False), ("operator", False), ("administrator", False), ("administrator", True)]
)
def test_everybody_sees_the_entries_that_open_to_them(person, role, of_all):
    client = person(role, None if of_all else AccountFactory())
    offered = menu(client.get(reverse("admin:now")).content.decode())
    assert offered
    for entry in navigation.ENTRIES:
        status = client.get(reverse(f"admin:{entry.page}")).status_code
        assert status == (200 if entry.text in offered else 403), entry


def test_the_menu_has_the_order_of_a_day(person):
    order = ["Now", "Campaigns", "New campaign", "Find a number", "Do not call", "Reports", "Set up"]
    order += ["People and audit", "System"]
    offered = menu(person("administrator").get(reverse("admin:now")).content.decode())
    assert offered == [text for text in order if text in offered]
    assert {"Now", "Campaigns", "Find a number"} <= set(offered) <= set(order)


@pytest.mark.parametrize("entry", navigation.ENTRIES, ids=lambda entry: entry.page)
def test_the_present_page_is_marked_once_in_each_menu(person, entry):
    page = person("administrator").get(reverse(f"admin:{entry.page}")).content.decode()
    assert re.findall(r'aria-current="page">([^<]+)<', page) == [entry.text] * 2


def test_a_page_within_an_entry_marks_it(person):
    client = person("administrator")
    page = client.get(reverse("admin:stop_calling")).content.decode()
    assert re.findall(r'aria-current="(\w+)">([^<]+)<', page) == [("true", "Now")] * 2


@pytest.mark.parametrize("name", [*ADMIN_PAGES, "admin:now", "admin:find_number"])
def test_every_page_has_the_frame(person, name):
    page = person("viewer", AccountFactory()).get(reverse(name)).content.decode()
    assert "Now" in menu(page)
    assert 'id="find-number"' in page
    assert 'src="/static/console/frame.js"' in page
    assert "<strong>meera</strong>" in page
    assert 'href="#content-start"' in page
    assert 'class="sticky toggle-nav-sidebar"' not in page


def test_the_sign_in_has_no_frame(client):
    page = client.get(reverse("admin:login")).content.decode()
    assert menu(page) == []
    assert "find-number" not in page


def test_a_popup_has_no_frame(person):
    page = person("administrator").get(reverse("admin:accounts_trunk_add"), {"_popup": "1"}).content.decode()
    assert menu(page) == []


def test_the_start_page_is_now(person):
    assert person("viewer", AccountFactory()).get("/admin/").url == reverse("admin:now")


def test_a_person_without_a_role_is_told_so(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("nobody", is_staff=True))
    page = client.get("/admin/")
    assert page.status_code == 200
    assert "You have no role yet" in page.content.decode()
    assert menu(page.content.decode()) == []
    assert client.get(reverse("admin:engine_room")).status_code == 403


def test_the_engine_room_lists_the_tables_of_the_role(person):
    own = person("viewer", AccountFactory()).get(reverse("admin:engine_room")).content.decode()
    every = person("administrator", None, "root").get(reverse("admin:engine_room")).content.decode()
    assert reverse("admin:dialer_callattempt_changelist") in own
    assert reverse("admin:accounts_trunk_changelist") not in own
    assert reverse("admin:accounts_trunk_changelist") in every


def test_no_page_but_the_list_of_tables_asks_for_the_tables(person, monkeypatch):
    asked = []
    genuine = AdminSite._build_app_dict

    def noted(*given):
        asked.append(given)
        return genuine(*given)

    monkeypatch.setattr(AdminSite, "_build_app_dict", noted)
    client = person("administrator")
    for name in ("admin:now", *ADMIN_PAGES[::2]):
        assert client.get(reverse(name)).status_code == 200
    assert client.get("/admin/nowhere/").status_code == 404
    assert asked == []
    client.get(reverse("admin:engine_room"))
    assert asked != []


def test_no_link_of_the_frame_is_a_dead_end(person):
    client = person("administrator")
    page = client.get(reverse("admin:now")).content.decode()
    links = set(re.findall(r'href="(/(?!static/)[^"]*)"', page))
    assert "/docs/" in links
    for link in links:
        assert client.get(link, follow=True).status_code == 200, link


def test_times_of_django_s_own_pages_name_their_zone(admin_client, admin_user):
    page = admin_client.get(reverse("admin:auth_user_change", args=[admin_user.pk])).content.decode()
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)
