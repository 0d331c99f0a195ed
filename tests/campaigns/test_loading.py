"""Campaigns with more calls than one request makes: the loader makes them, in slices and by turns."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from campaigns import audience, ending, filled_texts, lifecycle, loading, schedule
from campaigns.models import Call, Campaign
from contacts import lists
from contacts.models import ListEntry
from core.errors import Conflict, InvalidRequest, WrongState
from dialer import diagnosis
from tests.conftest import NUMBERS, START, states
from tests.factories import ACTOR, AccountFactory, CallerIdFactory, ContactFactory, ContactListFactory, FlowFactory

FEW = 3


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    monkeypatch.setattr(audience, "AT_ONCE", FEW)
    monkeypatch.setattr(loading, "SLICE", FEW)


@pytest.fixture(autouse=True)
def _no_messages(monkeypatch):
    monkeypatch.setattr(loading, "enqueue_once", lambda *_: None)


def entered(account, *numbers, dynamic=False, made=None, **values):
    made = made or ContactListFactory(account=account, dynamic=dynamic)
    for line, number in enumerate(numbers, start=1):
        contact = account.contacts.filter(number=number).first() or ContactFactory(account=account, number=number)
        own = {"values": values, "values_digest": str(values), "line": line} if dynamic else {}
        ListEntry.objects.create(contact_list=made, contact=contact, **own)
    return made


def make_all(campaign: Campaign) -> int:
    """Take turns of one slice each until the calls are all there. Returns how many turns that took."""
    for turns in itertools.count():
        campaign.refresh_from_db()
        if not campaign.is_loading:
            return turns
        assert loading.take_turn(0.0)
        assert turns < 50
    return 0


@pytest.fixture
def parents(rig):
    return entered(rig.account, *NUMBERS[:10])


@pytest.fixture
def campaign(rig, parents):
    return rig.campaign(list_ids=[parents.pk])


class TestCreation:
    def test_a_few_calls_are_made_by_the_request(self, rig):
        campaign = rig.campaign(list_ids=[entered(rig.account, *NUMBERS[:FEW]).pk])
        assert (campaign.is_loading, len(states(campaign))) == (False, FEW)

    def test_more_are_left_to_the_loader(self, campaign):
        assert (campaign.status, campaign.is_loading, states(campaign)) == ("created", True, {})

    def test_the_campaigns_of_a_request_share_what_it_makes_at_once(self, rig):
        two = entered(rig.account, *NUMBERS[:2])
        allowance = audience.Allowance.of(rig.account)
        first, second = (rig.campaign(list_ids=[two.pk], allowance=allowance) for _ in range(2))
        assert (first.is_loading, second.is_loading) == (False, True)

    def test_numbers_of_the_request_are_never_left(self, rig):
        assert not rig.campaign(FEW + 2).is_loading


class TestLoading:
    def test_all_calls_are_made_in_the_order_of_the_list_then_the_campaign_starts(self, rig, campaign):
        assert make_all(campaign) == 5  # three slices, one that meets the end, and the last
        assert list(states(campaign)) == NUMBERS[:10]
        rig.tick()
        assert sorted(rig.rings()) == sorted(NUMBERS[:10])

    def test_it_does_not_start_before(self, rig, campaign):
        loading.take_turn(0.0)
        rig.later(minutes=10)
        campaign.refresh_from_db()
        assert (campaign.status, rig.rings()) == ("created", [])

    def test_a_number_in_two_lists_is_called_once_in_the_order_of_the_lists(self, rig, parents):
        first = entered(rig.account, *NUMBERS[8:15])
        campaign = rig.campaign(list_ids=[first.pk, parents.pk])
        make_all(campaign)
        assert list(states(campaign)) == [*NUMBERS[8:15], *NUMBERS[:8]]

    def test_and_twice_where_that_is_asked_for(self, rig, parents):
        campaign = rig.campaign(
            list_ids=[entered(rig.account, *NUMBERS[:4]).pk, parents.pk], call_duplicate_numbers=True
        )
        make_all(campaign)
        assert campaign.calls.count() == 14

    @pytest.mark.parametrize("slice_size", range(1, 8))
    def test_it_makes_the_same_calls_as_one_statement(self, rig, slice_size, monkeypatch):
        """With rows of one number in a dynamic list, of one and of several uploads."""
        made = ContactListFactory(account=rig.account, dynamic=True)
        rows = [(0, 1, 1), (1, 1, 2), (0, 1, 5), (2, 2, 1), (1, 1, 4), (0, 2, 1), (3, 1, 7), (2, 1, 9)]
        for at, (number, upload, line) in enumerate(rows):
            contact = rig.account.contacts.filter(number=NUMBERS[number]).first()
            contact = contact or ContactFactory(account=rig.account, number=NUMBERS[number], first_name=f"P{number}")
            own = {"values": {"Fee": at}, "values_digest": str(at), "upload_number": upload, "line": line}
            ListEntry.objects.create(contact_list=made, contact=contact, **own)
        columns = {"list_ids": [made.pk], "type": "dynamic"}
        monkeypatch.setattr(loading, "SLICE", slice_size)
        loaded = rig.campaign(**columns)
        make_all(loaded)
        at_once = rig.campaign(**columns, allowance=audience.Allowance(room=100, at_once=100))
        values = ("number", "name", "variables")
        assert list(loaded.calls.order_by("id").values(*values)) == list(at_once.calls.order_by("id").values(*values))

    def test_its_progress_is_told(self, rig, campaign):
        loading.take_turn(0.0)
        found = diagnosis.of_campaign(campaign, timezone.now())
        assert "3 calls made so far, of 10 entries" in found.summary
        assert [reason.code for reason in found.reasons][:2] == ["loading", "calls-being-made"]
        assert found.next_attempt_at == START


class TestCrashes:
    @pytest.mark.parametrize("at", range(5))
    def test_no_number_is_lost_or_called_twice_whichever_slice_a_loader_dies_at(self, rig, campaign, at, monkeypatch):
        for _ in range(at):
            loading.take_turn(0.0)

        genuine = Campaign.save

        def die(*args, **options):
            """The last thing that a slice does, before its commit."""
            genuine(*args, **options)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Campaign, "save", die)
            with pytest.raises(KeyboardInterrupt):
                loading.take_turn(0.0)
        make_all(campaign)
        assert list(states(campaign)) == NUMBERS[:10]
        rig.tick()
        assert sorted(rig.rings()) == sorted(NUMBERS[:10])

    def test_a_campaign_that_can_not_be_loaded_holds_up_no_other(self, rig, campaign, monkeypatch):
        genuine, other = loading.make_slice, AccountFactory()

        def fail(campaign_id, now):
            if campaign_id == campaign.pk:
                raise RuntimeError("a fault of the server")
            return genuine(campaign_id, now)

        monkeypatch.setattr(loading, "make_slice", fail)
        theirs = created(other, entered(other, *NUMBERS[:5]))
        for _ in range(6):
            loading.take_turn(0.0)
            rig.clock.shift(timedelta(seconds=1))
        theirs.refresh_from_db()
        assert not theirs.is_loading


def created(account, made):
    flow, caller_id = FlowFactory(account=account), CallerIdFactory(account=account)
    own: dict[str, Any] = {
        "caller_id": caller_id,
        "caller_id_given": "1",
        "flow": flow,
        "flow_url": "1",
        "list_ids": [made.pk],
    }
    return lifecycle.create(account, now=timezone.now(), actor=ACTOR, **own)


class TestTurns:
    def test_the_accounts_take_them_one_after_the_other(self, rig, parents):
        large = [rig.campaign(list_ids=[parents.pk]) for _ in range(5)]
        loading.take_turn(0.0)
        rig.clock.shift(timedelta(seconds=1))
        other = AccountFactory()
        theirs = created(other, entered(other, *NUMBERS[:4]))
        for _ in range(6):
            loading.take_turn(0.0)
            rig.clock.shift(timedelta(seconds=1))
        theirs.refresh_from_db()
        assert not theirs.is_loading
        assert Campaign.objects.filter(pk__in=[row.pk for row in large], is_loading=True).count() >= 4

    def test_nothing_is_left_to_do(self, campaign):
        make_all(campaign)
        assert not loading.take_turn(0.0)


class TestVerbs:
    def test_paused_it_is_loaded_and_waits_to_be_resumed(self, rig, campaign):
        lifecycle.pause(campaign, actor=ACTOR)
        make_all(campaign)
        rig.later(minutes=1)
        assert (Campaign.objects.get().status, rig.rings()) == ("paused", [])
        lifecycle.resume(campaign, actor=ACTOR)
        rig.tick()
        assert len(rig.rings()) == 10

    def test_paused_and_resumed_it_goes_on_waiting_for_its_calls(self, rig, campaign):
        loading.take_turn(0.0)
        assert lifecycle.resume(lifecycle.pause(campaign, actor=ACTOR), actor=ACTOR).status == "created"
        rig.tick()
        assert rig.rings() == []
        make_all(campaign)
        rig.tick()
        assert len(rig.rings()) == 10

    def test_paused_with_no_call_yet_it_is_not_closed(self, rig, campaign):
        lifecycle.pause(campaign, actor=ACTOR)
        rig.end_due()
        assert Campaign.objects.get().status == "paused"

    def test_deleted_it_makes_no_more_calls_and_calls_nobody(self, rig, campaign):
        loading.take_turn(0.0)
        deleted = lifecycle.delete(campaign, actor=ACTOR)
        assert (deleted.status, deleted.is_loading) == ("deleted", False)
        assert not loading.make_slice(campaign.pk, timezone.now())
        rig.later(minutes=10)
        assert (rig.rings(), states(campaign)) == ([], dict.fromkeys(NUMBERS[:3], "failed"))

    def test_completing_it_is_refused(self, campaign):
        lifecycle.pause(campaign, actor=ACTOR)
        with pytest.raises(WrongState, match="still being made from its lists"):
            lifecycle.complete(campaign, actor=ACTOR)

    def test_its_calls_are_not_replaced_meanwhile(self, campaign, parents):
        with pytest.raises(WrongState, match="still being made"):
            lifecycle.change(campaign, now=timezone.now(), list_ids=[parents.pk], actor=ACTOR)

    def test_nor_afterwards_where_they_are_many(self, campaign, parents):
        make_all(campaign)
        with pytest.raises(WrongState, match="more than 3 calls: delete it"):
            lifecycle.change(campaign, now=timezone.now(), list_ids=[parents.pk], actor=ACTOR)

    def test_another_change_keeps_the_place(self, campaign):
        loading.take_turn(0.0)
        lifecycle.change(campaign, now=timezone.now(), name="another", actor=ACTOR)
        make_all(campaign)
        assert list(states(campaign)) == NUMBERS[:10]

    def test_its_end_comes_first(self, rig, parents):
        campaign = rig.campaign(list_ids=[parents.pk], end_at=START + timedelta(hours=1))
        loading.take_turn(0.0)
        rig.later(hours=2)
        rig.end_due()
        campaign.refresh_from_db()
        assert (campaign.status, campaign.is_loading, campaign.is_ending) == ("failed", False, False)
        assert set(states(campaign).values()) == {"canceled"}
        assert not loading.take_turn(0.0)


class TestListsThatChange:
    def test_who_leaves_before_the_loader_comes_is_not_called_and_nobody_is_called_twice(self, rig, parents):
        later = entered(rig.account, *NUMBERS[:2])
        campaign = rig.campaign(list_ids=[parents.pk, later.pk])
        loading.take_turn(0.0)
        for number in (NUMBERS[0], NUMBERS[9]):
            lists.remove_contact(parents, rig.account.contacts.get(number=number).pk, actor=ACTOR)
        make_all(campaign)
        assert list(states(campaign)) == NUMBERS[:9]

    @pytest.mark.parametrize("replaced", [0, 9])
    def test_a_row_that_an_upload_replaces_is_called_once(self, rig, replaced):
        made = entered(rig.account, *NUMBERS[:10], dynamic=True, Fee="1")
        campaign = rig.campaign(list_ids=[made.pk], type="dynamic")
        loading.take_turn(0.0)
        made.entries.filter(contact__number=NUMBERS[replaced]).delete()
        entered(rig.account, NUMBERS[replaced], dynamic=True, made=made, Fee="2")
        make_all(campaign)
        assert sorted(campaign.calls.values_list("number", flat=True)) == NUMBERS[:10]


class TestTexts:
    @pytest.fixture
    def fees(self, rig):
        made = entered(rig.account, *NUMBERS[:5], dynamic=True, Fee="100")
        made.columns = ["Fee"]
        made.save()
        return made

    def spoken(self, rig, fees):
        text = {"flow": None, "flow_url": "", "flow_type": "greeting", "text": "You owe @@Fee."}
        return rig.campaign(list_ids=[fees.pk], type="dynamic", **text)

    def test_one_that_can_be_read_starts(self, rig, fees):
        campaign = self.spoken(rig, fees)
        make_all(campaign)
        rig.tick()
        assert len(rig.rings()) == 5

    def test_one_that_can_not_be_read_to_all_fails_and_calls_nobody(self, rig, fees):
        campaign = self.spoken(rig, fees)
        fees.entries.filter(contact__number=NUMBERS[4]).update(values={"Fee": ""})
        make_all(campaign)
        for _ in range(3):
            rig.later(minutes=1)
            ending.take_turn(timezone.now(), 10)
        campaign.refresh_from_db()
        assert (campaign.status, campaign.is_ending, rig.rings()) == ("failed", False, [])
        assert set(states(campaign).values()) == {"failed"}
        assert "no value for Fee" in diagnosis.of_campaign(campaign, timezone.now()).summary


class TestOpenCalls:
    @override_settings(MAX_OPEN_CALLS_PER_ACCOUNT=12)
    def test_more_than_an_account_may_have_are_refused(self, rig, campaign, parents):
        with pytest.raises(Conflict, match=r"10 calls, and the account may have 2 more.*12 in all"):
            rig.campaign(list_ids=[parents.pk])
        rig.campaign(2)
        with pytest.raises(Conflict, match="may have 0 more"):
            rig.campaign(1)
        assert Campaign.objects.count() == 2

    @override_settings(MAX_OPEN_CALLS_PER_ACCOUNT=12)
    def test_calls_that_have_ended_make_room(self, rig, campaign):
        make_all(campaign)
        lifecycle.delete(campaign, actor=ACTOR)
        rig.end_due()
        rig.campaign(12)

    @override_settings(MAX_OPEN_CALLS_PER_ACCOUNT=1)
    def test_those_of_other_accounts_take_none(self, rig):
        rig.campaign(1)
        other = AccountFactory()
        created(other, entered(other, NUMBERS[0]))


def test_a_large_campaign_is_not_checked_by_the_request(rig, monkeypatch):
    monkeypatch.setattr(filled_texts, "require_readable", lambda _: pytest.fail("it reads all calls"))
    rig.campaign(list_ids=[entered(rig.account, *NUMBERS[:5]).pk])


def test_an_empty_list_is_refused_at_once(rig):
    with pytest.raises(InvalidRequest, match="is empty"):
        rig.campaign(list_ids=[entered(rig.account).pk])


def test_the_start_skips_what_is_loading(rig, campaign):
    schedule.start_due(timezone.now())
    assert Call.objects.count() == 0
    assert Campaign.objects.get().status == "created"
