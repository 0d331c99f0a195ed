"""GET /campaigns/<id> with stats and summary, and GET /campaigns with filters, order and pages."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Campaign
from reports.stats import KEYS
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, CustomFieldFactory

pytestmark = pytest.mark.usefixtures("shared_account")


@pytest.fixture
def running(account):
    return CampaignFactory(account=account, running=True, with_retries=True)


class TestOne:
    def test_stats_have_every_key_in_the_spelling_of_exotels_documentation(self, api, running):
        stats = api.get(f"/campaigns/{running.pk.hex}").data["stats"]
        assert set(stats) == {
            *("created", "in-progress", "retry", "retrying", "completed", "failed"),
            *("failed-dnd", "invalid", "paused", "failed-no-attempt", "pending"),
        }

    def test_stats_count_numbers_by_their_state(self, api, running):
        CallFactory.create_batch(2, campaign=running)
        CallFactory(campaign=running, in_progress=True)
        CallFactory(campaign=running, in_progress=True, attempts_made=1)
        CallFactory.create_batch(3, campaign=running, retrying=True)
        CallFactory.create_batch(4, campaign=running, completed=True)
        CallFactory.create_batch(5, campaign=running, failed=True)
        CallFactory(campaign=running, failed=True, attempts_made=0)
        CallFactory(campaign=running, canceled=True)
        counts = {
            "created": 2,
            "in-progress": 1,
            "retrying": 1,
            "retry": 3,
            "completed": 4,
            "failed": 5,
            "failed-no-attempt": 2,
            "pending": 7,
        }
        assert api.get(f"/campaigns/{running.pk.hex}").data["stats"] == dict.fromkeys(KEYS, 0) | counts

    def test_numbers_that_wait_in_a_paused_campaign_are_paused(self, api, account):
        paused = CampaignFactory(account=account, paused=True, with_retries=True)
        CallFactory(campaign=paused)
        CallFactory(campaign=paused, retrying=True)
        stats = api.get(f"/campaigns/{paused.pk.hex}").data["stats"]
        assert {name: count for name, count in stats.items() if count} == {"paused": 2, "pending": 2}

    def test_summary_stands_beside_data(self, api, running):
        CallFactory(campaign=running)
        CallAttemptFactory(call=CallFactory(campaign=running, in_progress=True), in_progress=True)
        CallAttemptFactory(call=CallFactory(campaign=running, completed=True), completed=True)
        twice = CallFactory(campaign=running, failed=True, attempts_made=2)
        CallAttemptFactory(call=twice, busy=True)
        CallAttemptFactory(call=twice, no_answer=True, number=2)
        summary = api.get(f"/campaigns/{running.pk.hex}").item["summary"]
        created = summary.pop("DateCreated")
        assert created.endswith("+05:30")
        assert summary == {
            "campaign_sid": running.pk.hex,
            "call_scheduled": 4,
            "call_initialized": 4,
            "call_completed": 1,
            "call_failed": 1,
            "call_inprogress": 1,
        }

    @pytest.mark.parametrize(
        ("trait", "spelling"),
        [
            ({}, "Created"),
            ({"running": True}, "InProgress"),
            ({"paused": True}, "Paused"),
            ({"completed": True}, "Completed"),
            ({"failed": True}, "Failed"),
            ({"canceled": True}, "Canceled"),
            ({"deleted": True}, "Deleted"),
            ({"archived": True}, "Archived"),
        ],
    )
    def test_states_are_written_in_pascal_case(self, api, account, trait, spelling):
        row = CampaignFactory(account=account, **trait)
        assert api.get(f"/campaigns/{row.pk.hex}").data["status"] == spelling

    def test_a_started_campaign_says_when(self, api, running):
        started = api.get(f"/campaigns/{running.pk.hex}").data["date_started"]
        assert started == running.started_at.astimezone(running.account.zone).isoformat(timespec="seconds")

    def test_a_failed_campaign_says_which_status_made_it_fail(self, api, account):
        row = CampaignFactory(account=account, failed=True)
        assert api.get(f"/campaigns/{row.pk.hex}").data["http_status"] == 503

    def test_from_and_custom_field_are_shown(self, api, account):
        row = CampaignFactory(account=account)
        CallFactory(campaign=row, number="+919810012345")
        CustomFieldFactory(campaign=row, value="round-7")
        data = api.get(f"/campaigns/{row.pk.hex}").data
        assert (data["from"], data["custom_field"]) == (["+919810012345"], "round-7")

    def test_its_own_uri_leads_back_to_it(self, api, running):
        data = api.get(f"/campaigns/{running.pk.hex}").data
        assert api.get(data["uri"]).data["id"] == data["id"]

    def test_an_id_may_have_capitals_and_hyphens(self, api, running):
        assert api.get(f"/campaigns/{str(running.pk).upper()}").data["id"] == running.pk.hex

    def test_head_is_get_without_a_body(self, api, running):
        assert api.send("HEAD", f"/campaigns/{running.pk.hex}").status == 200


class TestList:
    def test_campaigns_come_wrapped_oldest_first_with_their_summaries(self, api, account):
        rows = [CampaignFactory(account=account) for _ in range(3)]
        response = api.get("/campaigns")
        assert [data["id"] for data in response.records] == [row.pk.hex for row in rows]
        assert [item["summary"]["campaign_sid"] for item in response.items] == [row.pk.hex for row in rows]
        assert response.metadata == {"count": 3, "offset": 0, "total": 3, "limit": 20}

    def test_numbers_are_left_out_of_lists(self, api, account):
        CallFactory(campaign=CampaignFactory(account=account))
        assert "from" not in api.get("/campaigns").records[0]

    def test_an_account_without_campaigns_gets_an_empty_page(self, api):
        response = api.get("/campaigns")
        assert response.records == []
        assert response.metadata == {"count": 0, "offset": 0, "total": 0, "limit": 20}

    def test_pages_are_cut_by_offset_and_limit(self, api, account):
        rows = [CampaignFactory(account=account) for _ in range(5)]
        response = api.get("/campaigns?offset=1&limit=2")
        assert [data["id"] for data in response.records] == [row.pk.hex for row in rows[1:3]]
        assert response.metadata == {"count": 2, "offset": 1, "total": 5, "limit": 2}

    def test_a_page_beyond_the_end_is_empty(self, api, account):
        CampaignFactory(account=account)
        assert api.get("/campaigns?offset=2147483648").metadata["count"] == 0

    def test_a_limit_above_the_maximum_is_the_maximum(self, api):
        assert api.get("/campaigns?limit=100000").metadata["limit"] == 500

    @pytest.mark.parametrize(
        ("status", "found"),
        [
            ("Created", ["created"]),
            ("in-progress", ["in-progress"]),
            ("InProgress,PAUSED", ["in-progress", "paused"]),
            ("in progress, created", ["created", "in-progress"]),
            ("IN_PROGRESS", ["in-progress"]),
            ("cancelled", ["canceled"]),
            ("failed, completed", ["completed", "failed"]),
            ("Deleted", ["deleted"]),
            ("", ["archived", "canceled", "completed", "created", "failed", "in-progress", "paused"]),
        ],
    )
    def test_states_are_filtered_in_any_spelling_and_deleted_ones_shown_on_demand(self, api, account, status, found):
        for trait in ("started", "running", "paused", "completed", "failed", "canceled", "archived", "deleted"):
            CampaignFactory(account=account, **({} if trait == "started" else {trait: True}))
        ids = [data["id"] for data in api.get("/campaigns", QUERY_STRING=f"status={status}").records]
        assert sorted(Campaign.objects.filter(pk__in=ids).values_list("status", flat=True)) == found

    def test_a_name_is_searched_without_regard_to_case_or_wildcards(self, api, account):
        for name in ("Fees due", "fees paid", "100% off", "other"):
            CampaignFactory(account=account, name=name)
        assert [data["name"] for data in api.get("/campaigns?name=FEES").records] == ["Fees due", "fees paid"]
        assert [data["name"] for data in api.get("/campaigns?name=%25").records] == ["100% off"]

    @pytest.mark.parametrize(
        ("sort_by", "order"),
        [
            ("date_created", "bac"),
            ("date_created:asc", "bac"),
            ("date_created:desc", "cab"),
            ("name:asc", "abc"),
            ("name:desc", "cba"),
        ],
    )
    def test_lists_are_sorted_by_creation_or_name(self, api, account, sort_by, order):
        now = timezone.now()
        for minutes, name in enumerate("bac"):
            row = CampaignFactory(account=account, name=name)
            Campaign.objects.filter(pk=row.pk).update(created_at=now + timedelta(minutes=minutes))
        assert "".join(data["name"] for data in api.get(f"/campaigns?sort_by={sort_by}").records) == order

    def test_type_and_old_paging_words_are_understood(self, api, account):
        CampaignFactory(account=account)
        assert api.get("/campaigns?type=trans&page=1&page_size=50").metadata["total"] == 1
        assert api.get("/campaigns?type=promo").metadata["total"] == 0

    def test_the_number_of_queries_does_not_grow_with_the_page(self, api, account, django_assert_max_num_queries):
        CampaignFactory.create_batch(30, account=account)
        with django_assert_max_num_queries(6):
            assert len(api.get("/campaigns?limit=500").records) == 30


def test_no_cache_keeps_a_response_with_data_or_an_error(api):
    for path in ("/campaigns", "/contacts", "/campaigns/nothing"):
        assert api.get(path).headers.get("Cache-Control") == "private, no-store"
