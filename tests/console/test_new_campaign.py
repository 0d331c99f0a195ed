"""The page "New campaign": who is called, what is refused and where it is told, and that a press creates one."""

from datetime import time, timedelta
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from campaigns.models import Call, Campaign, Flow
from console.new_campaign import draft as drafts
from console.new_campaign import form as forms
from console.new_campaign import people
from contacts.models import DoNotCall
from tests.console.people import sign_in, text
from tests.factories import (
    AccountFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    CsvUploadFactory,
    DoNotCallFactory,
    FlowFactory,
    ListEntryFactory,
    RejectedRowFactory,
)

pytestmark = pytest.mark.django_db

A, B, C = "+919810012345", "+919810012346", "+919810012347"


@pytest.fixture
def account(clock):
    return AccountFactory(sid="acme")


@pytest.fixture
def caller_id(account):
    return CallerIdFactory(account=account)


@pytest.fixture
def meera(account, caller_id) -> Client:
    return sign_in("operator", account)


def filled(line, **fields):
    fresh = forms.fresh()
    sent = {
        **fresh.texts,
        **fresh.several,
        "numbers": f"{A}\n{B}",
        "text": "There is no class tomorrow.",
        "caller_id": line.number,
        "count": "2",
        "do": "create",
    }
    return {name: value for name, value in (sent | fields).items() if value is not None}


def post(client, fields, sid="acme", name="new_campaign_of", **options):
    return client.post(reverse(f"admin:{name}", args=[sid]), fields, **options)


def errors(response):
    return response.context["errors"]


# Creating -------------------------------------------------------------------------------------------------------------


def test_a_campaign_is_created_from_pasted_numbers(meera, account, caller_id):
    fields = filled(
        caller_id,
        name="No class",
        wait_key="on",
        repeats="2",
        start="2026-03-02T12:00",
        end="2026-03-02T18:00",
        retries="2",
        interval="10",
        mechanism="Exponential",
        on_status=["busy", "no-answer"],
        pace="20",
    )
    response = post(meera, fields)

    campaign = Campaign.objects.get()
    assert response.url == reverse("admin:campaign", args=[campaign.pk])
    assert (campaign.account, campaign.caller_id, campaign.name) == (account, caller_id, "No class")
    assert list(campaign.calls.order_by("pk").values_list("number", flat=True)) == [A, B]
    assert (campaign.text, campaign.flow_type, campaign.repeat_menu_attempts) == (fields["text"], "ivr", 2)
    assert campaign.send_at.isoformat() == "2026-03-02T06:30:00+00:00"
    assert campaign.end_at == campaign.send_at + timedelta(hours=6)
    assert (campaign.number_of_retries, campaign.retry_interval_mins, campaign.retry_mechanism) == (
        2,
        10,
        "exponential",
    )
    assert campaign.retry_on_status == ["busy", "no-answer"]
    assert (campaign.mode, campaign.throttle) == ("custom", 20)
    entry = AuditEntry.objects.get(verb="created", object_kind="campaigns.campaign")
    assert (entry.actor_name, entry.what) == ("meera", "numbers: 2")


def test_a_press_that_is_sent_twice_creates_one(meera, caller_id):
    fields = filled(caller_id)
    first, second = post(meera, fields), post(meera, fields)
    assert Campaign.objects.count() == 1
    assert first.url == second.url


def test_a_page_that_has_done_its_work_asks_before_it_does_it_again(meera, caller_id):
    fields = filled(caller_id)
    post(meera, fields)
    again = post(meera, fields | {"name": "Another"})
    assert again.status_code == 400
    assert "once already" in errors(again)["form"]
    assert Campaign.objects.count() == 1
    post(meera, fields | {"name": "Another", "key": again.context["form"].get("key")})
    assert Campaign.objects.count() == 2


def test_nobody_is_called_whom_the_button_did_not_count(meera, caller_id):
    refused = post(meera, filled(caller_id, count="3"))
    assert refused.status_code == 400
    assert "2 people would be called now" in errors(refused)["form"]
    assert "Call 2 people" in text(refused)
    assert not Campaign.objects.exists()


