"""Calls of a real gateway process over sipp as the trunk: each outcome, digest, a silent trunk, crashes."""

import array
import signal
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import Account
from dialer import inbox, reconciliation, recordings
from dialer.carriers.base import Accepted, Ambiguous, CallRequest, CantTell, Event, Placed, Refused
from dialer.models import CallAttempt, Recording, Transfer
from sipgateway import beats, driver, recording_store, records, sounds
from sipgateway.driver import SipCarrier
from sipgateway.models import Gateway, SipCall
from sipgateway.session_descriptions import PCMA, PCMU
from tests.conftest import leases
from tests.factories import CallAttemptFactory, TrunkFactory
from tests.sipgateway import speech_engine
from tests.sipgateway.sip_parties import (
    GatewayUnderTest,
    Recorder,
    Sipp,
    needs_sipp,
    wait_until,
)
from tools import sipp_party

pytestmark = [needs_sipp, pytest.mark.django_db(transaction=True)]

SILENCE = 8.0


@pytest.fixture(scope="module")
def gateway_of_the_module(django_db_setup, tmp_path_factory):
    made = GatewayUnderTest(tmp_path_factory.mktemp("sip"), SIP_SILENCE_SECONDS=str(SILENCE))
    yield made
    made.end()


@pytest.fixture
def gateway(gateway_of_the_module, transactional_db):
    """At work. A test before may have ended it, and emptied its row."""
    gateway_of_the_module.start()
    wait_until(lambda: beats.is_any_at_work(timezone.now()), gateway_of_the_module.log.read_text)
    return gateway_of_the_module


@pytest.fixture
def trunk_of(tmp_path):
    """Makes a trunk whose far end is sipp with a scenario."""
    parties = []

    def make(scenario, *options, parameters="", **columns):
        party = Sipp(tmp_path, scenario, *options)
        parties.append(party)
        trunk = TrunkFactory(carrier="sip", base_url=f"sip:127.0.0.1:{party.port}{parameters}", **columns)
        return Line(party, trunk)

    yield make
    for party in parties:
        party.stop()


MENU = {"gather": {"prompt": [{"say": "Press"}], "digits": 3, "branches": {"15#": [{"say": "Thank you"}]}}}


@dataclass
class Line:
    """A trunk, and who is at its far end."""

    party: Sipp
    trunk: object

    def request(self, number="+919810000000", *, seconds=30.0, ring_timeout=20, steps=({"say": "Hello"},)):
        attempt = CallAttemptFactory(
            placing=True,
            call__number=number,
            call__campaign__caller_id__trunk=self.trunk,
            call__campaign__flow__document={"steps": list(steps)},
            claimed_at=timezone.now(),
        )
        return CallRequest(
            attempt_id=attempt.pk,
            number=number,
            caller_id=attempt.campaign.caller_id.number,
            flow_id="1",
            flow_url="",
            custom_field="",
            callback_url="",
            ring_timeout=ring_timeout,
            max_seconds=60,
            ask_before=timezone.now() + timedelta(seconds=seconds),
        )

    def place(self, *requests):
        return SipCarrier().place(requests)


def ended(attempt_id: UUID) -> None:
    wait_until(
        SipCall.objects.filter(pk=attempt_id, status=SipCall.Status.ENDED).exists,
        lambda: f"{list(SipCall.objects.values())}",
    )


def told(attempt_id: UUID) -> Event:
    """What a look-up says once the call has ended."""
    ended(attempt_id)
    [found] = SipCarrier().look_up([placed(attempt_id)]).values()
    assert isinstance(found, Event)
    return found


def placed(attempt_id):
    return Placed(attempt_id, "+919810000000", "+918047112233", timezone.now(), attempt_id.hex)


BRANCHES = {
    "+919810000010": (Accepted, "completed"),
    "+919810000011": (Accepted, "busy"),
    "+919810000012": (Accepted, "busy"),
    "+919810000013": (Refused, "failed"),
    "+919810000014": (Refused, "canceled"),
    "+919810000015": (Accepted, "no-answer"),
    "+919810000016": (Ambiguous, None),
}


