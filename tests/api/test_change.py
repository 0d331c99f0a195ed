"""PUT and DELETE: everything before the start, callbacks and action after it."""

import pytest

from campaigns.models import Call, Campaign
from tests.api.client import FLOW_URL, NUMBERS
from tests.factories import CallFactory, CampaignFactory

pytestmark = pytest.mark.usefixtures("shared_account")

CALLBACKS = ["call_status_callback", "call_schedule_callback", "status_callback"]
LOCKED = {
    "from": NUMBERS,
    "name": "another",
    "caller_id": "08047113311",
    "url": FLOW_URL,
    "retries": {"number_of_retries": 0},
    "schedule": {"end_at": "2026-03-03T10:00:00+05:30"},
    "mode": "auto",
    "throttle": 5,
    "custom_field": "another",
    "call_duplicate_numbers": True,
}


@pytest.fixture
def waiting(api, clock):
    """Created over the API, to start in an hour and a half."""
    data = api.create(
        schedule={"send_at": "2026-03-02T13:00:00+05:30"},
        retries={"number_of_retries": 2, "interval_mins": 5, "mechanism": "Exponential", "on_status": ["busy"]},
    ).data
    return Campaign.objects.get(pk=data["id"])


@pytest.fixture
def running(account):
    return CallFactory(campaign=CampaignFactory(account=account, running=True)).campaign


class TestBeforeTheStart:
    def test_a_start_that_is_moved_moves_the_end_that_was_not_chosen(self, api, waiting):
        changed = api.change(waiting, schedule={"send_at": "2026-04-02T10:30:00+05:30"}).data["schedule"]
        assert changed == {"send_at": "2026-04-02T10:30:00+05:30", "end_at": "2026-05-02T10:30:00+05:30"}

    def test_duplicates_are_decided_when_the_numbers_are_given(self, api, waiting):
        """Numbers that the change leaves out are not stored, so they can't be called any more."""
        refused = api.change(waiting, call_duplicate_numbers=True)
        assert refused.is_refused(400, "call_duplicate_numbers", "together with from or lists")

    @pytest.mark.parametrize("wrap", [lambda body: {"campaigns": [body]}, lambda body: body])
    def test_a_change_comes_wrapped_or_bare(self, api, waiting, wrap):
        response = api.put(f"/campaigns/{waiting.pk.hex}", wrap({"name": "Fees due"}))
        assert response.data["name"] == "Fees due"
        assert response.metadata == {"total": 1, "success": 1, "failed": 0}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "Fees due"),
            ("from", ["+919810099999"]),
            ("caller_id", "+918047113311"),
            ("url", "https://my.exotel.com/acme/exoml/start_voice/29281"),
            ("custom_field", "round-8"),
            ("retries", {"number_of_retries": 0}),
            ("mode", "auto"),
            ("status_callback", "https://example.com/campaign"),
            ("call_status_callback", "https://example.com/call"),
            ("call_schedule_callback", "https://example.com/number"),
        ],
    )
    def test_every_part_can_be_changed_and_the_others_stay(self, api, waiting, field, value):
        path = f"/campaigns/{waiting.pk.hex}"
        before = api.get(path).data
        assert api.change(waiting, **{field: value}).data[field] == value
        after = api.get(path).data
        assert after[field] == value
        assert {name for name in before if before[name] != after[name]} <= {field, "stats", "date_updated"}

    def test_new_numbers_replace_the_old_ones(self, api, waiting):
        api.change(waiting, **{"from": "+919810099999"})
        assert list(Call.objects.values_list("number", flat=True)) == ["+919810099999"]

    def test_a_bad_number_changes_nothing(self, api, waiting):
        assert api.change(waiting, name="another", **{"from": ["+9112"]}).is_refused(400, "+9112")
        assert Campaign.objects.get().name != "another"
        assert Call.objects.count() == len(NUMBERS)

    def test_half_a_retry_object_changes_that_half(self, api, waiting):
        assert api.change(waiting, retries={"interval_mins": 7}).data["retries"] == {
            "number_of_retries": 2,
            "interval_mins": 7,
            "mechanism": "Exponential",
            "on_status": ["busy"],
        }

    def test_half_a_retry_object_is_refused_where_the_other_half_is_nowhere(self, api, waiting):
        api.change(waiting, retries={"number_of_retries": 0})
        Campaign.objects.update(retry_interval_mins=None)
        response = api.change(waiting, retries={"number_of_retries": 1})
        assert response.is_refused(400, "'retries.interval_mins'", "minutes")

    def test_half_a_schedule_changes_that_half(self, api, waiting):
        schedule = api.change(waiting, schedule={"end_at": "2026-03-02T15:00:00+05:30"}).data["schedule"]
        assert schedule == {"send_at": "2026-03-02T13:00:00+05:30", "end_at": "2026-03-02T15:00:00+05:30"}

    def test_an_end_before_the_start_that_stands_is_refused(self, api, waiting):
        response = api.change(waiting, schedule={"end_at": "2026-03-02T12:30:00+05:30"})
        assert response.is_refused(400, "'schedule.end_at'", "after send_at")

    def test_a_throttle_of_a_campaign_with_its_own_can_be_changed_alone(self, api, waiting):
        api.change(waiting, mode="custom", throttle=10)
        assert api.change(waiting, throttle=12).data["throttle"] == 12
        assert api.change(waiting, throttle=0).is_refused(400, "'throttle'", "1 to 59 calls a minute")

    def test_a_campaign_paused_before_its_start_can_be_changed(self, api, waiting):
        api.change(waiting, action="pause")
        assert api.change(waiting, name="Fees due").data["status"] == "Paused"

    @pytest.mark.parametrize("fields", [{}, {"name": None}, {"action": None}, {"colour": "red"}])
    def test_a_change_of_nothing_is_refused(self, api, waiting, fields):
        response = api.put(f"/campaigns/{waiting.pk.hex}", {"campaigns": [fields]})
        assert response.is_refused(400, "nothing to change")

    def test_exactly_one_campaign_is_changed(self, api, waiting):
        response = api.put(f"/campaigns/{waiting.pk.hex}", {"campaigns": [{"name": "one"}, {"name": "two"}]})
        assert response.is_refused(400, "exactly one")