def test_a_text_with_answers_is_a_flow_made_with_the_campaign(meera, account, caller_id):
    answers = {"key_1": "1", "answer_1": "Thank you.", "key_2": "9", "answer_2": "Goodbye.", "stop_2": "on"}
    post(meera, filled(caller_id, repeats="1", **answers))

    flow = Flow.objects.get()
    campaign = Campaign.objects.get()
    assert (campaign.flow, campaign.text, campaign.account) == (flow, "", account)
    assert campaign.flow_url.endswith(f"/acme/exoml/start_voice/{flow.flow_id}")
    gather = flow.document["steps"][0]["gather"]
    assert gather["prompt"] == [{"say": "There is no class tomorrow."}]
    assert gather["attempts"] == 2
    assert gather["branches"] == {"1": [{"say": "Thank you."}], "9": [{"opt_out": True}, {"say": "Goodbye."}]}
    assert AuditEntry.objects.filter(verb="created", object_kind="campaigns.flow", actor_name="meera").exists()

    post(meera, filled(caller_id, repeats="1", **answers))
    assert Flow.objects.count() == 1, "the same words are one flow"


def test_a_campaign_that_is_refused_leaves_no_flow(meera, caller_id, settings):
    settings.MAX_OPEN_CALLS_PER_ACCOUNT = 1
    refused = post(meera, filled(caller_id, key_1="1", answer_1="Thank you."))
    assert "the account may have 1 more" in errors(refused)["form"]
    assert not Flow.objects.exists()
    assert not Campaign.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_flow_of_the_account_is_chosen(meera, account, caller_id):
    flow = FlowFactory(account=account)
    post(meera, filled(caller_id, text="", flow=flow.flow_id))
    assert Campaign.objects.get().flow == flow


def test_a_large_list_is_left_to_the_loader(meera, account, caller_id, monkeypatch):
    monkeypatch.setattr("campaigns.audience.AT_ONCE", 2)
    chosen = ContactListFactory(account=account)
    ListEntryFactory.create_batch(3, contact_list=chosen)
    post(meera, filled(caller_id, numbers="", lists=[chosen.pk.hex], count="3"))
    campaign = Campaign.objects.get()
    assert (campaign.is_loading, campaign.calls_expected, campaign.list_ids) == (True, 3, [chosen.pk])


def test_a_dynamic_list_fills_the_text(meera, account, caller_id):
    chosen = ContactListFactory(account=account, dynamic=True)
    ListEntryFactory(
        contact_list=chosen, contact__number=A, values={"Name": "Asha", "Fee": "10"}, values_digest="0" * 32
    )
    fields = filled(caller_id, numbers="", lists=[chosen.pk.hex], count="1", text="Dear @@Name, @@Fee are due.")
    post(meera, fields)
    assert (Campaign.objects.get().type, Call.objects.get().variables) == ("dynamic", {"Name": "Asha", "Fee": "10"})
    refused = post(meera, fields | {"text": "Dear @@Nme", "key": "another"})
    assert "names no column of the list" in errors(refused)["text"]


def test_those_who_did_not_answer_are_called_again(meera, account, caller_id):
    parent = CampaignFactory(account=account, completed=True, caller_id=caller_id)
    CallFactory(failed=True, campaign=parent, number=A, last_outcome="no-answer")
    CallFactory(failed=True, campaign=parent, number=B, last_outcome="busy")
    CallFactory(failed=True, campaign=parent, number=C, last_outcome="no-answer")
    DoNotCallFactory(account=account, number=C)
    post(meera, filled(caller_id, numbers="", parent=parent.pk.hex, who=["no-answer"], count="1", text="Once more."))

    child = Campaign.objects.exclude(pk=parent.pk).get()
    assert (child.parent, child.text, child.flow) == (parent, "Once more.", None)
    assert list(child.calls.values_list("number", flat=True)) == [A]


