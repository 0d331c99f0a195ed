"""Order: within one number, the campaign's start first and its end last, and nobody waits for another's failure."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Campaign
from tests.conftest import NUMBERS
from tests.factories import ACTOR, CampaignFactory, WebhookDeliveryFactory
from webhooks import claims, outbox, tries
from webhooks.models import END, START, WebhookDelivery
from webhooks.tries import Result

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private_allowed")]

FIRST, SECOND = NUMBERS[:2]


@pytest.fixture
def campaign() -> Campaign:
    return CampaignFactory(running=True)


def rows(campaign, *numbers, **columns):
    moment = {"created_at": timezone.now()}
    return [WebhookDeliveryFactory(campaign=campaign, number=number, **moment | columns) for number in numbers]


def claimed(limit=100):
    """What a worker claims now; it has to be reported."""
    return claims.claim(limit, timezone.now())


def report(*deliveries, status=200, retry_after=None):
    error = "" if status == 200 else f"answered {status}"
    for delivery in deliveries:
        delivery.refresh_from_db()
        tries.record(delivery, Result(timezone.now(), 0.1, status, error, retry_after=retry_after), timezone.now())


def state(row):
    row.refresh_from_db()
    return row.state.value


@pytest.mark.parametrize("status", [404, 410, 308, 400])
def test_a_refusal_fails_that_webhook_only_and_the_next_of_its_number_follows_at_once(campaign, clock, status):
    refused, next_one, other = rows(campaign, FIRST, FIRST, SECOND)
    assert claimed() == [refused, other]
    report(refused, status=status)
    assert state(refused) == "given-up"
    assert (refused.last_status, refused.last_error) == (status, f"answered {status}")
    assert claimed() == [next_one]


def test_a_refused_webhook_can_be_sent_again(campaign, clock):
    [refused] = rows(campaign, FIRST)
    report(*claimed(), status=404)
    outbox.redeliver([refused], timezone.now(), actor=ACTOR)
    report(*claimed())
    assert state(refused) == "delivered"


def test_a_number_that_fails_for_a_day_holds_up_its_own_webhooks_only(campaign, clock):
    failing, behind, *others = rows(campaign, FIRST, FIRST, *NUMBERS[2:30])
    for _ in range(5):
        batch = claimed()
        report(*[row for row in batch if row == failing], status=500)
        report(*[row for row in batch if row != failing])
        clock.shift(timedelta(hours=2))
    assert {state(row) for row in others} == {"delivered"}
    assert (state(failing), state(behind)) == ("pending", "pending")
    assert behind.tries == 0
    report(*claimed())
    report(*claimed())
    assert (state(failing), state(behind)) == ("delivered", "delivered")
    assert list(behind.log.values_list("at", flat=True)) >= list(failing.log.values_list("at", flat=True))


def test_what_is_added_behind_one_that_waits_for_its_retry_waits_too(campaign, clock):
    rows(campaign, FIRST)
    report(*claimed(), status=503)
    [added] = rows(campaign, FIRST)
    assert claimed() == []
    clock.shift(timedelta(seconds=10))
    report(*claimed())
    assert claimed() == [added]


class TestStart:
    def test_it_is_tried_before_the_numbers(self, campaign, clock):
        start, first, second = rows(campaign, START, FIRST, SECOND)
        assert claimed() == [start]
        assert claimed() == []
        report(start)
        assert claimed() == [first, second]

    def test_the_numbers_do_not_wait_for_its_second_try(self, campaign, clock):
        start, first = rows(campaign, START, FIRST)
        report(*claimed(), status=500)
        assert claimed() == [first]
        clock.shift(timedelta(seconds=10))
        assert claimed() == [start]

    def test_the_numbers_do_not_wait_for_a_worker_that_died(self, campaign, clock):
        start, first = rows(campaign, START, FIRST)
        assert claimed() == [start]
        clock.shift(timedelta(seconds=31))
        assert set(claimed()) == {start, first}

    def test_it_never_waits(self, campaign, clock):
        """Of a campaign that has ended before: its start is nobody's successor."""
        rows(CampaignFactory(running=True), FIRST)
        [start] = rows(campaign, START)
        assert start in claimed()

    def test_a_stream_of_another_address_does_not_wait_for_it(self, campaign, clock):
        [start] = rows(campaign, START)
        [other] = rows(campaign, FIRST, url="https://client.example/elsewhere")
        assert set(claimed()) == {start, other}


