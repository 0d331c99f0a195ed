"""A carrier is its driver's module and one line in the registry: nothing else names it."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils.module_loading import import_string

import accounts.carriers
from accounts.carriers import CarrierKind, UnknownCarrier
from accounts.models import Trunk
from dialer import carriers, links
from dialer.carriers.base import Accepted, Carrier, Event, NoSuchCall
from dialer.models import CallAttempt, CarrierEvent, TrunkHealth
from tests.conftest import NUMBERS, states
from tests.factories import CallAttemptFactory, CallerIdFactory, TrunkFactory

A = NUMBERS[0]


class ToyCarrier(Carrier):
    """Takes every call, and its events come by themselves."""

    kind = CarrierKind("toy", "Toy (in this test)", needs_credentials=False)
    placed: list = []

    @classmethod
    def connect(cls, access):
        return cls()

    def place(self, requests):
        self.placed += requests
        return {request.attempt_id: Accepted(f"toy-{request.number}") for request in requests}

    def look_up(self, placed):
        return {attempt.attempt_id: NoSuchCall() for attempt in placed}

    def hang_up(self, carrier_refs):
        return ()

    @classmethod
    def read_event(cls, payload):
        return Event(status=payload["toy"])


@pytest.fixture
def toy(monkeypatch):
    """What a line in DRIVERS does, until the test is over."""
    monkeypatch.setattr(accounts.carriers, "_kinds", dict(accounts.carriers._kinds))
    monkeypatch.setattr(carriers, "_drivers", dict(carriers._drivers))
    monkeypatch.setattr(ToyCarrier, "placed", [])
    carriers.register(ToyCarrier)
    return ToyCarrier


def test_a_call_goes_out_over_a_new_driver_and_its_event_ends_it(rig, client, toy):
    trunk = TrunkFactory(carrier="toy")
    over_toy = CallerIdFactory(account=rig.account, trunk=trunk)
    campaign = rig.campaign([A], caller_id=over_toy, caller_id_given=over_toy.number)
    rig.tick()
    [request] = toy.placed
    attempt = CallAttempt.objects.get()
    assert (request.number, attempt.carrier_ref) == (A, f"toy-{A}")
    assert request.flow_url == links.flow_url(campaign, attempt.call_id)
    path = "/" + request.callback_url.partition("//")[2].partition("/")[2]
    assert client.post(path, {"toy": "completed"}).status_code == 204
    rig.settle()
    assert states(campaign) == {A: "completed"}
    assert CarrierEvent.objects.get().error == ""


def test_a_new_driver_can_be_chosen_for_a_trunk_by_command_and_in_the_admin(admin_client, toy):
    call_command("create_trunk", "main", "--carrier", "toy", stdout=io.StringIO())
    assert Trunk.objects.get().get_carrier_display() == "Toy (in this test)"
    given = {"name": "other", "carrier": "toy", "base_url": "", "account_sid": "", "api_key": "", "channels": ""}
    admin_client.post(reverse("admin:accounts_trunk_add"), given)
    assert Trunk.objects.get(name="other").carrier == "toy"
    for page in ("accounts_trunk_changelist", "dialer_carrierevent_changelist"):
        assert "Toy (in this test)" in admin_client.get(reverse(f"admin:{page}")).content.decode()


def test_a_carrier_for_tests_is_no_choice_in_the_admin_but_is_one_of_the_command(admin_client):
    page = admin_client.get(reverse("admin:accounts_trunk_add")).content.decode()
    assert "Exotel (v1 connect)" in page
    assert "Simulated" not in page
    call_command("create_trunk", "bench", "--carrier", "simulated", stdout=io.StringIO())
    trunk = Trunk.objects.get()
    assert "Simulated" in admin_client.get(reverse("admin:accounts_trunk_change", args=[trunk.pk])).content.decode()


@pytest.fixture
def in_production(settings, monkeypatch):
    """Register the drivers again, as a server without SIMULATED_CARRIER does."""
    settings.SIMULATED_CARRIER = False
    monkeypatch.setattr(accounts.carriers, "_kinds", {})
    monkeypatch.setattr(carriers, "_drivers", {})
    carriers.connect.cache_clear()
    carriers.register_all()


def test_a_carrier_for_tests_is_known_nowhere_in_production(in_production, admin_client, client):
    assert [kind.name for kind in accounts.carriers.all_kinds()] == [
        "sandbox",
        "exotel",
        "twilio",
        "signalwire",
        "telnyx",
        "sip",
    ]
    with pytest.raises(CommandError, match="invalid choice: 'simulated'"):
        call_command("create_trunk", "bench", "--carrier", "simulated")
    given = {"name": "other", "carrier": "simulated"}
    assert (
        "not one of the available choices"
        in admin_client.post(reverse("admin:accounts_trunk_add"), given).content.decode()
    )
    attempt = CallAttemptFactory(in_progress=True)
    for carrier, status in {"simulated": 403, "exotel": 204}.items():
        path = "/" + links.events_url(carrier, attempt.pk).partition("//")[2].partition("/")[2]
        event = {"status": "completed", "Status": "completed"}
        assert client.post(path, event).status_code == status


def test_a_trunk_whose_driver_has_gone_rings_nobody_and_costs_no_attempt(rig, in_production):
    campaign = rig.campaign([A])
    rig.tick()
    assert states(campaign) == {A: "created"}
    assert TrunkHealth.objects.get().last_error == "there is no driver for the carrier simulated"
    assert CallAttempt.objects.get().status == CallAttempt.Status.CANCELED


@pytest.mark.django_db
def test_a_carrier_without_a_driver_is_refused():
    with pytest.raises(CommandError, match="invalid choice: 'nobody'"):
        call_command("create_trunk", "main", "--carrier", "nobody")
    with pytest.raises(UnknownCarrier, match="no driver for the carrier nobody"):
        carriers.carrier_of(Trunk(name="gone", carrier="nobody"))


@pytest.mark.parametrize("path", carriers.DRIVERS)
def test_each_line_of_the_registry_names_a_driver_that_is_registered_under_its_own_name(path):
    driver = import_string(path)
    assert carriers.driver(driver.kind.name) is driver
    assert accounts.carriers.get(driver.kind.name) == driver.kind