def test_each_branch_of_a_trunk_ends_as_its_outcome(gateway, trunk_of):
    line = trunk_of("trunk")
    rings_on = "+919810000015"
    requests = {number: line.request(number, ring_timeout=2 if number == rings_on else 60) for number in BRANCHES}
    replies = line.place(*requests.values())
    kinds = {number: type(replies[request.attempt_id]) for number, request in requests.items()}
    assert kinds == {number: kind for number, (kind, _) in BRANCHES.items()}
    for number, (_, outcome) in BRANCHES.items():
        if outcome:
            assert told(requests[number].attempt_id).status == outcome, number
    assert replies[requests["+919810000013"].attempt_id].names_number
    assert sorted(line.party.call_ids()) == sorted(request.attempt_id.hex for request in requests.values())


def test_an_answered_call_is_ended_by_a_bye(gateway, trunk_of):
    line = trunk_of("answer", "-m", "1")
    request = line.request()
    reply = line.place(request)[request.attempt_id]
    assert isinstance(reply, Accepted)
    event = told(request.attempt_id)
    assert (event.status, event.reason, event.carrier_ref) == ("completed", "the flow ended", request.attempt_id.hex)
    assert event.started_at
    assert event.answered_at
    assert event.ended_at
    assert event.started_at <= event.answered_at <= event.ended_at
    assert line.party.exit_code() == 0  # the BYE came, though the Contact says transport=UDP


@pytest.mark.parametrize(
    ("parameters", "own", "callee", "identity"),
    [
        ("", "{caller_id}@127.0.0.1", "{number}@127.0.0.1", "{caller_id}@127.0.0.1"),
        (
            ";domain=trunk.test;from=acme01;plus=no",
            "acme01@trunk.test",
            "919810000000@trunk.test",
            "{plain}@trunk.test",
        ),
        (";pai=no", "{caller_id}@127.0.0.1", "{number}@127.0.0.1", None),
    ],
)
def test_an_invite_names_both_ends_as_the_trunk_wants_them(gateway, trunk_of, parameters, own, callee, identity):
    line = trunk_of("busy", parameters=parameters)
    request = line.request()
    line.place(request)
    ended(request.attempt_id)
    known = {"caller_id": request.caller_id, "number": request.number, "plain": request.caller_id.removeprefix("+")}
    invite = line.party.invite()
    for header, user in (("From", own), ("To", callee), ("P-Asserted-Identity", identity)):
        assert invite.get(header) == (user and user.format(**known)), header
    assert invite["Request-URI"] == callee.format(**known)


def test_a_phone_that_rings_on_is_cancelled(gateway, trunk_of):
    line = trunk_of("no_answer", "-m", "1")
    request = line.request(ring_timeout=1)
    line.place(request)
    event = told(request.attempt_id)
    assert (event.status, event.reason) == ("no-answer", "not answered within 1 s")
    assert line.party.exit_code() == 0  # CANCEL, 200, 487 and ACK


def test_a_call_that_was_answered_as_it_was_cancelled_is_hung_up_however_late_that_is_told(gateway, trunk_of):
    line = trunk_of("answer_after_cancel", "-m", "1")
    request = line.request(ring_timeout=1)
    line.place(request)
    event = told(request.attempt_id)
    assert (event.status, event.reason) == ("no-answer", "not answered within 1 s")
    assert line.party.exit_code() == 0, "sipp got a BYE"
    assert event.started_at
    assert event.ended_at
    assert event.ended_at - event.started_at > timedelta(seconds=12), "the channel was not free before"


def test_news_of_a_call_that_was_taken_goes_through_the_inbox(gateway, trunk_of):
    line = trunk_of("no_answer")
    request = line.request(ring_timeout=1)
    line.place(request)
    ended(request.attempt_id)
    inbox.settle_batch(timezone.now())
    attempt = CallAttempt.objects.get(pk=request.attempt_id)
    assert (attempt.status, attempt.reason) == ("no-answer", "not answered within 1 s")