def test_those_of_a_campaign_whose_end_has_passed_are_called_at_a_later_moment(meera, account, caller_id):
    past = timezone.now() - timedelta(minutes=5)
    parent = CampaignFactory(account=account, completed=True, caller_id=caller_id, end_at=past, expires_at=past)
    CallFactory(failed=True, campaign=parent, number=A, last_outcome="no-answer")
    fields = filled(caller_id, numbers="", parent=parent.pk.hex, count="1", start="2026-03-02T13:00")
    assert post(meera, fields).status_code == 302
    child = Campaign.objects.exclude(pk=parent.pk).get()
    assert (child.send_at.isoformat(), child.end_at) == ("2026-03-02T07:30:00+00:00", None)


# What is wrong --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"numbers": ""}, "numbers", "Say who is called"),
        ({"numbers": "nobody"}, "numbers", "no number to call"),
        ({"numbers": f"{A}, 12"}, "without_bad", "can't be called"),
        ({"text": ""}, "text", "Say what people hear"),
        ({"text": "Dear @@Name"}, "text", "can't be filled"),
        ({"flow": "12"}, "text", "only one of"),
        ({"caller_id": "+911111111111"}, "caller_id", "is not a caller ID of this account"),
        ({"caller_id": ""}, "caller_id", "Choose the number"),
        ({"start": "tomorrow"}, "start", "date and the time"),
        ({"start": "2026-03-01T10:00"}, "start", "has passed"),
        ({"end": "2026-03-02T10:00"}, "end", "Must be after the start"),
        ({"retries": "4"}, "retries", "less than or equal to 3"),
        ({"retries": "1", "interval": ""}, "interval", "how many minutes"),
        ({"retries": "1", "on_status": None}, "on_status", ""),
        ({"pace": "1000"}, "pace", "calls a minute"),
        ({"name": "x"}, "name", "at least 3"),
        ({"ring_timeout": "1"}, "ring_timeout", "greater than or equal to 5"),
        ({"machine_detection": "listen"}, "machine_detection", "must be one of"),
        ({"rules": ["eu"]}, "rules", "there is no rule set eu"),
        ({"status_callback": "ftp://x.example"}, "status_callback", "http"),
        ({"status_callback": "http://10.0.0.1/"}, "status_callback", "private"),
        ({"lists": ["0" * 32], "numbers": ""}, "lists", "There is no list"),
        ({"lists": ["0" * 32]}, "lists", "only one of them"),
        ({"parent": "0" * 32, "numbers": ""}, "parent", "no such campaign"),
        ({"key_1": "x", "answer_1": "Yes"}, "answers", "which key"),
        ({"key_1": "1", "answer_1": "Yes", "key_2": "1", "answer_2": "No"}, "answers", "two answers"),
        ({"key_1": "1", "answer_1": "Yes @@Name"}, "answers", "@@"),
        ({"key_1": "1", "answer_1": "Yes", "text": ""}, "text", "Say what people hear"),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_stored(meera, caller_id, fields, place, says):
    refused = post(meera, filled(caller_id, **fields))
    assert refused.status_code == 400
    assert says.lower() in errors(refused)[place].lower()
    assert f'id="told-{place}"' in text(refused) or place == "without_bad"
    assert not Campaign.objects.exists()
    assert not AuditEntry.objects.exists()


def test_every_error_has_a_place_on_the_page(meera, caller_id):
    page = text(meera.get(reverse("admin:new_campaign_of", args=["acme"])))
    missing = {place for place in drafts.PLACES if f'id="told-{place}"' not in page}
    assert missing == {"without_bad"}, "which stands in the preview"


def test_a_carrier_of_flows_of_its_own_takes_no_text_with_answers(meera, account):
    own = CallerIdFactory(account=account, trunk__exotel=True)
    refused = post(meera, filled(own, key_1="1", answer_1="Yes"))
    assert "run flows of the carrier's own account" in errors(refused)["text"]
    assert not Flow.objects.exists()


