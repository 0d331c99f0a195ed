"""Campaigns that ended long ago are deleted with all below them, and nothing else is."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import ForeignObjectRel
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import campaign_lock, ending, lifecycle, progress, schedule
from campaigns.models import Call, Campaign
from contacts.models import Contact, ContactList
from core import slices
from core.environment import Environment
from core.errors import WrongState
from dialer import inbox
from dialer.models import CallAttempt, CarrierEvent
from reports.links import report_url
from retention import campaigns_due, deletion, purge, tasks
from tests.conftest import NUMBERS, START
from tests.factories import (
    ACTOR,
    CallAttemptFactory,
    CallFactory,
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    ListEntryFactory,
    WebhookDeliveryFactory,
)
from tests.judged_settings import judged
from tests.retention.conftest import CALLBACKS, ROWS, days, deliver_all
from webhooks import outbox
from webhooks.models import WebhookDelivery

OTHERS = NUMBERS[50:53]


@pytest.fixture(autouse=True)
def ten_days(settings):
    settings.CAMPAIGNS_KEPT_DAYS = 10


def run() -> list[purge.Slice]:
    return list(purge.slices(campaigns_due.end_before(timezone.now())))


def test_a_campaign_is_deleted_with_all_below_it_ten_days_after_its_end(rig, over):
    kept = over()
    rig.clock.move_to(kept.campaign.ended_at + days(10))
    run()
    assert kept.is_whole
    rig.clock.shift(timedelta(seconds=1))
    run()
    assert kept.is_gone


def test_a_younger_campaign_is_left_whole(rig, over):
    old = over()
    rig.clock.shift(days(5))
    young = over(OTHERS)
    rig.clock.shift(days(6))
    run()
    assert old.is_gone
    assert young.is_whole


def test_without_the_setting_campaigns_stay_for_ever(rig, over, settings):
    settings.CAMPAIGNS_KEPT_DAYS = None
    kept = over()
    rig.clock.shift(days(10_000))
    assert run() == []
    assert kept.is_whole


def test_every_table_that_points_to_a_campaign_is_emptied():
    """A new table that hangs on one of these must be deleted too, and counted by these tests."""
    below: list[Any] = [Campaign, *(part.model for part in deletion.PARTS)]
    found: set[str] = set()
    for model in below:
        related = [field for field in model._meta.get_fields() if isinstance(field, ForeignObjectRel)]
        found |= {field.related_model._meta.db_table for field in related}
    assert found | {"campaigns_campaign", "dialer_carrierevent"} == set(ROWS)


def test_contacts_and_lists_stay(rig, over):
    contact_list = ContactListFactory(account=rig.account)
    entries = [
        ListEntryFactory(contact_list=contact_list, contact=ContactFactory(account=rig.account, number=number))
        for number in NUMBERS[:3]
    ]
    rig.carrier.script = {number: ["busy", "completed"] for number in NUMBERS[:3]}
    campaign = rig.campaign([], list_ids=[contact_list.pk])
    rig.tick()
    rig.clock.shift(days(11))
    run()
    assert not Campaign.objects.filter(pk=campaign.pk).exists()
    assert (Contact.objects.count(), ContactList.objects.get().entries.count()) == (3, len(entries))


def test_the_counts_of_calls_go_with_the_campaign(rig, over):
    kept = over()
    rig.clock.shift(days(11))
    run()
    assert progress.of([kept.campaign.pk])[kept.campaign.pk].by_status == {}
    progress.compact()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_calltally")
        assert cursor.fetchone()[0] == 0


class TestWhatIsUnderWay:
    def test_a_campaign_with_a_call_up_stays(self, rig):
        rig.carrier.script = {NUMBERS[0]: ["silent"]}
        campaign = rig.campaign(2, end_at=START + timedelta(hours=1))
        rig.tick()
        lifecycle.complete(lifecycle.pause(campaign, actor=ACTOR), actor=ACTOR)
        rig.clock.shift(days(11))
        assert run() == []
        assert Campaign.objects.get().status == "completed"
        inbox.append("simulated", [(CallAttempt.objects.get(call__status="in-progress").pk, {"status": "busy"})])
        rig.settle()
        run()
        assert not Campaign.objects.exists()

    @pytest.mark.parametrize("left", ["call up", "retry", "attempt in doubt", "ending"])
    def test_one_row_that_is_not_settled_is_enough(self, rig, left):
        """Such rows come together. Each alone says that somebody is still at work."""
        campaign = CampaignFactory(completed=True, ended_at=START)
        call = CallFactory(campaign=campaign, completed=True)
        if left == "call up":
            CallFactory(campaign=campaign, status="in-progress")
        elif left == "retry":
            CallFactory(campaign=campaign, status="retrying", next_attempt_at=START, attempts_made=1)
        elif left == "ending":
            Campaign.objects.update(is_ending=True)
        else:
            CallAttemptFactory(call=call, unknown=True)
        rig.clock.shift(days(11))
        assert run() == []
        assert Campaign.objects.filter(is_purging=False).count() == 1

    def test_a_campaign_whose_calls_are_still_being_ended_stays(self, rig, monkeypatch):
        monkeypatch.setattr(ending, "SLICE", 2)
        campaign = rig.campaign(5)
        schedule.start_due(timezone.now())
        lifecycle.complete(lifecycle.pause(campaign, actor=ACTOR), actor=ACTOR)
        rig.clock.shift(days(11))
        assert run() == []
        rig.end_due()
        run()
        assert not Campaign.objects.exists()

    def test_a_campaign_whose_webhooks_are_not_delivered_stays(self, rig):
        campaign = rig.campaign(1, **CALLBACKS)
        rig.tick()
        rig.clock.shift(days(11))
        assert run() == []
        assert Campaign.objects.filter(pk=campaign.pk, is_purging=False).exists()
        deliver_all()
        run()
        assert not Campaign.objects.exists()

    @pytest.mark.parametrize("status", ["created", "in-progress", "paused"])
    def test_an_open_campaign_stays_however_old_it_is(self, rig, status):
        campaign = rig.campaign(1, send_at=START + days(100))
        Campaign.objects.filter(pk=campaign.pk).update(
            status=status, started_at=START if status == "in-progress" else None
        )
        rig.clock.shift(days(99))
        assert run() == []
        assert Campaign.objects.get().status == status

    def test_a_webhook_that_is_asked_for_again_meanwhile_is_sent_first(self, rig, over):
        kept = over()
        rig.clock.shift(days(11))
        work = purge.slices(campaigns_due.end_before(timezone.now()))
        next(work)
        again = WebhookDelivery.objects.order_by("id").last()
        assert again
        outbox.redeliver([again], timezone.now(), actor=ACTOR)
        assert list(work)[-1].model is not Campaign
        assert [row.pk for row in WebhookDelivery.objects.all()] == [again.pk]
        deliver_all()
        run()
        assert kept.is_gone

    def test_an_event_that_is_not_handled_yet_is_left_to_the_inbox(self, rig, over):
        kept = over(1)
        rig.clock.shift(days(11))
        inbox.append("simulated", [(kept.keys["attempts"][0], {"status": "busy"})])
        run()
        assert CarrierEvent.objects.filter(handled_at=None).count() == 1
        rig.settle()
        assert CarrierEvent.objects.filter(handled_at=None).count() == 0
        assert not CallAttempt.objects.exists()


class TestInSlices:
    def test_each_slice_takes_a_few_rows(self, rig, over):
        kept = over(7)
        rig.clock.shift(days(11))
        rows = [(done.model, done.rows) for done in run()]
        assert [count for model, count in rows if model is Call] == [3, 3, 1]
        assert [count for model, count in rows if model is CallAttempt] == [3, 3, 3, 3, 2]
        assert rows[-1] == (Campaign, 1)
        assert kept.is_gone

    def test_a_slice_is_as_many_statements_as_it_is_small(self, rig, over, monkeypatch):
        statements = []
        for size in (2, 10):
            monkeypatch.setattr(deletion, "SLICE", size)
            over(30)
            rig.clock.shift(days(11))
            counted: dict[type, set[int]] = {}
            work = purge.slices(campaigns_due.end_before(timezone.now()))
            next(work)
            while True:
                with CaptureQueriesContext(connection) as made:
                    done = next(work, None)
                if done is None:
                    break
                if done.rows == size:
                    counted.setdefault(done.model, set()).add(len(made))
            statements.append({model: min(counts) for model, counts in counted.items()})
        assert set(statements[0]) == {WebhookDelivery, CallAttempt, Call}
        assert statements[0] == statements[1]

    def test_a_turn_of_the_task_enqueues_the_next_one_until_nothing_is_left(self, rig, over, monkeypatch):
        enqueued: list[str] = []
        monkeypatch.setattr(slices, "TURN_SECONDS", 0)
        monkeypatch.setattr(slices, "enqueue_once", lambda key, task: enqueued.append(task))
        kept = over()
        rig.clock.shift(days(11))
        turns = 0
        while True:
            enqueued.clear()
            tasks.purge_campaigns()
            turns += 1
            if not enqueued:
                break
        assert kept.is_gone
        assert turns > 5

    @pytest.mark.parametrize("moment", ["purge-before-commit", "purge-after-commit"])
    def test_it_goes_on_after_a_crash_at_any_slice(self, rig, over, monkeypatch, moment):
        kept, reached = over(), []
        rig.clock.shift(days(11))
        for crash in range(100):

            def die(name, crash=crash):
                reached.append(name)
                if reached.count(moment) > crash:
                    reached.clear()
                    raise KeyboardInterrupt

            monkeypatch.setattr("core.failpoints.reached", die)
            try:
                run()
            except KeyboardInterrupt:
                # Hidden at once, whatever is left of it.
                assert not Campaign.objects.filter(is_purging=False).exists()
            else:
                break
        assert crash >= 2
        assert kept.is_gone

    def test_what_was_begun_is_finished_also_when_the_setting_is_taken_away(self, rig, over, settings):
        kept = over()
        rig.clock.shift(days(11))
        next(purge.slices(campaigns_due.end_before(timezone.now())))
        settings.CAMPAIGNS_KEPT_DAYS = None
        run()
        assert kept.is_gone

    def test_two_at_once_delete_everything_once(self, rig, over):
        first, second = over(), over(OTHERS)
        rig.clock.shift(days(11))
        rows: list[purge.Slice] = []

        def work():
            try:
                rows.extend(run())
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows += run()  # each may have passed by what the other was at
        assert first.is_gone
        assert second.is_gone
        deleted = sum(done.rows for done in rows if done.model is Call)
        assert deleted == len(first.keys["calls"]) + len(second.keys["calls"])
        assert not [done.failure for done in rows if done.failure]

    def test_each_slice_begins_behind_the_one_before_it(self, rig, over):
        """From the beginning it would meet the dead entries of all of them, as long as vacuum can't remove them."""
        kept = over(7)
        rig.clock.shift(days(11))
        with CaptureQueriesContext(connection) as made:
            run()
        looks = [query["sql"] for query in made if "SELECT id FROM campaigns_call " in query["sql"]]
        calls = sorted(kept.keys["calls"])
        assert len(looks) == 3
        assert f"(id) > ({calls[2]})" in looks[1]
        assert f"(id) > ({calls[5]})" in looks[2]

    def test_rows_that_another_process_holds_are_passed_by(self, rig, over):
        kept = over()
        rig.clock.shift(days(11))
        seen = []

        def work():
            try:
                seen.extend(run())
            finally:
                connections.close_all()

        with transaction.atomic():
            held = CallAttempt.objects.select_for_update().get(pk=kept.keys["attempts"][1])
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert [row.pk for row in CallAttempt.objects.all()] == [held.pk]
        assert not [done.failure for done in seen if done.failure]
        assert Campaign.objects.filter(is_purging=True).exists()
        run()
        assert kept.is_gone

    def test_a_campaign_that_somebody_is_just_changing_is_passed_by(self, rig, over):
        busy, other = over(), over(OTHERS)
        rig.clock.shift(days(11))
        seen = []

        def work():
            try:
                seen.extend(run())
            finally:
                connections.close_all()

        with transaction.atomic():
            campaign_lock.hold([busy.campaign.pk])
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert {done.campaign.pk for done in seen} == {other.campaign.pk}
        assert busy.is_whole
        assert other.is_gone
        run()
        assert busy.is_gone

    def test_a_campaign_that_can_not_be_deleted_does_not_hold_up_the_others(self, rig, over):
        broken = over()
        sound = over(OTHERS)
        rig.clock.shift(days(11))
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'poison' USING ERRCODE = 'integrity_constraint_violation'; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER poison BEFORE DELETE ON campaigns_call FOR EACH ROW"
                f" WHEN (OLD.campaign_id = '{broken.campaign.pk}') EXECUTE FUNCTION poison()"
            )
        try:
            failures = [done.failure for done in run() if done.failure]
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP FUNCTION poison CASCADE")
        assert sound.is_gone
        assert len(failures) == 1
        assert "poison" in failures[0]
        run()
        assert broken.is_gone