@pytest.mark.parametrize("scenario", ["answer_auth_401_eager", "answer_auth_407_eager"])
@pytest.mark.parametrize("password", ["s3cret", "wrong"])
def test_a_trunk_that_asks_for_a_password_gets_it(gateway, trunk_of, scenario, password):
    line = trunk_of(scenario, "-m", "1", api_key="campaign", api_token=password)
    request = line.request()
    reply = line.place(request)[request.attempt_id]
    if password == "wrong":
        assert reply == Refused("403 Forbidden")
    else:
        assert isinstance(reply, Accepted)
        assert told(request.attempt_id).status == "completed"
        assert line.party.exit_code() == 0


def test_a_trunk_that_asks_for_a_password_where_there_is_none_refuses_our_side(gateway, trunk_of):
    line = trunk_of("answer_auth_401_eager")
    request = line.request()
    assert line.place(request)[request.attempt_id] == Refused("401 Unauthorized")


def test_a_silent_trunk_rests_and_its_call_is_given_back_only_when_nothing_can_come(gateway, trunk_of):
    line = trunk_of("silent")
    request = line.request()
    reply = line.place(request)[request.attempt_id]
    assert reply == Ambiguous("the trunk has not responded to the INVITE")
    wait_until(lambda: getattr(line.trunk, "health", None) or line.trunk.refresh_from_db(), "the trunk goes on")
    assert line.trunk.health.last_error == "no response from the trunk within 8 s"
    assert SipCall.objects.get().status == SipCall.Status.SILENT
    [look_up] = SipCarrier().look_up([placed(request.attempt_id)]).values()
    assert look_up == CantTell("the trunk has not responded to the INVITE")
    assert len(line.party.call_ids()) == 1


def test_where_a_tenth_of_all_messages_is_lost_calls_are_answered_and_nobody_is_rung_twice(gateway, trunk_of):
    line = trunk_of("answer", "-lost", "10")
    requests = [line.request(f"+9198100001{at:02d}", seconds=30) for at in range(20)]
    SipCall.objects.bulk_create([row_of(request) for request in requests])
    records.wake_gateways()
    # One whose INVITE is lost three times is given back, which is rare.
    answered = SipCall.objects.filter(answered_at__isnull=False)
    wait_until(lambda: answered.count() >= 17, lambda: f"{list(SipCall.objects.values())}")
    rings = line.party.rings()
    assert sipp_party.double_rings(rings) == 0
    assert {ring.call_id for ring in rings} <= {request.attempt_id.hex for request in requests}


@pytest.mark.parametrize("point", ["sip-before-invite", "sip-after-invite"])
def test_a_gateway_that_is_killed_sends_no_second_invite(gateway, trunk_of, point):
    line = trunk_of("no_answer")
    request = line.request(ring_timeout=1)
    gateway.failpoint.write_text(f"{point}:1")
    SipCall.objects.bulk_create([row_of(request)])
    records.wake_gateways()
    assert gateway.running.wait(60) == -signal.SIGKILL
    left = SipCall.objects.get()
    # Claimed and committed before the INVITE: no other gateway may send one, whether it left or not.
    assert left.status in (SipCall.Status.INVITING, SipCall.Status.TRYING, SipCall.Status.RINGING)
    Gateway.objects.all().delete()  # or the dead one would count as at work for some seconds
    gateway.start()
    wait_until(lambda: beats.is_any_at_work(timezone.now()), "the gateway did not start again")
    other = line.request("+919810000099", ring_timeout=1)
    line.place(other)
    ended(other.attempt_id)
    rings = line.party.call_ids()
    assert rings.count(request.attempt_id.hex) <= (point == "sip-after-invite")
    assert other.attempt_id.hex in rings


def test_what_was_recorded_when_a_gateway_is_killed_is_kept(gateway, trunk_of):
    line = trunk_of("answer")
    request = line.request(steps=[{"record_call": True}, {"say": "v" * 500}])
    line.place(request)
    under_way = recording_store.folder()
    written = lambda: sum(file.stat().st_size for file in under_way.glob("*.part"))  # noqa: E731
    wait_until(lambda: written() > 16_000, gateway.log.read_text)
    gateway.running.kill()
    gateway.running.wait(60)
    gateway.start()
    wait_until(Recording.objects.exists, gateway.log.read_text)
    recording = Recording.objects.get()
    assert (recording.attempt_id, recording.place, recording.is_cut) == (request.attempt_id, "0.1", True)
    assert recording.seconds >= 1
    assert recordings.storage().size(recording.file) > 32_000  # twice the size on its way: 16-bit samples
    wait_until(lambda: not list(under_way.iterdir()), "what was kept is still under way")