def test_what_can_t_be_called_is_left_out_on_demand(meera, account, caller_id):
    DoNotCallFactory(account=account, number=B)
    CallAttemptFactory(completed=True, call__campaign__account=account, call__number=C, callee=C)
    fields = filled(caller_id, numbers=f"{A}, {B}, {C}, 12, {A}", without_bad="on", count="2")

    shown = post(meera, fields | {"do": ""}, name="new_campaign_preview")
    found = shown.context["people"]
    assert (found.count, found.listed, found.today, found.duplicates, found.bad_count) == (2, 1, 1, 1, 1)
    page = text(shown)
    assert "line 1: <code>12</code>" in page
    assert "1 on the do-not-call list: never called" in page
    assert "1 called today already" in page
    assert "Call 2 people" in page
    assert not Campaign.objects.filter(status="created").exists(), "a preview stores nothing"

    post(meera, fields | {"without_today": "on", "count": "1"})
    assert list(Campaign.objects.get(status="created").calls.values_list("number", flat=True)) == [A]


# Preview --------------------------------------------------------------------------------------------------------------


def test_the_preview_says_how_it_will_go(meera, account, caller_id):
    numbers = "\n".join(f"+9198100{number:05d}" for number in range(300))
    page = text(post(meera, filled(caller_id, numbers=numbers), name="new_campaign_preview"))
    assert "300 people, about" in page
    assert "min at 60 channels; done by 1" in page


def test_the_preview_says_who_won_t_fit(meera, account, caller_id):
    account.starts_per_minute = 10
    account.save()
    numbers = "\n".join(f"+9198100{number:05d}" for number in range(300))
    fields = filled(caller_id, numbers=numbers, end="2026-03-02T11:40")
    page = text(post(meera, fields, name="new_campaign_preview"))
    assert "of 300 won&#x27;t fit before 11:40" in page


def test_the_preview_tells_retries_in_words(meera, caller_id):
    fields = filled(caller_id, retries="2", interval="10", mechanism="Exponential", on_status=["busy", "no-answer"])
    page = text(post(meera, fields, name="new_campaign_preview"))
    assert "Busy or no answer: again after 10 min, then after 20 min." in page


def test_the_preview_of_a_page_that_is_not_filled_in_blames_nobody(meera, caller_id):
    fields = filled(caller_id, numbers="", text="")
    shown = post(meera, fields, name="new_campaign_preview")
    assert errors(shown) == {}
    assert "Nobody yet" in text(shown)


def test_the_preview_draws_the_flow(meera, account, caller_id):
    flow = FlowFactory(account=account, document={"steps": [{"say": "Hello <b>you</b>"}]})
    page = text(post(meera, filled(caller_id, text="", flow=flow.flow_id), name="new_campaign_preview"))
    assert "Say: Hello &lt;b&gt;you&lt;/b&gt;</text>" in page


def test_rejected_rows_of_a_list_are_shown(meera, account, caller_id):
    chosen = ContactListFactory(account=account)
    ListEntryFactory(contact_list=chosen)
    upload = CsvUploadFactory(account=account, contact_list=chosen, completed=True)
    RejectedRowFactory(upload=upload, line=7)
    shown = post(meera, filled(caller_id, numbers="", lists=[chosen.pk.hex]), name="new_campaign_preview")
    page = text(shown)
    assert "line 7: <code>+9112</code> not a valid number: +9112" in page
    assert f"upload__id__exact={upload.pk}" in page
    assert "Call 1 person" in page


def test_a_list_that_is_being_loaded_is_waited_for(meera, account, caller_id):
    chosen = CsvUploadFactory(account=account).contact_list
    ListEntryFactory(contact_list=chosen)
    fields = filled(caller_id, numbers="", lists=[chosen.pk.hex], count="1")
    shown = post(meera, fields, name="new_campaign_preview")
    assert 'data-again="2"' in text(shown)
    assert "still being loaded" in errors(shown)["lists"]
    post(meera, fields)
    assert not Campaign.objects.exists()