class TestWhatOthersSee:
    @pytest.fixture
    def begun(self, rig, over):
        kept = over()
        rig.clock.shift(days(11))
        next(purge.slices(campaigns_due.end_before(timezone.now())))
        assert Call.objects.exists()
        return kept

    def test_nobody_changes_a_campaign_that_is_being_deleted(self, begun):
        with pytest.raises(WrongState, match="has just been deleted"):
            lifecycle.archive(begun.campaign, actor=ACTOR)

    def test_nobody_changes_a_campaign_that_has_been_deleted(self, begun):
        run()
        with pytest.raises(WrongState, match="has just been deleted"):
            lifecycle.archive(begun.campaign, actor=ACTOR)

    def test_the_link_to_its_report_says_so_instead_of_showing_a_half(self, begun, client):
        response = client.get(report_url(begun.campaign.pk))
        assert response.status_code == 404
        assert "there is no such campaign any more" in response.content.decode()

    def test_the_admin_does_not_have_it(self, begun, admin_client):
        assert begun.campaign.name not in admin_client.get("/admin/campaigns/campaign/").content.decode()

    def test_an_archived_campaign_goes_too(self, rig, over):
        kept = over()
        lifecycle.archive(kept.campaign, actor=ACTOR)
        rig.clock.shift(days(11))
        run()
        assert kept.is_gone