def test_a_gateway_that_is_stopped_cancels_what_rings(gateway, trunk_of):
    line = trunk_of("no_answer", "-m", "1")
    request = line.request()
    line.place(request)
    gateway.running.terminate()
    assert gateway.running.wait(60) == 0
    assert line.party.exit_code() == 0
    event = told(request.attempt_id)
    assert (event.status, event.reason) == ("failed", "the SIP gateway was stopped")
    assert Gateway.objects.get().stopped_at


@pytest.mark.parametrize(
    ("scenario", "up", "outcome"),
    [("answer", SipCall.Status.TALKING, "completed"), ("no_answer", SipCall.Status.RINGING, "failed")],
)
def test_a_call_ends_only_when_its_trunk_has_ended_it(gateway, trunk_of, scenario, up, outcome):
    """Or the trunk would have more calls than channels for as long as it stands still."""
    line, other = trunk_of(scenario, "-m", "1"), trunk_of("answer", "-m", "1")
    request, later = line.request(steps=[{"gather": MENU["gather"] | {"timeout": 50}}]), other.request()
    line.place(request)
    wait_until(SipCall.objects.filter(status=up).exists, "it did not get up")
    line.party.process.send_signal(signal.SIGSTOP)
    SipCarrier().hang_up([request.attempt_id.hex])
    # What becomes of a call is stored in its order: were the first one over, its end would be known by now.
    other.place(later)
    ended(later.attempt_id)
    assert SipCall.objects.get(pk=request.attempt_id).status == up
    thawed_at = timezone.now()
    line.party.process.send_signal(signal.SIGCONT)
    event = told(request.attempt_id)
    assert (event.status, event.reason) == (outcome, "hung up by this server")
    # A conversation was as long as its callee heard it.
    assert outcome == "failed" or (event.ended_at and event.ended_at < thawed_at)
    assert line.party.exit_code() == 0


def test_a_trunk_that_asks_for_the_password_of_a_bye_gets_it(gateway, trunk_of):
    line = trunk_of("answer_bye_asks", "-m", "1", api_key="campaign", api_token="s3cret")
    request = line.request()
    line.place(request)
    assert told(request.attempt_id).status == "completed"
    assert line.party.exit_code() == 0


def row_of(request: CallRequest) -> SipCall:
    """What `place` inserts, without waiting for the trunk: its process is about to lose the gateway."""
    return driver._row(request)


# Calls to other numbers ----------------------------------------------------------------------------------------------

BUSY, ANSWERS, HANGS_UP, RINGS = ("+9180123456" + ending for ending in ("11", "10", "19", "15"))


@pytest.fixture
def connecting(redis, gateway, trunk_of):
    """Dials a number whose flow connects it to others: so many calls for sipp. Returns the line and the request."""

    def dial(calls, *numbers, channels=5, **fields):
        line = trunk_of("trunk", "-m", str(calls))
        steps = [{"connect": {"numbers": list(numbers), "otherwise": [{"say": "Nobody"}], **fields}}, {"say": "Bye"}]
        request = line.request(steps=steps)
        Account.objects.update(channels=channels)
        reconciliation.rebuild()  # the call has its channel
        line.place(request)
        return line, request

    return dial


def legs():
    return list(Transfer.objects.order_by("pk").values_list("number", "outcome"))


def channels_in_use():
    return leases(Account.objects.get())