def test_who_was_called_today_is_told_by_the_accounts_clocks(account, clock):
    for number, hours in ((A, 1), (B, 12)):
        at = timezone.now() - timedelta(hours=hours)
        CallAttemptFactory(
            completed=True, call__campaign__account=account, call__number=number, callee=number, claimed_at=at
        )
    CallAttemptFactory(in_progress=True, call__campaign__account=account, call__number=C, callee=C)
    CallAttemptFactory(completed=True, call__number="+919810012348", callee="+919810012348")
    found = people.called_today(account, [A, B, C, "+919810012348"], timezone.now())
    assert found == {A, C}


def test_the_queries_do_not_grow_with_the_numbers(meera, account, caller_id):
    def queries(count):
        numbers = "\n".join(f"+9198100{number:05d}" for number in range(count))
        with CaptureQueriesContext(connection) as found:
            post(meera, filled(caller_id, numbers=numbers), name="new_campaign_preview")
        return len(found)

    queries(1)
    assert queries(200) == queries(2)


def test_the_queries_of_the_page_do_not_grow_with_what_is_there(meera, account, caller_id):
    def queries():
        with CaptureQueriesContext(connection) as found:
            meera.get(reverse("admin:new_campaign_of", args=["acme"]))
        return len(found)

    few = queries()
    ContactListFactory.create_batch(5, account=account)
    FlowFactory.create_batch(5, account=account)
    CampaignFactory.create_batch(5, account=account, running=True)
    assert queries() == few


# Clone ----------------------------------------------------------------------------------------------------------------


def test_a_clone_fills_the_page(meera, account, caller_id):
    fields = filled(
        caller_id, name="Fees", wait_key="on", retries="1", interval="10", pace="5", ring_timeout="20", custom_field="x"
    )
    post(meera, fields)
    first = Campaign.objects.get()
    shown = meera.get(reverse("admin:new_campaign_of", args=["acme"]), {"clone": first.pk.hex})
    form = shown.context["form"]
    copied = {**form.texts, **form.several, "count": "2", "do": "create"}
    post(meera, copied)
    second = Campaign.objects.exclude(pk=first.pk).get()
    same = ("name", "caller_id", "text", "flow_type", "number_of_retries", "retry_interval_mins", "retry_on_status")
    for name in (*same, "mode", "throttle", "ring_timeout", "rules", "list_ids", "type"):
        assert getattr(first, name) == getattr(second, name), name
    assert second.custom_field.value == "x"
    assert [call.number for call in second.calls.order_by("pk")] == [A, B]


def test_a_campaign_of_others_is_not_cloned(meera):
    theirs = CampaignFactory()
    for wanted in (theirs.pk.hex, "nonsense"):
        assert meera.get(reverse("admin:new_campaign_of", args=["acme"]), {"clone": wanted}).status_code == 404


# Call me first --------------------------------------------------------------------------------------------------------


def test_one_calls_oneself_first(meera, account, caller_id):
    fields = filled(caller_id, numbers="", do="trial", trial_number="98100 12347", retries="3")
    first, second = post(meera, fields), post(meera, fields)
    assert "Your phone rings in a moment" in text(first)
    assert second.status_code == 200
    campaign = Campaign.objects.get()
    assert (campaign.name, campaign.text, campaign.number_of_retries) == ("Trial call", fields["text"], 0)
    assert campaign.expires_at == timezone.now() + timedelta(minutes=15)
    assert [call.number for call in campaign.calls.all()] == [C]
    assert AuditEntry.objects.get(verb="created").actor_name == "meera"
    assert first.context["form"].get("trial_key") != fields["trial_key"], "the next press calls once more"
    assert first.context["form"].get("text") == fields["text"]