class TestAfterTheStart:
    @pytest.mark.parametrize("field", CALLBACKS)
    def test_callbacks_can_be_changed_and_removed(self, api, running, field):
        address = "https://example.com/hook"
        assert api.change(running, **{field: address}).data[field] == address
        assert field not in api.change(running, **{field: ""}).data

    @pytest.mark.parametrize("field", LOCKED)
    def test_nothing_else_can(self, api, running, field):
        before = Campaign.objects.values().get()
        response = api.change(running, **{field: LOCKED[field], "status_callback": "https://example.com/hook"})
        assert response.is_refused(400, f"'{field}'", "has started", "in-progress", "status_callback")
        assert Campaign.objects.values().get() == before

    def test_locked_fields_that_are_null_are_not_there(self, api, running):
        response = api.change(running, name=None, status_callback="https://example.com/hook")
        assert response.data["status_callback"] == "https://example.com/hook"

    def test_a_bad_callback_is_refused(self, api, running):
        assert api.change(running, status_callback="javascript:x").is_refused(400, "'status_callback'", "http://")

    @pytest.mark.parametrize("trait", ["completed", "failed", "canceled", "deleted", "archived"])
    def test_an_ended_campaign_is_closed_even_to_callbacks(self, api, account, trait):
        row = CampaignFactory(account=account, **{trait: True})
        assert api.change(row, status_callback="https://example.com/hook").is_refused(400, trait)


class TestNull:
    """In a change null clears the end; of anything else it means "not given"."""

    THIRTY_DAYS_ON = {"send_at": "2026-03-02T13:00:00+05:30", "end_at": "2026-04-01T13:00:00+05:30"}

    @pytest.mark.parametrize("schedule", [None, {"end_at": None}, {"send_at": None, "end_at": None}])
    def test_null_clears_the_end_and_keeps_the_start(self, api, waiting, schedule):
        api.change(waiting, schedule={"end_at": "2026-03-02T15:00:00+05:30"})
        assert api.change(waiting, schedule=schedule).data["schedule"] == self.THIRTY_DAYS_ON
        waiting.refresh_from_db()
        assert waiting.end_at is None

    def test_a_null_start_keeps_start_and_end(self, api, waiting):
        api.change(waiting, schedule={"end_at": "2026-03-02T15:00:00+05:30"})
        kept = api.change(waiting, schedule={"send_at": None}).data["schedule"]
        assert kept == {"send_at": "2026-03-02T13:00:00+05:30", "end_at": "2026-03-02T15:00:00+05:30"}

    def test_null_retries_are_not_given(self, api, waiting):
        assert api.change(waiting, name="another", retries=None).data["retries"]["number_of_retries"] == 2

    def test_after_the_start_a_null_schedule_is_not_given(self, api, running):
        changed = api.change(running, schedule=None, status_callback="https://example.com/hook")
        assert changed.data["status_callback"] == "https://example.com/hook"


