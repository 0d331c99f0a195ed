"""Stop calling, and resume what was stopped."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts.audit_entry import AuditEntry
from campaigns import lifecycle
from campaigns.models import Campaign
from console import stops
from console.models import CallingStop
from dialer.models import CarrierEvent
from tests.factories import ACTOR, AccountFactory, CallAttemptFactory, CampaignFactory, TrunkFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def states() -> dict[str, str]:
    return dict(Campaign.objects.values_list("name", "status"))


def stop(accounts=None, now=NOW):
    return stops.stop(accounts, actor=ACTOR, now=now)


def resume(stopped, accounts=None):
    return stops.resume(stopped.stop, accounts, actor=ACTOR, now=NOW + timedelta(minutes=1))


def test_a_stop_pauses_what_runs_and_nothing_else():
    for name, state in (("a", "running"), ("b", "running"), ("later", "created"), ("held", "paused")):
        CampaignFactory(name=name, **({state: True} if state != "created" else {}))

    stopped = stop()

    assert (stopped.done, stopped.refusals) == (2, [])
    assert states() == {"a": "paused", "b": "paused", "later": "created", "held": "paused"}
    assert AuditEntry.objects.filter(verb="paused").count() == 2


def test_a_resume_brings_back_those_of_the_stop_alone():
    for name in ("a", "b"):
        CampaignFactory(name=name, running=True)
    CampaignFactory(name="held", paused=True)

    resumed = resume(stop())

    assert resumed.done == 2
    assert states() == {"a": "in-progress", "b": "in-progress", "held": "paused"}
    assert stops.offered(None, NOW) == []


def test_what_a_person_has_paused_since_stays_paused():
    mine = CampaignFactory(name="mine", running=True)
    CampaignFactory(name="other", running=True)
    stopped = stop()
    lifecycle.resume(mine, actor=ACTOR, now=NOW + timedelta(seconds=10))
    lifecycle.pause(mine, actor=ACTOR, now=NOW + timedelta(seconds=20))

    assert [count for _, count in stops.offered(None, NOW)] == [1]
    resume(stopped)

    assert states() == {"mine": "paused", "other": "in-progress"}


def test_a_campaign_that_can_not_be_resumed_holds_up_no_other():
    CampaignFactory(name="over", running=True, end_at=NOW + timedelta(seconds=30), send_at=NOW - timedelta(hours=1))
    CampaignFactory(name="other", running=True)

    resumed = resume(stop())

    assert resumed.done == 1
    assert resumed.refusals == ["over: can't resume this campaign: its end has come while it was paused"]


def test_a_stop_reaches_no_further_than_the_accounts():
    own, others = AccountFactory(), AccountFactory()
    CampaignFactory(name="own", account=own, running=True)
    CampaignFactory(name="others", account=others, running=True)

    stopped = stop({own.pk})
    assert states() == {"own": "paused", "others": "in-progress"}

    assert stops.offered({others.pk}, NOW) == []
    assert resume(stopped, {others.pk}).done == 0
    assert states()["own"] == "paused"


def test_nothing_to_stop_leaves_no_stop():
    assert stop() == stops.Stopped(None, 0, [])
    assert not CallingStop.objects.exists()


def test_a_stop_is_offered_for_a_week():
    CampaignFactory(running=True)
    stop()
    assert len(stops.offered(None, NOW + timedelta(days=6))) == 1
    assert stops.offered(None, NOW + timedelta(days=8)) == []


def test_the_consequence_counts_campaigns_accounts_and_calls_up():
    first = CampaignFactory(running=True)
    CampaignFactory(running=True, account=first.account)
    CallAttemptFactory(in_progress=True, call__campaign=first)
    CallAttemptFactory(completed=True)

    assert stops.consequence({first.account_id}) == stops.Consequence(campaigns=2, accounts=1, calls_up=1)


def test_batches_are_one_stop(monkeypatch):
    monkeypatch.setattr(stops, "BATCH", 2)
    for n in range(5):
        CampaignFactory(name=str(n), running=True)
    assert stop().done == 5
    assert CallingStop.objects.count() == 1


def test_the_statements_do_not_grow_with_the_campaigns(django_assert_max_num_queries):
    for _ in range(20):
        CampaignFactory(running=True)
    with django_assert_max_num_queries(20):
        stop()


def test_the_commands_stop_and_resume(capsys):
    campaign = CampaignFactory(running=True)
    CampaignFactory(running=True, name="elsewhere")

    call_command("stop_calling", "--account", campaign.account.sid, "--json")
    told = json.loads(capsys.readouterr().out)
    assert told == {"stop": CallingStop.objects.get().pk, "paused": 1, "hung_up": 0, "refusals": []}

    call_command("resume_calling", "--json")
    assert json.loads(capsys.readouterr().out)["resumed"] == 1
    campaign.refresh_from_db()
    assert campaign.status == "in-progress"
    with pytest.raises(CommandError, match="no such stop"):
        call_command("resume_calling")


def test_a_stop_now_leaves_moments_that_agree():
    CampaignFactory(running=True)
    stopped = stop(now=timezone.now())
    assert [made.pk for made, _ in stops.offered(None, timezone.now())] == [stopped.stop.pk]


# Calls that are up ----------------------------------------------------------------------------------------------------


def test_calls_go_on_unless_they_are_hung_up():
    attempt = CallAttemptFactory(in_progress=True, call__campaign=CampaignFactory(running=True))
    assert stop().hung_up == 0
    attempt.refresh_from_db()
    assert attempt.status == "in-progress"
    assert not CarrierEvent.objects.exists()


def test_all_calls_that_are_up_are_hung_up_and_that_is_recorded():
    own = CampaignFactory(running=True, name="Fees")
    paused = CampaignFactory(paused=True, account=own.account)
    up = [CallAttemptFactory(in_progress=True, call__campaign=campaign) for campaign in (own, own, paused)]
    others = CallAttemptFactory(in_progress=True, call__campaign=CampaignFactory(running=True))

    # The simulated carrier knows a call by the attempt's own id.
    for attempt in (*up, others):
        type(attempt).objects.filter(pk=attempt.pk).update(carrier_ref=attempt.pk.hex)
    stopped = stops.stop({own.account_id}, actor=ACTOR, now=NOW, hang_up=True)

    assert (stopped.done, stopped.hung_up) == (1, 3)
    assert {event.attempt_id for event in CarrierEvent.objects.all()} == {attempt.pk for attempt in up}
    told = AuditEntry.objects.filter(verb="ran").values_list("object_name", "what", "actor_name", "account")
    assert ("Fees", "hang up: 2 calls that were up", "meera", own.account_id) in told
    assert len(told) == 2


def test_a_campaign_that_has_started_since_keeps_its_calls(monkeypatch):
    late = CampaignFactory(running=True)
    CallAttemptFactory(in_progress=True, call__campaign=late)
    monkeypatch.setattr(stops, "_running", lambda accounts: Campaign.objects.none())
    assert stop_and_hang_up().hung_up == 0


def stop_and_hang_up():
    return stops.stop(None, actor=ACTOR, now=NOW, hang_up=True)


def test_calls_over_a_carrier_that_ends_none_go_on_and_are_told_of_before_and_after(person):
    trunk = TrunkFactory(exotel=True)
    attempt = CallAttemptFactory(
        in_progress=True, call__campaign__running=True, call__campaign__caller_id__trunk=trunk, carrier_ref="up"
    )
    client, address = person("operator", attempt.account), reverse("admin:stop_calling")
    said = "No hang-up ends these calls, and they go on: 1 over Exotel (v1 connect)."
    assert said in client.get(address).content.decode()
    page = client.post(address, {"hang_up": "1"}, follow=True).content.decode()
    assert said in page
    assert "were asked to end" not in page
    assert stop_and_hang_up().go_on == {"Exotel (v1 connect)": 1}
