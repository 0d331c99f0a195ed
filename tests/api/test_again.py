"""A child campaign of those who were not reached, or pressed a key: who is in it, who is skipped, what it keeps."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import again as call_again
from campaigns import audience, loading
from campaigns.called_again import WHO, Selection
from campaigns.models import Call, Campaign
from contacts import address_book
from core.errors import WrongState
from tests.api.client import FLOW_URL
from tests.conftest import NUMBERS, states
from tests.factories import (
    ACTOR,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    DoNotCallFactory,
    FlowFactory,
)

A, B, C, D, E = NUMBERS[:5]


@pytest.fixture
def parent(account):
    flow = FlowFactory(account=account)
    return CampaignFactory(
        account=account,
        completed=True,
        name="renewals",
        flow=flow,
        flow_url=FLOW_URL,
        caller_id=CallerIdFactory(account=account),
        number_of_retries=1,
        retry_interval_mins=5,
        retry_on_status=["busy"],
        ring_timeout=25,
        rules=["uk"],
        waived_rules=["uk"],
        waived_because="asked for by the customer",
    )


def ended(parent, number, outcome="no-answer", **columns):
    return CallFactory(failed=True, campaign=parent, number=number, last_outcome=outcome, **columns)


def untried(parent, number, **columns):
    return CallFactory(canceled=True, campaign=parent, number=number, **columns)


def answered(parent, number, keys=""):
    call = CallFactory(completed=True, campaign=parent, number=number)
    CallAttemptFactory(call=call, completed=True, digits=keys)
    return call


def again(api, parent, *who, pressed=(), **more):
    body = {name: list(value) for name, value in (("who", who), ("pressed", pressed)) if value} | more
    return api.post(f"/campaigns/{parent.pk.hex}/again", body)


def people(response):
    return list(Call.objects.filter(campaign=response.data["id"]).order_by("id").values_list("number", flat=True))


@pytest.mark.parametrize(
    ("who", "pressed", "expected"),
    [
        (["no-answer"], [], [A]),
        (["busy", "failed"], [], [B, C]),
        (["untried"], [], [D]),
        (["no-answer", "untried"], ["2"], [A, D, NUMBERS[6]]),
        ([], ["2", "1"], [NUMBERS[5], NUMBERS[6]]),
    ],
)
def test_those_who_are_named_are_called_in_their_order(api, parent, who, pressed, expected):
    ended(parent, A), ended(parent, B, "busy"), ended(parent, C, "failed"), untried(parent, D)
    answered(parent, E), answered(parent, NUMBERS[5], "1"), answered(parent, NUMBERS[6], "2")
    answered(parent, NUMBERS[7], "22")
    assert people(again(api, parent, *who, pressed=pressed)) == expected


def test_the_listed_the_taken_out_and_those_reached_or_waiting_elsewhere_are_skipped(api, account, parent):
    for number in NUMBERS[:7]:
        ended(parent, number)
    DoNotCallFactory(account=account, number=A)
    DoNotCallFactory(for_all=True, number=B)
    DoNotCallFactory(number=C)  # another account's
    Call.objects.filter(number=D).update(rule="taken-out")
    child = CampaignFactory(account=account, running=True, parent=parent)
    grandchild = CampaignFactory(account=account, running=True, parent=child)
    CallFactory(campaign=child, number=E, completed=True)
    CallFactory(campaign=grandchild, number=NUMBERS[5])
    CallFactory(failed=True, campaign=child, number=NUMBERS[6])
    CallFactory(completed=True, campaign=CampaignFactory(account=account, running=True), number=NUMBERS[6])
    assert people(again(api, parent, "no-answer")) == [C, NUMBERS[6]]


def test_who_was_taken_out_by_hand_is_skipped_in_each_selection(api, account, parent):
    """After attempts or before, by another call to the number, or in a campaign that has called it again."""
    out = {"status": "canceled", "rule": "taken-out"}
    ended(parent, A, **out), untried(parent, B, rule="taken-out")
    ended(parent, C), untried(parent, C, rule="taken-out")
    ended(parent, D), answered(parent, E, "2")
    child = CampaignFactory(account=account, completed=True, parent=parent)
    grandchild = CampaignFactory(account=account, completed=True, parent=child)
    ended(child, D, **out), untried(grandchild, E, rule="taken-out")
    ended(parent, NUMBERS[5])
    ended(CampaignFactory(account=account, completed=True), NUMBERS[5], **out)
    found = call_again.find(parent, Selection(who=WHO, pressed=("2",)))
    assert (found.calls, dict(found.skipped)) == (1, {"taken-out": 6})
    assert people(again(api, parent, *WHO, pressed=["2"])) == [NUMBERS[5]]


def test_who_was_taken_out_or_reached_elsewhere_in_the_family_is_skipped(api, account, parent):
    """C1 is called again, a child of the parent: C2 is its sibling, N2 a child of that one, and G one of C1."""
    root = CampaignFactory(account=account, completed=True)
    parent.parent = root
    parent.save()
    c1, c2 = [CampaignFactory(account=account, completed=True, parent=parent) for _ in range(2)]
    n2, g = [CampaignFactory(account=account, completed=True, parent=made) for made in (c2, c1)]
    numbers = NUMBERS[:10]
    for number in numbers:
        ended(c1, number)
    out = {"status": "canceled", "rule": "taken-out"}
    for where, number in zip((root, parent, c2, n2, g), numbers, strict=False):
        ended(where, number, **out)
    for where, number in zip((c2, n2, g), numbers[5:], strict=False):
        answered(where, number)
    answered(parent, numbers[8], "2")  # c1 called these two for the key that they pressed, so that is no reason
    answered(root, numbers[9], "2")
    found = call_again.find(c1, Selection(who=("no-answer",)))
    assert (found.calls, dict(found.skipped)) == (2, {"taken-out": 5, "reached": 3})
    assert people(again(api, c1, "no-answer")) == numbers[8:]


def test_a_parent_that_was_purged_still_tells_its_children_of_each_other(api, account, parent):
    c1, c2 = [CampaignFactory(account=account, completed=True, parent=parent) for _ in range(2)]
    ended(c1, A), ended(c2, A, status="canceled", rule="taken-out"), ended(c1, B)
    parent.delete()
    assert people(again(api, c1, "no-answer")) == [B]


def test_a_large_family_takes_as_many_statements_as_a_small_one(api, account, parent, django_assert_num_queries):
    ended(parent, A)
    selection = Selection(who=("no-answer",))
    with django_assert_num_queries(2):
        call_again.find(parent, selection)
    child = parent
    for _ in range(5):
        child = CampaignFactory(account=account, completed=True, parent=child)
        CampaignFactory(account=account, completed=True, parent=child)
        ended(child, A)
    with django_assert_num_queries(2):
        call_again.find(child, selection)


def test_people_of_lists_who_are_contacts_no_more_are_skipped(api, account, parent):
    """A deleted contact stays deleted, also where its calls had ended before."""
    parent.list_ids = [ContactListFactory(account=account).pk]
    parent.save()
    for number in (A, B, C):
        ended(parent, number)
    contacts = [ContactFactory(account=account, number=number) for number in (A, B)]
    ContactFactory(number=C)  # another account's
    address_book.delete(contacts[0], actor=ACTOR)
    assert people(again(api, parent, "no-answer")) == [B]


def test_a_contact_that_is_stored_again_is_called_again(api, account, parent):
    parent.list_ids = [ContactListFactory(account=account).pk]
    parent.save()
    ended(parent, A)
    address_book.delete(ContactFactory(account=account, number=A), actor=ACTOR)
    assert again(api, parent, "no-answer").is_refused(400, "nobody of them is left")
    ContactFactory(account=account, number=A)
    assert people(again(api, parent, "no-answer")) == [A]


def test_a_dry_run_counts_those_who_would_be_called_and_skipped(api, account, parent):
    parent.list_ids = [ContactListFactory(account=account).pk]
    parent.save()
    for number in NUMBERS[:7]:
        ended(parent, number)
        ContactFactory(account=account, number=number)
    ended(parent, NUMBERS[7]), untried(parent, NUMBERS[8])
    DoNotCallFactory(account=account, number=A)
    Call.objects.filter(number=B).update(rule="taken-out")
    CallFactory(campaign=CampaignFactory(account=account, running=True, parent=parent), number=C)
    found = call_again.find(parent, Selection(who=("no-answer",)))
    assert (found.calls, dict(found.skipped)) == (
        4,
        {"do-not-call": 1, "contact-deleted": 1, "taken-out": 1, "reached": 1},
    )
    assert str(found).startswith("4 to call, 1 on the do-not-call list, 1 of no contact any more")
    assert not Campaign.objects.filter(again__isnull=False).exists()
    assert len(people(again(api, parent, "no-answer"))) == found.calls


def test_a_dry_run_refuses_what_a_create_refuses(parent):
    parent.is_loading = True
    with pytest.raises(WrongState, match="still being made"):
        call_again.find(parent, Selection(who=("busy",)))


def test_who_pressed_a_key_is_called_again_once(api, parent):
    answered(parent, A, "2")
    first = again(api, parent, pressed=["2"])
    assert people(first) == [A]
    assert again(api, parent, pressed=["2"]).is_refused(400, "'who'", "nobody of them is left")


def test_it_keeps_what_is_not_changed_and_both_name_each_other(api, parent):
    ended(parent, A, name="Asha")
    tomorrow = (timezone.localtime(timezone.now(), parent.account.zone) + timedelta(days=1)).isoformat("T", "seconds")
    child = again(api, parent, "no-answer", schedule={"send_at": tomorrow}).data
    assert (child["name"], child["url"], child["from"], child["status"]) == (
        "renewals (again)",
        FLOW_URL,
        [A],
        "Created",
    )
    assert child["retries"]["interval_mins"] == 5
    stored = Campaign.objects.get(pk=child["id"])
    assert (stored.ring_timeout, stored.rules, stored.waived_rules) == (25, ["uk"], [])
    assert child["schedule"]["send_at"] == tomorrow
    assert child["parent_sid"] == parent.pk.hex
    assert api.get(f"/campaigns/{parent.pk.hex}").data["children"] == [child["id"]]
    assert Call.objects.get(campaign=child["id"]).name == "Asha"
    other = again(api, parent, "no-answer", name="again", retries={"number_of_retries": 0})
    assert other.is_refused(400, "nobody")


@pytest.mark.parametrize(
    ("schedule", "lasts"),
    [({"send_at": 1}, 30), ({"end_at": 100}, 100), ({"send_at": 1, "end_at": 2}, 1), ({"end_at": None}, 30)],
)
def test_its_schedule_is_its_own_whenever_the_other_one_began_and_ended(api, parent, schedule, lasts):
    """In days from now. The end of the parent, nine months ago, says nothing of its child."""
    now = timezone.now()
    parent.send_at, parent.end_at = now - timedelta(days=280), now - timedelta(days=275)
    parent.expires_at = parent.end_at
    parent.save()
    ended(parent, A)
    given = {name: days and (now + timedelta(days=days)).isoformat() for name, days in schedule.items()}
    response = again(api, parent, "no-answer", schedule=given)
    assert response.status == 200
    child = Campaign.objects.get(pk=response.data["id"])
    assert child.end_at == (now + timedelta(days=schedule["end_at"]) if schedule.get("end_at") else None)
    assert round((child.expires_at - child.send_at) / timedelta(days=1), 2) == lasts


def test_an_end_before_its_own_start_is_refused(api, parent):
    ended(parent, A)
    now = timezone.now()
    schedule = {"send_at": (now + timedelta(days=2)).isoformat(), "end_at": (now + timedelta(days=1)).isoformat()}
    assert again(api, parent, "no-answer", schedule=schedule).is_refused(400, "end_at", "after send_at")


def test_a_dynamic_one_keeps_each_persons_values_also_without_its_list(api, account):
    contact_list = ContactListFactory(account=account, dynamic=True)
    parent = CampaignFactory(
        account=account,
        completed=True,
        type="dynamic",
        list_ids=[contact_list.pk],
        flow=None,
        flow_url="",
        flow_type="greeting",
        text="Dear @@Name",
    )
    ended(parent, A, variables={"Name": "Asha", "Fee": "5"})
    contact_list.delete()
    ContactFactory(account=account, number=A)
    child = again(api, parent, "no-answer")
    assert Call.objects.get(campaign=child.data["id"]).variables == {"Name": "Asha", "Fee": "5"}
    changed = api.put(f"/campaigns/{child.data['id']}", {"name": "renamed"})
    assert changed.data["name"] == "renamed"
    for body in ({"from": [A]}, {"read_via_text": "@@Other"}):
        assert api.put(f"/campaigns/{child.data['id']}", body).is_refused(400, "can't be changed")


@pytest.mark.parametrize("body", [{}, {"who": []}, {"who": ["answered"]}, {"pressed": ["x"]}, {"who": "busy"}, []])
def test_nobody_named_is_refused(api, parent, body):
    ended(parent, A)
    assert api.post(f"/campaigns/{parent.pk.hex}/again", body).status == 400
    assert Campaign.objects.count() == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"from": [B]}, "'from': is that of the campaign that is called again"),
        ({"read_via_text": "Hello"}, "'read_via_text': is that of the campaign"),
        ({"call_duplicate_numbers": False}, "'call_duplicate_numbers': is that of the campaign"),
        ({"presed": ["2"]}, "'presed': is not known here"),
    ],
)
def test_what_would_be_dropped_is_refused(api, parent, more, says):
    ended(parent, A), ended(parent, B)
    assert again(api, parent, "no-answer", **more).is_refused(400, says)
    assert Campaign.objects.count() == 1


def test_an_inactive_caller_id_is_refused_and_another_may_be_given(api, account, parent):
    ended(parent, A)
    parent.caller_id.is_active = False
    parent.caller_id.save()
    assert again(api, parent, "no-answer").is_refused(400, "'caller_id'", "not active")
    other = CallerIdFactory(account=account)
    assert again(api, parent, "no-answer", caller_id=other.number).status == 200


def test_sent_again_with_its_key_it_is_made_once(api, parent):
    ended(parent, A)
    path = f"/campaigns/{parent.pk.hex}/again"
    ids = {api.post(path, {"who": ["no-answer"]}, headers={"Idempotency-Key": "k"}).data["id"] for _ in range(2)}
    assert len(ids) == 1


def test_a_large_one_is_made_by_the_loader_in_slices(api, parent, monkeypatch):
    monkeypatch.setattr(audience, "AT_ONCE", 5)
    monkeypatch.setattr(loading, "SLICE", 3)
    for number in NUMBERS[:10]:
        ended(parent, number)
    answered(parent, NUMBERS[10])
    child = again(api, parent, "no-answer")
    assert people(child) == []
    made = Campaign.objects.filter(pk=child.data["id"], is_loading=True)
    assert made.exists()
    while loading.take_turn(0):
        pass
    assert not made.exists()
    assert people(child) == NUMBERS[:10]


def test_too_many_open_calls_are_refused(api, parent, settings):
    ended(parent, A), ended(parent, B)
    settings.MAX_OPEN_CALLS_PER_ACCOUNT = 1
    assert again(api, parent, "no-answer").is_refused(409, "2 calls")
    assert Campaign.objects.count() == 1


def test_the_people_of_a_campaign_from_numbers_are_called_by_the_child(rig):
    """From a first campaign to the ring of its child, over the whole dialer."""
    rig.carrier.script = {A: ["busy", "completed"]}
    first = rig.campaign([A, B])
    rig.tick()
    child = call_again.create(first, Selection(who=("busy",)), actor=ACTOR, now=timezone.now())
    rig.tick()
    *first_calls, again = rig.rings()
    assert (sorted(first_calls), again) == ([A, B], A)
    assert states(child) == {A: "completed"}