class TestActions:
    @pytest.mark.parametrize(
        ("trait", "action", "becomes"),
        [
            (None, "pause", "Paused"),
            ("running", "pause", "Paused"),
            ("paused", "resume", "InProgress"),
            ("paused_before_start", "resume", "Created"),
            ("paused", "complete", "Completed"),
            ("completed", "archive", "Archived"),
            ("failed", "archive", "Archived"),
            ("canceled", "archive", "Archived"),
        ],
    )
    def test_an_action_moves_the_campaign(self, api, account, trait, action, becomes):
        row = CampaignFactory(account=account, **({trait: True} if trait else {}))
        assert api.change(row, action=action).data["status"] == becomes
        assert api.get(f"/campaigns/{row.pk.hex}").data["status"] == becomes

    @pytest.mark.parametrize(
        ("trait", "action"),
        [
            ("running", "resume"),
            ("running", "complete"),
            ("running", "archive"),
            ("paused", "pause"),
            ("paused", "archive"),
            ("completed", "pause"),
            ("completed", "resume"),
            ("archived", "archive"),
            ("deleted", "resume"),
            ("deleted", "archive"),
        ],
    )
    def test_an_action_that_the_state_does_not_allow_names_the_state(self, api, account, trait, action):
        row = CampaignFactory(account=account, **{trait: True})
        assert api.change(row, action=action).is_refused(400, action, f"it is {row.status}", "must be")
        assert Campaign.objects.get().status == row.status

    @pytest.mark.parametrize("action", ["stop", "", "delete", 1, True, ["pause"], {"pause": 1}])
    def test_an_unknown_action_is_told_the_known_ones_and_the_state(self, api, running, action):
        response = api.change(running, action=action)
        assert response.is_refused(400, "'action'", "pause, resume, complete, archive", "in-progress")

    def test_completing_a_campaign_fails_what_is_left(self, api, account):
        row = CampaignFactory(account=account, paused=True)
        CallFactory(campaign=row)
        assert api.change(row, action="complete").data["stats"]["failed-no-attempt"] == 1

    def test_an_action_is_read_in_any_case(self, api, running):
        assert api.change(running, action=" Pause ").data["status"] == "Paused"

    def test_caller_id_and_url_may_ride_along_and_change_nothing(self, api, running):
        data = api.change(running, action="pause", caller_id="unknown", url="nowhere").data
        assert data["status"] == "Paused"
        assert data["url"] == running.flow_url

    def test_callbacks_beside_an_action_are_changed_with_it(self, api, running):
        data = api.change(running, action="pause", status_callback="https://example.com/hook").data
        assert (data["status"], data["status_callback"]) == ("Paused", "https://example.com/hook")

    def test_an_action_that_fails_changes_no_callback_either(self, api, running):
        assert api.change(running, action="archive", status_callback="https://example.com/hook").status == 400
        assert Campaign.objects.get().status_callback == ""

    def test_a_bad_callback_beside_an_action_stops_it(self, api, running):
        assert api.change(running, action="pause", status_callback="nowhere").is_refused(400, "'status_callback'")
        assert Campaign.objects.get().status == "in-progress"


class TestDelete:
    @pytest.mark.parametrize("trait", [{}, {"paused_before_start": True}])
    def test_a_campaign_is_deleted_before_its_start_and_stays_readable(self, api, account, trait):
        row = CallFactory(campaign=CampaignFactory(account=account, **trait)).campaign
        response = api.delete(f"/campaigns/{row.pk.hex}")
        assert (response.data["id"], response.data["status"]) == (row.pk.hex, "Deleted")
        assert api.get(f"/campaigns/{row.pk.hex}").data["status"] == "Deleted"
        assert api.get("/campaigns").records == []
        assert Call.objects.get().status == "failed"

    @pytest.mark.parametrize("trait", ["running", "paused", "completed", "failed", "canceled", "archived", "deleted"])
    def test_not_after_it(self, api, account, trait):
        row = CampaignFactory(account=account, **{trait: True})
        assert api.delete(f"/campaigns/{row.pk.hex}").is_refused(400, "can't delete")
        assert Campaign.objects.get().status == row.status