def test_other_accounts_campaigns_and_webhooks_are_left_alone(rig, over):
    kept = over()
    rig.clock.shift(days(11))
    other = WebhookDeliveryFactory(delivered=True)
    run()
    assert kept.is_gone
    assert [row.pk for row in Campaign.objects.all()] == [other.campaign_id]
    assert WebhookDelivery.objects.count() == 1


@pytest.mark.parametrize("given", ["0", "0.5", "-1", "ten", "nan", "inf", "1e9"])
def test_a_number_of_days_that_makes_no_sense_stops_the_start(given):
    wanted = f"CAMPAIGNS_KEPT_DAYS is '{given}': it must be a number from 1 to 36500, or empty for ever"
    assert wanted in judged(CAMPAIGNS_KEPT_DAYS=given)


@pytest.mark.parametrize(("given", "days"), [("", None), (" ", None), ("1", 1), ("36500", 36_500), ("1.5", 1.5)])
def test_days_may_be_given_or_left_out(given, days):
    environment = Environment({"CAMPAIGNS_KEPT_DAYS": given})
    assert environment.number_or_none("CAMPAIGNS_KEPT_DAYS", 36_500, 1, "for ever") == days
    assert not environment.problems


@pytest.mark.parametrize("given", ["0.9", "31", "three"])
def test_payloads_are_kept_for_longer_than_any_call(given):
    assert f"EVENT_PAYLOADS_KEPT_DAYS is '{given}': it must be a number from 1 to 30" in judged(
        EVENT_PAYLOADS_KEPT_DAYS=given
    )
