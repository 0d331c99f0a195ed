"""Find a number."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.audit_entry import AuditEntry
from accounts.models import Account
from campaigns import lifecycle
from console import number_text, numbers
from contacts import do_not_call
from contacts.models import Contact, ContactList, DoNotCall, ListEntry
from dialer import recordings
from dialer.models import Recording
from tests.console.people import sign_in, words
from tests.factories import (
    ACTOR,
    AccountFactory,
    ApiKeyFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactListFactory,
    ListEntryFactory,
    RecordingFactory,
    TransferFactory,
)
from tests.plans import forget_statistics

pytestmark = pytest.mark.django_db

NUMBER = "+919810077777"


@pytest.mark.parametrize(
    "spelled", ["9810077777", "09810077777", "98100 77777", "0091 98100-77777", "919810077777", NUMBER, f" {NUMBER} "]
)
def test_any_spelling_is_read(spelled):
    AccountFactory(region="IN")
    assert numbers.readings(spelled, None) == [NUMBER]


def test_a_text_is_read_in_the_countries_of_the_persons_accounts_alone():
    indian, german = AccountFactory(region="IN"), AccountFactory(region="DE")
    assert numbers.readings("030 901820", {indian.pk}) == []
    assert numbers.readings("030 901820", {german.pk}) == ["+4930901820"]
    assert numbers.readings("no number", None) == []


def test_all_that_was_done_at_a_number_is_found():
    call = CallFactory(completed=True, number=NUMBER)
    account: Account = call.campaign.account
    first = CallAttemptFactory(completed=True, call=call, digits="2")
    waiting = CallFactory(number=NUMBER, campaign__account=account)
    CallFactory()
    contact_list = ContactList.objects.create(account=account, name="Parents")
    ListEntry.objects.create(contact_list=contact_list, contact=Contact.objects.create(account=account, number=NUMBER))
    do_not_call.add(account, [NUMBER], source=DoNotCall.Source.API, actor=ACTOR)

    found = numbers.find(NUMBER, None)

    assert {row.pk for row in found.calls} == {call.pk, waiting.pk}
    assert found.last == first
    assert found.lists == [("Parents", account.sid)]
    [(sid, reason)] = found.listings
    assert sid == account.sid
    assert re.fullmatch(r"on the do-not-call list: added by the API, \d{4}-\d\d-\d\d \d\d:\d\d IST, by .+", reason)
    assert found.callers == [account]


def test_nothing_of_other_accounts_is_found():
    CallAttemptFactory(completed=True, call=CallFactory(completed=True, number=NUMBER))
    own, other = AccountFactory(), AccountFactory()
    do_not_call.add(other, [NUMBER], source=DoNotCall.Source.API, actor=ACTOR)
    do_not_call.add(None, [NUMBER], source=DoNotCall.Source.ADMIN, actor=ACTOR)
    ListEntry.objects.create(
        contact_list=ContactList.objects.create(account=other, name="Others"),
        contact=Contact.objects.create(account=other, number=NUMBER),
    )

    found = numbers.find(NUMBER, {own.pk})

    assert (found.calls, found.attempts, found.lists, found.last) == ([], [], [], None)
    [(sid, reason)] = found.listings
    assert sid == ""
    assert reason.startswith("on the do-not-call list of all accounts: added by a person, ")
    assert found.callers == [own]


def test_an_attempt_that_was_given_back_is_no_call():
    call = CallFactory(number=NUMBER, campaign__running=True)
    CallAttemptFactory(canceled=True, call=call, claimed_at=timezone.now())
    found = numbers.find(NUMBER, None)
    assert len(found.attempts) == 1
    assert found.rings == []


# Calls of flows -------------------------------------------------------------------------------------------------------


def connected(account, **columns):
    """Connect somebody who was called to the number."""
    at = columns.pop("at", timezone.now())
    columns = {"placing_at": at, "ended_at": at, "outcome": "completed", "talk_seconds": 31} | columns
    attempt = CallAttemptFactory(completed=True, call__campaign__account=account, call__number="+919810000009")
    return TransferFactory(attempt=attempt, number=NUMBER, started_at=at, **columns)


def test_calls_that_flows_made_to_it_are_in_its_history_and_its_reasons():
    account = AccountFactory(sid="acme", time_zone="Asia/Kolkata")
    now = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    leg = connected(account, at=now - timedelta(hours=1))
    campaign = leg.attempt.campaign

    found = numbers.find(NUMBER, {account.pk})

    assert (found.legs, found.last, found.callers) == ([leg], leg, [account])
    assert [(reason.campaign, reason.how) for reason in found.reasons] == [
        (campaign, "a flow of the campaign connected the person called to this number")
    ]
    counted = "1 call in 1 campaign, 1 of them to connect somebody else who was called"
    assert number_text.summary(found, now) == f"{counted}; 1 today; the last 2026-03-03 09:30 IST: completed."
    text = number_text.of(found, now)
    line = f"2026-03-03 09:30 IST  “{campaign.name}” of acme, from {campaign.caller_id_given}: completed, 31 s"
    assert f"{line}, to connect somebody else who was called" in text
    assert "+919810000009" not in text, "the text is for the person who complains"
    page = words(sign_in("operator", account).get(reverse("admin:find_number"), {"q": NUMBER}))
    assert f"2026-03-03 09:30 IST {campaign.name} acme {campaign.caller_id_given} completed 31 s +919810000009" in page
    assert "Never call again by acme" in page


def test_a_number_is_counted_once_where_campaigns_call_it_and_flows_do():
    account = AccountFactory()
    now = timezone.now()
    call = CallFactory(completed=True, number=NUMBER, campaign__account=account)
    attempt = CallAttemptFactory(completed=True, call=call, claimed_at=now - timedelta(minutes=1))
    older, newer = (connected(account, at=now - timedelta(minutes=ago)) for ago in (2, 0))
    found = numbers.find(NUMBER, None)
    assert found.rings == [newer, attempt, older]
    assert number_text.summary(found, now).startswith("3 calls in 3 campaigns, 2 of them to connect somebody else")


def test_legs_that_did_not_ring_and_those_to_agents_and_of_others_are_no_calls():
    account = AccountFactory()
    connected(account, placing_at=None, outcome="failed", rule="number-cap", talk_seconds=None)
    connected(account, to_person=False)
    connected(AccountFactory())
    found = numbers.find(NUMBER, {account.pk})
    assert (found.legs, found.reasons) == ([], [])
    assert number_text.summary(found, timezone.now()) == "We have never called this number."


def test_older_legs_are_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(numbers, "MOST_CALLS", 1)
    account = AccountFactory()
    older, newer = (connected(account, at=timezone.now() - timedelta(minutes=ago)) for ago in (2, 1))
    found = numbers.find(NUMBER, None)
    assert (found.legs, found.has_more) == ([newer], True)
    assert [reason.campaign for reason in found.reasons] == found.campaigns == [newer.attempt.campaign]
    assert number_text.summary(found, timezone.now()).startswith("At least 1 call in 1 campaign")
    monkeypatch.setattr(numbers, "MOST_CALLS", 2)
    found = numbers.find(NUMBER, None)
    assert (found.legs, found.has_more) == ([newer, older], False)


def test_legs_are_found_by_an_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        forget_statistics(cursor)
    plan = numbers._legs_to(NUMBER, {AccountFactory().pk}).explain()
    assert "transfer_to_person" in plan


# Why, what was recorded, and as a text --------------------------------------------------------------------------------


def why(campaign) -> tuple[str, str]:
    [reason] = [one for one in numbers.find(NUMBER, None).reasons if one.campaign == campaign]
    return reason.made_by, reason.how


def create(actor, **columns):
    """Create a campaign to the number, as programs and people do."""
    account = columns.pop("account", None) or AccountFactory()
    line = CallerIdFactory(account=account)
    text = {"flow_type": "greeting", "text": "Hello.", "caller_id": line, "caller_id_given": line.number}
    numbers_given = [] if "list_ids" in columns else [NUMBER]
    return lifecycle.create(account, actor=actor, numbers=numbers_given, now=timezone.now(), **text, **columns)


def test_it_says_who_made_a_campaign_of_numbers_and_where_they_came_from(django_user_model):
    meera, key = django_user_model.objects.create_user("meera"), ApiKeyFactory(name="laptop")
    assert why(create(audit.of_user(meera))) == ("meera", "typed or pasted into the console")
    assert why(create(audit.of_key(key))) == ("API key laptop", "sent to the API with the campaign")
    assert why(create(audit.SYSTEM)) == ("system", "given on the command line")
    assert why(CallFactory(number=NUMBER).campaign) == ("", "given with the campaign"), "older than the audit log"


def test_it_says_which_list_had_the_number():
    account = AccountFactory()
    fees, staff = (ContactListFactory(account=account, name=name) for name in ("Fees", "Staff"))
    contact = Contact.objects.create(account=account, number=NUMBER)
    entry = ListEntryFactory(contact_list=fees, contact=contact)
    both = create(ACTOR, account=account, list_ids=[fees.pk])
    both.list_ids = [fees.pk, staff.pk]
    both.save()
    assert why(both)[1] == "from the list Fees"

    entry.delete()
    assert why(both)[1] == "from one of the lists Fees, Staff, where it is no longer"
    both.list_ids = [fees.pk]
    both.save()
    key = fees.pk.hex
    fees.delete()
    assert why(both)[1] == f"from the list {key} (deleted), where it is no longer"


def test_it_says_whom_a_campaign_calls_again():
    parent = CampaignFactory(completed=True, name="Fees")
    child = CampaignFactory(account=parent.account, parent=parent, again={"who": ["busy"], "pressed": ["2"]})
    CallFactory(campaign=child, number=NUMBER)
    assert why(child)[1] == "called again after “Fees”: busy, pressed 2"
    child.parent_id = CampaignFactory(name="Others").pk
    child.save()
    assert why(child)[1] == "called again after a campaign that was deleted: busy, pressed 2"


def test_the_queries_do_not_grow_with_the_calls():
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            number_text.of(numbers.find(NUMBER, None), timezone.now())
        return len(captured)

    account = AccountFactory()
    contact_list = ContactListFactory(account=account)

    def call():
        campaign = CampaignFactory(account=account, list_ids=[contact_list.pk], parent=CampaignFactory(), again={})
        RecordingFactory(attempt__call=CallFactory(completed=True, number=NUMBER, campaign=campaign))
        connected(account)

    call()
    one = queries()
    for _ in range(3):
        call()
    assert queries() == one


def test_calls_of_today_and_yesterday_are_counted_by_the_account_s_clock():
    account = AccountFactory(time_zone="Asia/Kolkata")
    now = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    for hours in (1, 11, 25, 50):  # 9:30 today; 23:30, 9:30 yesterday; two days ago
        call = CallFactory(completed=True, number=NUMBER, campaign__account=account)
        CallAttemptFactory(completed=True, call=call, claimed_at=now - timedelta(hours=hours), digits="2")
    summary = number_text.summary(numbers.find(NUMBER, None), now)
    assert summary == (
        "4 calls in 4 campaigns; 1 today; 2 yesterday; the last 2026-03-03 09:30 IST: completed, pressed 2."
    )


def test_older_calls_are_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(numbers, "MOST_CALLS", 1)
    for _ in range(2):
        CallAttemptFactory(completed=True, call=CallFactory(completed=True, number=NUMBER))
    found = numbers.find(NUMBER, None)
    assert found.has_more
    assert number_text.summary(found, timezone.now()).startswith("At least 1 call in 1 campaign")


def test_the_text_has_what_a_complaint_asks_for():
    account = AccountFactory(sid="acme", time_zone="Asia/Kolkata")
    campaign = create(ACTOR, account=account, name="Fees")
    now = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    call = CallFactory(completed=True, number=NUMBER, campaign__account=account, campaign__name="Buses")
    told = {"digits": "2", "duration_seconds": 12, "claimed_at": now - timedelta(hours=1)}
    RecordingFactory(attempt=CallAttemptFactory(completed=True, call=call, **told))
    do_not_call.add(account, [NUMBER], source=DoNotCall.Source.ADMIN, actor=ACTOR)

    text = number_text.of(numbers.find(NUMBER, None), now)

    assert text.startswith(f"{NUMBER}, as of 2026-03-03 10:30 IST\n1 call in 2 campaigns; 1 today")
    line = call.campaign.caller_id_given
    assert f"2026-03-03 09:30 IST  “Buses” of acme, from {line}: completed, 12 s, pressed 2, recorded" in text
    assert "acme: on the do-not-call list: added by a person, " in text
    assert f"“Fees” of acme, made {campaign.created_at.astimezone(account.zone):%Y-%m-%d %H:%M} IST by " in text
    page = words(sign_in("viewer", account).get(reverse("admin:find_number"), {"q": NUMBER}))
    assert "As text, to answer a complaint" in page
    assert "“Buses” of acme, from" in page


@pytest.fixture
def recording(settings, tmp_path):
    """Have a recording of ours."""
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    attempt = CallAttemptFactory(completed=True, call=CallFactory(completed=True, number=NUMBER))
    return recordings.save(attempt, "1.1", io.BytesIO(b"RIFF sound"), 3, timezone.now())


def test_a_recording_is_heard_by_who_sees_the_call_and_that_is_recorded(recording):
    viewer = sign_in("viewer", recording.attempt.campaign.account)
    address = reverse("admin:hear_recording", args=[recording.pk])
    page = viewer.get(reverse("admin:find_number"), {"q": NUMBER})
    assert f'<audio controls preload="none" src="{address}"' in page.content.decode()
    assert "media-src 'self'" in page.headers["Content-Security-Policy"]
    assert "token=" not in page.content.decode(), "its own address opens to anybody who has it"
    heard: Any = viewer.get(address)
    assert (heard["Content-Type"], b"".join(heard.streaming_content)) == ("audio/wav", b"RIFF sound")
    entry = AuditEntry.objects.latest("id")
    assert (entry.actor, entry.verb, entry.object_id) == ("meera", "downloaded", str(recording.attempt.campaign_id))


def test_a_recording_that_is_not_there_is_not_found(recording):
    address = reverse("admin:hear_recording", args=[recording.pk])
    assert sign_in("administrator", AccountFactory(), "asha").get(address).status_code == 404
    viewer = sign_in("viewer", recording.attempt.campaign.account)
    assert viewer.get(reverse("admin:hear_recording", args=[RecordingFactory().pk])).status_code == 404
    recordings.storage().delete(recording.file)
    assert viewer.get(address).status_code == 404


@pytest.mark.parametrize(("url", "is_link"), [("https://carrier.example/1.wav", True), ("javascript:alert(1)", False)])
def test_a_recording_at_the_carrier_is_a_link_to_it(url, is_link):
    attempt = CallAttemptFactory(completed=True, call=CallFactory(completed=True, number=NUMBER), recording_url=url)
    RecordingFactory(attempt=attempt, url=url, seconds=7)
    page = sign_in("viewer", attempt.campaign.account).get(reverse("admin:find_number"), {"q": NUMBER})
    assert page.content.decode().count(f'href="{url}"') == (2 if is_link else 0)
    assert ("7 s, at the carrier" in words(page)) is is_link
    assert Recording.objects.count() == 1


def test_a_number_is_listed_by_a_button_for_each_account_or_by_a_choice_among_many():
    AccountFactory.create_batch(2, region="IN")
    root = sign_in("administrator", None, "root")
    page = root.get(reverse("admin:find_number"), {"q": NUMBER}).content.decode()
    assert page.count("<button>Never call again</button>") == 2
    accounts = AccountFactory.create_batch(2, region="IN")
    page = root.get(reverse("admin:find_number"), {"q": NUMBER}).content.decode()
    assert page.count("<button>Never call again</button>") == 1
    assert page.count("<option value=") == 5
    do_not_call.add(accounts[0], [NUMBER], source=DoNotCall.Source.API, actor=ACTOR)
    page = root.get(reverse("admin:find_number"), {"q": NUMBER}).content.decode()
    assert page.count("<button>Never call again</button>") == 3, "one of them has it on its list"
