"""The console's pages, as people of several roles."""

import pytest
from django.urls import reverse

from accounts.audit_entry import AuditEntry
from campaigns.models import Campaign
from console.models import CallingStop
from contacts.models import DoNotCall
from tests.factories import AccountFactory, CallAttemptFactory, CallFactory, CampaignFactory

pytestmark = pytest.mark.django_db

NUMBER = "+919810077777"
PAGES = ("now", "now_live", "stop_calling", "find_number", "do_not_call", "reports", "people", "system")


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("name", PAGES)
def test_strangers_are_sent_to_the_sign_in(client, name):
    address = reverse(f"admin:{name}")
    assert client.get(address).url == f"{reverse('admin:login')}?next={address}"


@pytest.mark.parametrize("name", PAGES)
def test_a_person_without_a_role_sees_nothing(client, django_user_model, name):
    client.force_login(django_user_model.objects.create_user("nobody", is_staff=True))
    assert client.get(reverse(f"admin:{name}")).status_code == 403


@pytest.mark.parametrize("name", ["stop_calling", "resume_calling", "never_call"])
def test_a_viewer_changes_nothing(person, name):
    account = AccountFactory()
    CampaignFactory(account=account, running=True)
    client = person("viewer", account)
    address = reverse(f"admin:{name}", args=[1] if name == "resume_calling" else [])
    assert client.post(address, {"number": NUMBER, "account": account.sid}).status_code == 403
    assert Campaign.objects.get().status == "in-progress"
    assert not DoNotCall.objects.exists()
    assert "Stop calling" not in text(client.get(reverse("admin:now")))


def test_changes_are_no_matter_of_a_link(person):
    client = person("administrator")
    for name, args in (("resume_calling", [1]), ("never_call", [])):
        assert client.get(reverse(f"admin:{name}", args=args)).status_code == 405


def test_stop_is_asked_done_and_undone(person):
    account = AccountFactory()
    campaign = CampaignFactory(account=account, running=True)
    others = CampaignFactory(running=True)
    CallAttemptFactory(in_progress=True, call__campaign=campaign)
    client = person("operator", account)

    question = text(client.get(reverse("admin:stop_calling")))
    assert "pauses 1 running campaign of 1 account. 1 call is up" in question
    assert Campaign.objects.filter(status="in-progress").count() == 2, "a question changes nothing"

    page = text(client.post(reverse("admin:stop_calling"), follow=True))
    assert "1 campaign paused." in page
    assert "Resume the campaign" in page
    assert AuditEntry.objects.get(verb="paused").actor_name == "meera"

    resumed = client.post(reverse("admin:resume_calling", args=[CallingStop.objects.get().pk]), follow=True)
    assert "1 campaign resumed." in text(resumed)
    assert set(Campaign.objects.values_list("status", flat=True)) == {"in-progress"}
    assert others.history.count() == 0


def test_a_stop_of_others_does_not_exist(person):
    CampaignFactory(running=True)
    person("operator", None, "root").post(reverse("admin:stop_calling"))
    stranger = person("operator", AccountFactory())
    assert stranger.post(reverse("admin:resume_calling", args=[CallingStop.objects.get().pk])).status_code == 404
    assert "Resume" not in text(stranger.get(reverse("admin:now")))


def test_now_names_the_campaigns_of_the_person(person):
    own = CampaignFactory(running=True, name="Fees <b>due</b>")
    CampaignFactory(running=True, name="Others")
    client = person("viewer", own.account)
    for name in ("now", "now_live"):
        page = text(client.get(reverse(f"admin:{name}")))
        assert "Fees &lt;b&gt;due&lt;/b&gt;" in page
        assert "Others" not in page


def test_problems_of_the_server_are_for_its_administrators(person):
    assert 'aria-label="What is wrong"' in text(person("administrator", None, "root").get(reverse("admin:now")))
    account = AccountFactory()
    assert 'aria-label="What is wrong"' not in text(person("administrator", account).get(reverse("admin:now")))


def test_a_complaint_ends_with_never_call_again(person):
    account = AccountFactory()
    call = CallFactory(completed=True, number=NUMBER, campaign__account=account, campaign__name="Fees")
    CallAttemptFactory(completed=True, call=call, digits="2")
    client = person("operator", account)

    page = text(client.get(reverse("admin:find_number"), {"q": "098100 77777"}))
    assert "1 call in 1 campaign" in page
    assert "pressed 2" in page
    assert "Fees" in page

    page = text(client.post(reverse("admin:never_call"), {"number": NUMBER, "account": account.sid}, follow=True))
    assert "will never be called again" in page
    assert "on the do-not-call list: added by a person" in page
    entry = DoNotCall.objects.get()
    assert (entry.account, entry.number) == (account, NUMBER)
    assert AuditEntry.objects.filter(verb="created", actor_name="meera").exists()


@pytest.mark.parametrize("number", ["", "9810077777", "+1", "x" * 500, "+91 98100 77777"])
def test_only_a_whole_number_goes_on_the_list(person, number):
    account = AccountFactory()
    page = person("operator", account).post(
        reverse("admin:never_call"), {"number": number, "account": account.sid}, follow=True
    )
    assert "Nothing was done" in text(page)
    assert not DoNotCall.objects.exists()


def test_nobody_lists_a_number_for_others(person):
    other = AccountFactory()
    posted = person("operator", AccountFactory()).post(
        reverse("admin:never_call"), {"number": NUMBER, "account": other.sid}
    )
    assert posted.status_code == 404
    assert not DoNotCall.objects.exists()


def test_what_is_no_number_is_said(person):
    page = person("viewer", AccountFactory()).get(reverse("admin:find_number"), {"q": "<script>alert(1)</script>"})
    assert "is no telephone number" in text(page)
    assert "<script>alert" not in page.content.decode()


def test_a_stop_of_nothing_and_a_second_stop_say_so(person):
    client = person("operator", AccountFactory())
    page = text(client.get(reverse("admin:stop_calling")))
    assert "there is nothing to stop" in page
    assert '<button class="stop">' not in page
    page = text(client.post(reverse("admin:stop_calling"), follow=True))
    assert "No campaign was running any more: nothing was paused." in page


def test_a_stop_that_somebody_else_has_resumed_says_so(person):
    client = person("operator", CampaignFactory(running=True).account)
    client.post(reverse("admin:stop_calling"))
    resume = reverse("admin:resume_calling", args=[CallingStop.objects.get().pk])
    client.post(resume)
    assert "somebody has resumed these campaigns already" in text(client.post(resume, follow=True))


def test_calls_that_are_up_are_hung_up_where_that_is_ticked(person, monkeypatch):
    attempt = CallAttemptFactory(in_progress=True, call__campaign=CampaignFactory(running=True))
    asked: list[str] = []

    def hang_up(_, refs):
        asked.extend(refs)
        return ()

    monkeypatch.setattr("dialer.carriers.simulated.SimulatedCarrier.hang_up", hang_up)
    client, address = person("operator", attempt.campaign.account), reverse("admin:stop_calling")
    assert "hang it up, as far as the carriers can" in text(client.get(address))
    client.post(address)
    assert asked == []

    page = text(client.get(address))
    assert "1 call is still up, of campaigns that were paused or ended" in page
    page = text(client.post(address, {"hang_up": "1"}, follow=True))
    assert asked == [attempt.carrier_ref]
    assert "nothing was paused. The carriers were asked to end 1 call." in page