def test_a_trial_hears_the_values_of_the_first_row(meera, account, caller_id):
    chosen = ContactListFactory(account=account, dynamic=True)
    ListEntryFactory(contact_list=chosen, values={"Name": "Asha", "Fee": "10"}, values_digest="0" * 32)
    fields = filled(caller_id, numbers="", lists=[chosen.pk.hex], do="trial", trial_number=C, text="Dear @@Name")
    post(meera, fields)
    assert Campaign.objects.get().text == "Dear Asha"


@pytest.mark.parametrize(
    ("number", "says"),
    [("", "number of your own"), ("12", "not a valid number"), ("+12025550123", "IN only"), (B, "do-not-call")],
)
def test_a_trial_goes_to_a_number_to_call(meera, account, caller_id, number, says):
    DoNotCallFactory(account=account, number=B)
    refused = post(meera, filled(caller_id, do="trial", trial_number=number))
    assert refused.status_code == 400
    assert says in errors(refused)["trial_number"]
    assert not Campaign.objects.exists()


def test_a_trial_that_would_ring_in_the_night_is_refused(account, caller_id, clock):
    account.opens_at, account.closes_at = time(10, 30), time(21)
    account.save()
    clock.shift(timedelta(hours=12))
    meera = sign_in("operator", account, "asha")
    refused = post(meera, filled(caller_id, do="trial", trial_number=C))
    assert "would not ring before 2026-03-03 10:30 IST" in errors(refused)["trial_number"]
    assert not Campaign.objects.exists()


def test_a_trial_is_asked_the_rules_for_the_person_whom_it_rings(account, caller_id, clock):
    """From 8 to 19 h by the rule set, at 20 h; and one that waits for the gap."""
    account.opens_at = account.closes_at = time(0)
    account.rules, account.number_gap_seconds = ["in-collections"], 3600
    account.save()
    meera = sign_in("operator", account, "asha")
    clock.shift(timedelta(hours=8, minutes=30))
    refused = post(meera, filled(caller_id, do="trial", trial_number=C))
    assert "outside the recipient's hours 08:00-19:00 Asia/Kolkata" in errors(refused)["trial_number"]
    account.rules = []
    account.save()
    CallAttemptFactory(
        call__campaign__account=account,
        call__number=C,
        busy=True,
        placing_at=timezone.now() - timedelta(minutes=50),
        ended_at=timezone.now() - timedelta(minutes=40),
    )
    refused = post(meera, filled(caller_id, do="trial", trial_number=C))
    assert "two calls to a number are 1:00:00 apart" in errors(refused)["trial_number"]
    assert not Campaign.objects.filter(name="Trial call").exists()


# People ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["new_campaign_of", "new_campaign_preview", "upload_for_campaign"])
def test_an_account_of_others_does_not_exist(meera, caller_id, name):
    AccountFactory(sid="umbrella")
    for sid in ("umbrella", "nobody"):
        assert post(meera, filled(caller_id), sid, name).status_code == 404
    assert not Campaign.objects.exists()


@pytest.mark.parametrize("name", ["new_campaign_of", "new_campaign_preview", "upload_for_campaign"])
def test_a_viewer_creates_nothing(account, caller_id, name):
    asha = sign_in("viewer", account, "asha")
    assert post(asha, filled(caller_id), name=name).status_code == 403
    assert asha.get(reverse("admin:new_campaign_of", args=["acme"])).status_code == 403
    assert asha.get(reverse("admin:new_campaign")).status_code == 403
    assert not Campaign.objects.exists()


def test_rows_of_others_are_not_taken(meera, account, caller_id):
    theirs = AccountFactory(sid="umbrella")
    flow, chosen = FlowFactory(account=theirs), ContactListFactory(account=theirs)
    parent, line = CampaignFactory(account=theirs, completed=True), CallerIdFactory(account=theirs)
    for fields, place in (
        ({"text": "", "flow": flow.flow_id}, "flow"),
        ({"numbers": "", "lists": [chosen.pk.hex]}, "lists"),
        ({"numbers": "", "parent": parent.pk.hex}, "parent"),
        ({"caller_id": line.number}, "caller_id"),
    ):
        assert place in errors(post(meera, filled(caller_id, **fields)))
    assert Campaign.objects.get() == parent