def test_a_callee_is_connected_to_the_first_number_that_takes_the_call_and_the_flow_goes_on(connecting):
    line, request = connecting(3, BUSY, HANGS_UP, ANSWERS)
    event = told(request.attempt_id)
    assert (event.status, event.reason) == ("completed", "the flow ended")
    assert legs() == [(BUSY, "busy"), (HANGS_UP, "completed")]
    assert [leg.talk_seconds is None for leg in Transfer.objects.order_by("pk")] == [True, False]
    assert line.party.exit_code() == 0
    rings = line.party.rings()
    assert [ring.number for ring in rings] == [request.number, BUSY, HANGS_UP]
    assert {UUID(ring.call_id) for ring in rings[1:]} == set(Transfer.objects.values_list("pk", flat=True))
    assert channels_in_use() == 1


@pytest.mark.parametrize(
    ("number", "up", "outcome"), [(ANSWERS, "talking", "completed"), (RINGS, "ringing", "canceled")]
)
def test_the_other_call_is_a_channel_and_ends_with_its_own(gateway, connecting, number, up, outcome):
    line, request = connecting(2, number)
    wait_until(SipCall.objects.filter(leg_of=request.attempt_id, status=up).exists, gateway.log.read_text)
    assert channels_in_use() == 2
    SipCarrier().hang_up([request.attempt_id.hex])
    event = told(request.attempt_id)
    # The leg is over before its call: the end of that would say that nobody took it.
    assert (event.status, legs(), channels_in_use()) == ("completed", [(number, outcome)], 1)
    assert line.party.exit_code() == 0


def test_where_no_channel_is_free_nobody_else_is_rung(connecting):
    line, request = connecting(1, ANSWERS, channels=1)
    assert told(request.attempt_id).reason == "the flow ended"
    assert (legs(), line.party.exit_code()) == ([], 0)


def test_a_number_that_rings_for_too_long_is_given_up(connecting):
    line, request = connecting(2, RINGS, ring=1)
    assert told(request.attempt_id).reason == "the flow ended"
    assert line.party.exit_code() == 0
    wait_until(lambda: legs() == [(RINGS, "no-answer")], legs)


# Sound and keys -------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorder():
    made = Recorder()
    yield made
    made.end()


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_a_callee_hears_the_prompts_whole_and_in_their_order(gateway, trunk_of, recorder, codec):
    line = trunk_of("answer_recorded", "-m", "1", "-key", "recorder", str(recorder.port), "-key", "codec", str(codec))
    texts = ["Good morning", "and good bye"]
    request = line.request(steps=[{"say": text} for text in texts])
    line.place(request)
    assert told(request.attempt_id).reason == "the flow ended"
    assert line.party.exit_code() == 0
    heard = recorder.heard()
    # Without a gap: a packet for each 20 ms from the first on.
    assert {kind for kind, *_ in heard} == {codec}
    first = heard[0]
    for place, (_, sequence, stamp, sound) in enumerate(heard):
        assert (sequence, stamp) == ((first[1] + place) % 2**16, (first[2] + 160 * place) % 2**32)
        assert len(sound) == 160
    sound = b"".join(packet[3] for packet in heard)
    said = [sounds.ulaw_of_samples(array.array("h", speech_engine.samples_of(text))) for text in texts]
    expected = [sounds.alaw_of_ulaw(text) if codec == PCMA else text for text in said]
    assert 0 <= sound.find(expected[0]) < sound.find(expected[1])


def test_keys_within_the_sound_lead_through_the_flow(gateway, trunk_of):
    line = trunk_of("answer_dtmf_2833_pt101", "-m", "1")
    request = line.request(steps=[MENU])
    line.place(request)
    event = told(request.attempt_id)
    assert (event.digits, event.reason) == ("15#", "the flow ended")
    assert line.party.exit_code() == 0


def test_keys_by_info_are_kept_when_the_callee_hangs_up_in_the_middle(gateway, trunk_of):
    line = trunk_of("answer_dtmf_info", "-m", "1")
    gather = MENU["gather"] | {"digits": 9, "timeout": 20}
    request = line.request(steps=[{"gather": gather}])
    line.place(request)
    event = told(request.attempt_id)
    assert (event.digits, event.reason) == ("15#", "the callee hung up")
    assert line.party.exit_code() == 0
    inbox.settle_batch(timezone.now())
    assert CallAttempt.objects.get(pk=request.attempt_id).digits == "15#"
