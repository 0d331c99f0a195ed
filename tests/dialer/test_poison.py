"""A row on which this program fails, at each step: only its own call fails, and the campaign goes on to its end."""

import pytest
from django.db import connection

from campaigns.models import Call, Campaign
from dialer import inbox, outcomes
from dialer.carriers.simulated import SimulatedCarrier
from dialer.models import CallAttempt, CarrierEvent
from tests.conftest import NUMBERS, leases

POISON = NUMBERS[1]


@pytest.fixture
def stumble():
    """Make the database raise for the attempts at one number, at the INSERT or UPDATE that meets a condition."""

    def install(event, condition):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF {condition}
                        AND EXISTS (SELECT 1 FROM campaigns_call WHERE id = NEW.call_id AND number = '{POISON}')
                    THEN PERFORM 1 / 0; END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER stumble BEFORE {event} ON dialer_callattempt FOR EACH ROW EXECUTE FUNCTION stumble();
                """
            )

    yield install
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS stumble CASCADE")


STEPS = {
    "claim": ("INSERT", "true"),
    "intent": ("UPDATE", "NEW.status = 'placing'"),
    "reply": ("UPDATE", "NEW.status = 'in-progress' AND OLD.status = 'placing'"),
    "outcome": ("UPDATE", "NEW.status = 'completed'"),
}


@pytest.mark.parametrize("step", STEPS)
def test_only_the_call_itself_fails_and_the_campaign_ends(rig, stumble, step):
    stumble(*STEPS[step])
    campaign = rig.campaign(5, retries=2)
    rig.tick()
    for _ in range(10):
        rig.recover()
        rig.later(minutes=11)
    ended = dict(Call.objects.filter(campaign=campaign).values_list("number", "status"))
    others = [number for number in NUMBERS[:5] if number != POISON]
    assert [ended[number] for number in others] == ["completed"] * 4
    assert ended[POISON] == ("completed" if step == "reply" else "failed")
    assert rig.rings(POISON) == ([] if step in {"claim", "intent"} else [POISON]), "rung once at the most"
    campaign.refresh_from_db()
    assert campaign.status == Campaign.Status.COMPLETED
    assert leases(rig.account) == 0


def test_the_call_and_the_event_say_what_happened(rig, stumble):
    stumble(*STEPS["outcome"])
    rig.campaign(3, retries=2)
    rig.tick()
    assert Call.objects.get(number=POISON).end_reason == "a fault of this server: DataError"
    attempt = CallAttempt.objects.get(call__number=POISON)
    assert "division by zero" in CarrierEvent.objects.get(attempt_id=attempt.pk).error


def test_a_driver_that_fails_on_an_event_fails_that_call_alone(rig, monkeypatch):
    read = SimulatedCarrier.read_event

    def stumbling(payload):
        if payload["ref"] == CallAttempt.objects.get(call__number=POISON).pk.hex:
            raise ZeroDivisionError("poison")
        return read(payload)

    monkeypatch.setattr(SimulatedCarrier, "read_event", stumbling)
    rig.campaign(3)
    rig.tick()
    assert list(Call.objects.order_by("number").values_list("status", flat=True)) == [
        "completed",
        "failed",
        "completed",
    ]


def test_news_of_an_answer_on_which_the_program_fails_does_not_fail_the_call(rig, monkeypatch):
    """The call is up: its end may still be understood."""
    rig.carrier.script = {POISON: ["silent"]}
    rig.campaign([POISON])
    rig.tick()
    attempt = CallAttempt.objects.get()
    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "_mark_up", lambda *_: 1 / 0)
        inbox.append("simulated", [(attempt.pk, {"status": "in-progress"})])
        rig.settle()
    inbox.append("simulated", [(attempt.pk, {"status": "completed"})])
    rig.settle()
    assert Call.objects.get().status == "completed"


def test_a_fault_that_even_giving_up_meets_holds_up_nobody_else(rig, stumble):
    stumble("UPDATE", "NEW.status IN ('completed', 'failed')")
    campaign = rig.campaign(3)
    rig.tick()
    rig.recover()
    statuses = dict(Call.objects.filter(campaign=campaign).values_list("number", "status"))
    assert statuses == {NUMBERS[0]: "completed", POISON: "in-progress", NUMBERS[2]: "completed"}
    assert not CarrierEvent.objects.filter(handled_at=None).exists()