def test_somebody_with_one_account_is_there_at_once_and_others_choose(meera, account):
    assert "For acme." in text(meera.get(reverse("admin:new_campaign")))
    AccountFactory(sid="umbrella")
    page = text(sign_in("operator", None, "root").get(reverse("admin:new_campaign")))
    assert reverse("admin:new_campaign_of", args=["umbrella"]) in page


def test_a_form_of_another_site_does_nothing(account, caller_id, meera):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = meera.cookies
    for name in ("new_campaign_of", "new_campaign_preview", "upload_for_campaign", "upload_list"):
        assert post(strict, filled(caller_id), name=name).status_code == 403
    assert not Campaign.objects.exists()


def test_numbers_stand_in_no_audit_entry(meera, caller_id):
    post(meera, filled(caller_id))
    assert not AuditEntry.objects.filter(what__contains="98100").exists()
    assert not DoNotCall.objects.exists()
    assert ContactFactory._meta.model.objects.count() == 0


class Fields(HTMLParser):
    """Reads what a browser would send of the page's form, but for the buttons."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self._select = self._area = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "input" and given.get("type") in {"checkbox", "submit", "file"}:
            if "checked" in given:
                self._add(given["name"], given.get("value", "on"))
        elif tag == "input":
            self._add(given["name"], given.get("value", ""))
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and "selected" in given:
            self._add(self._select, given.get("value"))
        elif tag == "textarea":
            self._area = given["name"]
            self._add(self._area, "")

    def handle_data(self, data):
        if self._area:
            self.sent[self._area][-1] += data
        elif self._select and self.sent.get(self._select, [""])[-1] is None:
            self.sent[self._select][-1] = data.strip()

    def handle_endtag(self, tag):
        self._area = "" if tag == "textarea" else self._area

    def _add(self, name, value):
        self.sent.setdefault(name, []).append(value)


def test_the_page_keeps_everything_that_was_filled_in(meera, account, caller_id):
    flow, chosen = FlowFactory(account=account), ContactListFactory(account=account)
    parent = CampaignFactory(account=account, completed=True, caller_id=caller_id)
    other = CallerIdFactory(account=account)
    given = {
        "numbers": f"{A}, 12 & <b>",
        "lists": [chosen.pk.hex],
        "parent": parent.pk.hex,
        "who": ["busy", "untried"],
        "list_name": "parents",
        "list_kind": "dynamic",
        "text": "There is no class.\nGoodbye.",
        "wait_key": "on",
        "repeats": "3",
        "key_2": "9",
        "answer_2": "Goodbye.",
        "stop_2": "on",
        "flow": flow.flow_id,
        "caller_id": other.number,
        "start": "2026-03-02T12:00",
        "end": "2026-03-02T18:00",
        "retries": "2",
        "interval": "15",
        "mechanism": "Exponential",
        "on_status": ["busy"],
        "pace": "7",
        "name": "No class",
        "ring_timeout": "20",
        "machine_detection": "hang-up",
        "duplicates": "on",
        "rules": ["us"],
        "custom_field": "x",
        "status_callback": "https://client.example/a",
        "call_status_callback": "https://client.example/b",
        "call_schedule_callback": "https://client.example/c",
        "trial_number": C,
        "key": "one",
        "trial_key": "two",
    }
    shown = Fields(post(meera, given).content.decode()).sent
    for name, value in given.items():
        assert shown.get(name) == (value if isinstance(value, list) else [value]), name


def test_a_fresh_page_calls_nobody_again_unless_it_is_told(meera, caller_id):
    shown = Fields(meera.get(reverse("admin:new_campaign_of", args=["acme"])).content.decode()).sent
    assert shown["on_status"] == ["no-answer", "busy", "failed"]
    assert shown["who"] == ["no-answer"]
    assert shown["retries"] == ["0"]
    assert shown["key"] != shown["trial_key"]