class TestEnd:
    def test_it_is_the_last(self, campaign, clock):
        first, second, end = rows(campaign, FIRST, SECOND, END)
        assert claimed() == [first, second]
        report(first)
        assert claimed() == []
        report(second)
        assert claimed() == [end], "at once, without a pause"

    def test_refused_and_given_up_webhooks_let_it_go(self, campaign, clock):
        first, end = rows(campaign, FIRST, END)
        claimed()
        report(WebhookDelivery.objects.get(pk=first.pk), status=404)
        assert claimed() == [end]

    def test_it_waits_for_one_that_fails_for_ten_minutes_and_no_longer(self, campaign, clock):
        failing, end = rows(campaign, FIRST, END)
        began = timezone.now()
        while end not in (batch := claimed()):
            report(*batch, status=500)
            clock.shift(timedelta(seconds=1))
            assert timezone.now() - began < timedelta(minutes=11)
        assert timedelta(minutes=10) <= timezone.now() - began < timedelta(minutes=10, seconds=10)
        failing.refresh_from_db()
        assert failing.tries == 4
        report(end)
        assert (state(failing), state(end)) == ("pending", "delivered")

    def test_it_waits_for_what_was_never_tried_however_long_that_takes(self, campaign, clock, settings):
        settings.WEBHOOKS_AT_ONCE_PER_RECEIVER = 1
        *numbers, end = rows(campaign, *NUMBERS[:5], END)
        for number in numbers:
            clock.shift(timedelta(minutes=20))
            assert claimed() == [number]
            report(number)
        clock.shift(timedelta(minutes=1))
        assert claimed() == [end]

    def test_it_does_not_wait_for_the_second_webhook_of_a_number_that_fails(self, campaign, clock):
        failing, behind, end = rows(campaign, FIRST, FIRST, END)
        for _ in range(20):
            batch = claimed()
            report(*[row for row in batch if row == failing], status=500)
            if end in batch:
                break
            clock.shift(timedelta(minutes=1))
        assert end in batch
        assert (state(failing), state(behind), behind.tries) == ("pending", "pending", 0)

    def test_a_start_that_fails_holds_it_up_no_longer_than_others(self, campaign, clock):
        start, end = rows(campaign, START, END)
        report(*claimed(), status=500)
        assert claimed() == []
        clock.shift(timedelta(minutes=11))
        assert set(claimed()) == {start, end}

    def test_a_call_that_ends_after_it_does_not_wait_for_it(self, campaign, clock):
        failing, _end, late = rows(campaign, FIRST, END, SECOND)
        assert claimed() == [failing, late]

    def test_a_redelivered_one_waits_for_nobody(self, campaign, clock):
        rows(campaign, FIRST)
        end = WebhookDeliveryFactory(campaign=campaign, number=END, given_up=True)
        outbox.redeliver([end], timezone.now(), actor=ACTOR)
        assert end in claimed()


@pytest.mark.parametrize(("asked", "waits"), [(None, 5), (0, 1), (120, 120), (10**9, 3600), (-5, 1)])
def test_retry_after_is_honored_within_bounds(campaign, clock, asked, waits):
    [row] = rows(campaign, FIRST)
    report(*claimed(), status=429, retry_after=asked)
    row.refresh_from_db()
    waited = (row.next_try_at - timezone.now()).total_seconds()
    assert waits <= waited <= 1.2 * waits


def test_one_that_is_on_its_way_is_not_sent_twice_by_a_redelivery(campaign, clock):
    [row] = rows(campaign, FIRST)
    [ours] = claimed()
    outbox.redeliver([row], timezone.now(), actor=ACTOR)
    assert claimed() == []
    report(ours)
    assert state(row) == "delivered"
