"""People are taken out of a campaign that goes on: an end for each that waits, a word about each that does not."""

import pytest
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from campaigns import schedule
from campaigns.models import Call
from tests.api.client import NUMBERS
from tests.api.test_query_counts import statements
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory

pytestmark = pytest.mark.usefixtures("shared_account")

A, B, C = NUMBERS


@pytest.fixture
def campaign(account):
    return CampaignFactory(account=account, running=True)


def cancel(api, campaign, *numbers, **more):
    body = {"calls": [{"number": number} for number in numbers]} | more
    return api.post(f"/campaigns/{campaign.pk.hex}/calls/cancel", body)


def call_of(campaign, number=A, **columns):
    return CallFactory(campaign=campaign, number=number, **columns)


def state(call):
    call.refresh_from_db()
    return call.status, call.end_reason


def test_calls_that_wait_end_with_the_reason(api, campaign):
    new, retrying = call_of(campaign), call_of(campaign, B, retrying=True)
    response = cancel(api, campaign, "098100 12345", B)
    assert (response.status, response.codes) == (207, [200, 200])
    assert response.items[0]["data"] == {"number": A, "canceled": 1, "in_progress": 0}
    assert state(new) == ("canceled", "the number was taken out of the campaign")
    assert state(retrying) == ("canceled", "the number was taken out of the campaign")


def test_a_call_that_is_up_goes_on_and_is_told_so(api, campaign):
    call = call_of(campaign, in_progress=True)
    response = cancel(api, campaign, A)
    assert response.item["data"] == {"number": A, "canceled": 0, "in_progress": 1}
    assert state(call) == ("in-progress", "the number was taken out of the campaign")
    assert call.rule == "taken-out"


def test_each_item_has_a_code_of_its_own(api, campaign, account):
    call_of(campaign), call_of(campaign, B, completed=True)
    call_of(CampaignFactory(account=account, running=True), C)
    response = cancel(api, campaign, A, B, C, "+9112", 5)
    assert response.codes == [200, 409, 404, 400, 400]
    assert f"'number': this campaign has no call to {C}" in response.items[2]["error_data"]["description"]
    assert f"{B} is over already" in response.items[1]["error_data"]["description"]
    assert response.metadata == {"total": 5, "success": 1, "failed": 4}
    assert Call.objects.get(number=C).status == "created"


def test_who_is_over_already_is_not_called_again_once_on_the_do_not_call_list_as_the_409_says(api, campaign, account):
    call_of(campaign, failed=True, last_outcome="busy"), call_of(campaign, B, failed=True, last_outcome="busy")
    [refused] = cancel(api, campaign, A).items
    assert refused["code"] == 409
    told = "other campaigns may call it, and an 'again' of this one: put it on the do-not-call list to prevent that"
    assert told in refused["error_data"]["description"]
    assert refused["data"] == {"number": A, "canceled": 0, "in_progress": 0}
    assert api.post("/do-not-call", {"number": A}).codes == [200]
    child = api.post(f"/campaigns/{campaign.pk.hex}/again", {"who": ["busy"]}).data["id"]
    assert [call.number for call in Call.objects.filter(campaign=child)] == [B]


def test_a_call_is_named_by_its_sid_instead(api, campaign):
    call, other = call_of(campaign, retrying=True), call_of(campaign, retrying=True)
    sid = CallAttemptFactory(call=call, busy=True).pk.hex
    path = f"/campaigns/{campaign.pk.hex}/calls/cancel"
    response = api.post(path, {"calls": [{"call_sid": sid}, {"call_sid": "0" * 32}, {"call_sid": "x"}, {}]})
    assert response.codes == [200, 404, 400, 400]
    assert (state(call)[0], state(other)[0]) == ("canceled", "retrying")
    assert api.post(path, {"number": A, "call_sid": sid}).codes == [400]


def test_all_calls_to_a_number_that_is_called_twice_end(api, campaign):
    call_of(campaign), call_of(campaign)
    assert cancel(api, campaign, A, A).items[1]["data"] == {"number": A, "canceled": 2, "in_progress": 0}


def test_one_entry_tells_of_it_with_the_reason(api, campaign):
    call_of(campaign), call_of(campaign, B, in_progress=True)
    cancel(api, campaign, A, B, reason="have paid")
    reason = "the number was taken out of the campaign: have paid"
    assert set(Call.objects.values_list("end_reason", flat=True)) == {reason}
    entry = AuditEntry.objects.get(object_kind="campaigns.campaign")
    assert (entry.verb, entry.object_id) == ("changed", str(campaign.pk))
    assert entry.what == "took out 1 calls that waited and 1 under way: have paid"
    cancel(api, campaign, C)
    assert AuditEntry.objects.filter(object_kind="campaigns.campaign").count() == 1
    assert cancel(api, campaign, A, reason="x" * 256).is_refused(400, "'reason'")


def test_a_long_reason_is_cut(api, campaign):
    waiting, under_way = call_of(campaign), call_of(campaign, B, in_progress=True)
    assert cancel(api, campaign, A, B, reason="x" * 255).codes == [200, 200]
    reason = f"the number was taken out of the campaign: {'x' * 255}"[:255]
    assert (state(waiting), state(under_way)) == (("canceled", reason), ("in-progress", reason))


def test_what_would_be_dropped_is_refused(api, campaign):
    call = call_of(campaign)
    path = f"/campaigns/{campaign.pk.hex}/calls/cancel"
    of_one = api.post(path, {"calls": [{"number": A, "reason": "has paid"}]})
    assert of_one.codes == [400]
    assert "'reason': is not known here" in of_one.item["error_data"]["description"]
    beside = api.post(path, {"calls": [{"number": A}], "because": "has paid"})
    assert beside.is_refused(400, "'because': is not known here", "calls, reason")
    assert state(call) == ("created", "")
    assert api.post(path, {"number": A, "reason": "has paid"}).codes == [200]
    assert AuditEntry.objects.get(object_kind="campaigns.campaign").what.endswith(": has paid")


def test_a_campaign_that_has_ended_is_refused(api, account):
    campaign = CampaignFactory(account=account, completed=True)
    call_of(campaign, completed=True)
    told = "it calls nobody any more; other campaigns may, unless a number is on the do-not-call list"
    assert cancel(api, campaign, A).is_refused(400, f"the campaign is completed: {told}")


def test_a_campaign_whose_calls_are_being_made_is_refused(api, account):
    campaign = CampaignFactory(account=account, is_loading=True)
    assert cancel(api, campaign, A).is_refused(400, "try again in a minute")


def test_sent_again_with_its_key_it_is_done_once(api, campaign):
    call_of(campaign)
    body, path = {"calls": [{"number": A}]}, f"/campaigns/{campaign.pk.hex}/calls/cancel"
    for _ in range(2):
        assert api.post(path, body, headers={"Idempotency-Key": "k"}).codes == [200]


def test_many_take_as_many_statements_as_one(api, campaign):
    assert api.get("/campaigns").status == 200
    numbers = [f"+9198100{n:05d}" for n in range(40)]
    for number in numbers:
        call_of(campaign, number)

    def times(some):
        return len(statements(lambda: cancel(api, campaign, *some), status=207))

    assert times(numbers[:1]) == times(numbers[1:30])


def test_a_campaign_whose_last_call_it_was_is_closed(api, campaign, django_capture_on_commit_callbacks):
    call_of(campaign)
    with django_capture_on_commit_callbacks(execute=True):
        cancel(api, campaign, A)
    schedule.close_finished(timezone.now())
    campaign.refresh_from_db()
    assert campaign.status == "failed"
