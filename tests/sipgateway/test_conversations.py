"""The flow of an answered call: what is said, what is waited for, and what keys lead to."""

from concurrent.futures import Future
from typing import Any

import pytest

from sipgateway import sounds
from sipgateway.conversations import Conversation
from sipgateway.session_descriptions import PCMU, Remote

REMOTE = Remote("127.0.0.1", 4000, PCMU, 101)
# What a callee hears while another phone rings.
RINGS = "rings"
BEEP = "beep"
ASK = {"prompt": [{"say": "Press"}], "digits": 1, "timeout": 5, "branches": {"1": [{"say": "One"}]}}


class Line:
    """A line that says what the test lets it say."""

    port = 4002

    def __init__(self, on_key):
        self.key = on_key
        self.said = []
        self.pressed = []
        self.recorder = self.call_recorder = None
        self.is_hushed = False
        self.remote = None
        self._on_end: Any = None

    def lead_to(self, remote):
        self.remote = remote

    def play(self, sound, on_end):
        names = {sounds.ring_back(): RINGS, sounds.beep(): BEEP}
        self.said.append(names.get(sound) or sound.decode())
        self._on_end = on_end

    def hush(self):
        self.is_hushed, self._on_end = True, None

    def record(self, recorder, on_end):
        self.recorder, self.on_recorded = recorder, on_end

    def stop_recording(self):
        self.recorder = None

    def record_call(self, recorder):
        self.call_recorder = recorder

    def stop_recording_call(self):
        self.call_recorder = None

    def press(self, key):
        self.pressed.append(key)

    def end(self):
        """The sound is over."""
        on_end, self._on_end = self._on_end, None
        on_end()


class Timer:
    def __init__(self, act, seconds):
        self.act, self.seconds, self.is_canceled = act, seconds, False

    def cancel(self):
        self.is_canceled = True


class File:
    """A file of a recording, which is known by its place once it is finished."""

    def __init__(self, place, channels):
        self.name = f"{place} {'mono' if channels == 1 else 'stereo'}"

    def finish(self):
        return self.name


class Call:
    """The call, the media and the prompts around a conversation."""

    def __init__(self):
        self.keys, self.opted_out, self.has_ended, self.fault = "", False, False, None
        self.timers, self.closed, self.pending = [], [], {}
        self.rung, self.together, self.recorded_places = [], set(), []
        self.is_disk_full = False

    def open(self, host, on_key):
        self.line = Line(on_key)
        return self.line

    def close(self, line):
        self.closed.append(line)

    def connect(self, *given):
        """Of a call: ring another number. Of the media: let two lines hear each other."""
        if len(given) == 1:
            self.rung.extend(given)
        else:
            self.together = set(given)

    def new_recording(self, place, channels):
        if self.is_disk_full:
            raise OSError("No space left on device")
        return File(place, channels)

    def recorded(self, file):
        self.recorded_places.append(file)

    def part(self, *lines):
        assert set(lines) == self.together
        self.together = set()

    def warm(self, document, account_id):
        pass

    def sound_of(self, prompt, account_id):
        made = self.pending.setdefault(prompt.text, Future())
        if prompt.text != "slow" and not made.done():
            made.set_result(b"" if prompt.text == "can't be made" else prompt.text.encode())
        return made

    def noted_keys(self, keys):
        self.keys = keys

    def wishes(self, wish):
        self.wish = wish

    def flow_ended(self):
        self.has_ended = True

    def fail(self, fault):
        self.fault = fault

    def wait(self):
        """Let the time run out for which it waits."""
        timer = self.timers[-1]
        assert not timer.is_canceled
        timer.act()


@pytest.fixture
def call(monkeypatch):
    made = Call()

    def timer(act, seconds):
        made.timers.append(Timer(act, seconds))
        return made.timers[-1]

    monkeypatch.setattr("sipgateway.conversations.Timeout", timer)
    monkeypatch.setattr("sipgateway.conversations.ED2.callFromThread", lambda act, *args: act(*args))
    return made


@pytest.fixture
def talk(call):
    def begin(*steps):
        conversation = Conversation(call, {"steps": list(steps)}, "127.0.0.1", call, call, 1)
        conversation.begin(REMOTE)
        return conversation

    return begin


def test_texts_are_said_one_after_the_other_and_then_the_call_ends(call, talk):
    talk({"say": "One"}, {"say": "Two"})
    assert call.line.remote == REMOTE
    assert call.line.said == ["One"]
    call.line.end()
    assert (call.line.said, call.has_ended) == (["One", "Two"], False)
    call.line.end()
    assert call.has_ended


def test_a_prompt_that_can_t_be_made_is_left_out(call, talk):
    talk({"say": "can't be made"}, {"say": "Two"})
    assert call.line.said == ["Two"]


def test_a_prompt_that_is_still_being_made_is_waited_for(call, talk):
    talk({"say": "slow"})
    assert (call.line.said, call.has_ended) == ([], False)
    call.pending["slow"].set_result(b"slow")
    assert call.line.said == ["slow"]


def test_a_key_leads_into_its_branch(call, talk):
    talk({"gather": ASK}, {"say": "Bye"})
    call.line.end()
    assert call.timers[-1].seconds == 5
    call.line.key("1")
    assert (call.keys, call.line.said, call.timers[-1].is_canceled) == ("1", ["Press", "One"], True)
    call.line.end()
    assert call.line.said == ["Press", "One", "Bye"]


def test_a_key_interrupts_the_prompt(call, talk):
    talk({"gather": ASK | {"digits": 2, "branches": {"12": [{"say": "Both"}]}}})
    call.line.key("1")
    assert call.line.is_hushed
    assert (call.keys, call.line.said) == ("1", ["Press"])
    call.line.key("2")
    assert (call.keys, call.line.said) == ("12", ["Press", "Both"])


def test_a_prompt_that_is_made_only_after_its_answer_is_not_said(call, talk):
    talk({"gather": ASK | {"prompt": [{"say": "slow"}]}}, {"say": "Bye"})
    call.line.key("1")
    call.pending["slow"].set_result(b"slow")
    assert call.line.said == ["One"]
    call.line.end()
    assert call.line.said == ["One", "Bye"]


def test_an_end_that_is_told_as_a_key_comes_skips_nothing_of_the_branch(call, talk):
    talk({"gather": ASK | {"branches": {"1": [{"say": "One"}, {"say": "Two"}]}}})
    ended = call.line._on_end
    call.line.key("1")
    ended()
    assert call.line.said == ["Press", "One"]


def test_without_a_key_it_is_asked_again_and_then_goes_otherwise(call, talk):
    talk({"gather": ASK | {"attempts": 2, "otherwise": [{"say": "Nobody"}]}})
    call.line.end()
    call.wait()
    assert call.line.said == ["Press", "Press"]
    call.line.end()
    call.wait()
    assert call.line.said == ["Press", "Press", "Nobody"]


def test_the_finish_key_ends_the_input_and_is_no_part_of_it(call, talk):
    talk({"gather": ASK | {"digits": 5, "finish_key": "#"}})
    call.line.end()
    for key in "1#":
        call.line.key(key)
    assert (call.keys, call.line.said) == ("1", ["Press", "One"])


def test_fewer_keys_than_asked_for_count_when_no_other_comes(call, talk):
    talk({"gather": ASK | {"digits": 3}})
    call.line.end()
    call.line.key("1")
    call.wait()
    assert call.line.said == ["Press", "One"]


def test_a_key_while_nothing_is_asked_says_nothing(call, talk):
    talk({"say": "One"}, {"say": "Two"})
    call.line.key("1")
    assert (call.keys, call.line.said, call.line.is_hushed) == ("", ["One"], False)


@pytest.mark.parametrize("first", ["by sound", "by info"])
def test_a_key_that_is_told_in_two_ways_counts_once(call, talk, first):
    conversation = talk({"gather": ASK | {"digits": 4}})
    ways = [call.line.key, conversation.press]
    for key in "12":
        for press in ways if first == "by sound" else reversed(ways):
            press(key)
    assert call.keys == "12"


@pytest.mark.parametrize(("step", "wish"), [("opt_out", "opt-out"), ("refuse", "refusal")])
def test_what_a_person_asks_for_is_stored(call, talk, step, wish):
    talk({"gather": ASK | {"branches": {"1": [{step: True}, {"say": "Done"}]}}})
    call.line.key("1")
    assert call.wish == wish
    assert call.line.said == ["Press", "Done"]


SERVICE = {"connect": {"numbers": ["+918012345678", "+918012345679"], "ring": 20, "otherwise": [{"say": "Nobody"}]}}


class Other:
    """The line of somebody who is connected to the callee."""

    def __init__(self):
        self.pressed = []

    def press(self, key):
        self.pressed.append(key)


def test_another_number_rings_and_the_callee_hears_that_until_somebody_picks_up(call, talk):
    conversation = talk({"say": "Wait"}, SERVICE, {"say": "Bye"})
    assert call.rung == []
    call.line.end()
    assert [(connect.number, connect.ring) for connect in call.rung] == [("+918012345678", 20)]
    assert call.line.said == ["Wait", RINGS]
    call.line.end()
    assert call.line.said == ["Wait", RINGS, RINGS]
    other = Other()
    conversation.connected_to(other)
    assert (call.line.is_hushed, call.together) == (True, {call.line, other})
    conversation.connection_over(was_taken=True)
    assert (call.line.said[3:], call.together) == (["Bye"], set())


def test_a_number_that_nobody_takes_is_followed_by_the_next_and_then_by_what_else_there_is(call, talk):
    conversation = talk(SERVICE)
    conversation.connection_over(was_taken=False)
    assert [connect.number for connect in call.rung] == ["+918012345678", "+918012345679"]
    conversation.connection_over(was_taken=False)
    assert call.line.said == [RINGS, RINGS, "Nobody"]


def test_without_a_channel_no_other_number_is_tried(call, talk):
    conversation = talk(SERVICE)
    conversation.connection_over(was_taken=False, may_try_others=False)
    assert (len(call.rung), call.line.said) == (1, [RINGS, "Nobody"])


def test_keys_pass_in_both_directions_and_are_no_answers(call, talk):
    conversation = talk(SERVICE)
    other = Other()
    call.line.key("1")
    conversation.connected_to(other)
    call.line.key("2")
    conversation.press("2")  # told twice
    conversation.press_for(other, "3")
    conversation.press_for(Other(), "4")
    assert (other.pressed, call.line.pressed, call.keys) == (["2"], ["3"], "")


def test_a_callee_is_recorded_after_the_beep_until_the_key(call, talk):
    talk({"say": "Speak"}, {"record": {"seconds": 7, "silence": 2, "finish_key": "*"}}, {"say": "Thanks"})
    call.line.end()
    assert (call.line.said, call.line.recorder) == (["Speak", BEEP], None)
    call.line.end()
    assert (call.line.recorder._most, call.line.recorder._most_silent) == (350, 100)
    call.line.key("1")
    assert call.recorded_places == []
    call.line.key("*")
    assert (call.recorded_places, call.line.recorder, call.line.said[2:]) == (["1.1 mono"], None, ["Thanks"])
    assert call.keys == ""


def test_a_recording_that_is_over_by_itself_is_followed_by_the_flow(call, talk):
    talk({"record": {"beep": False}}, {"say": "Thanks"})
    call.line.on_recorded()
    assert (call.recorded_places, call.line.said) == (["0.1 mono"], ["Thanks"])
    call.line.on_recorded()  # the key had come at the same time
    assert (call.recorded_places, call.line.said) == (["0.1 mono"], ["Thanks"])


def test_what_a_callee_said_who_hangs_up_is_kept(call, talk):
    conversation = talk({"record": {"beep": False}}, {"say": "Thanks"})
    conversation.close()
    assert (call.recorded_places, call.line.said) == (["0.1 mono"], [])


def test_a_call_is_recorded_from_a_step_on_until_it_ends(call, talk):
    conversation = talk({"say": "One"}, {"record_call": True}, {"say": "Two"}, {"record_call": True}, {"say": "Three"})
    assert call.line.call_recorder is None
    call.line.end()
    recorder = call.line.call_recorder
    assert (recorder is not None, call.line.said) == (True, ["One", "Two"])
    call.line.end()
    assert (call.line.call_recorder, call.line.said, call.recorded_places) == (recorder, ["One", "Two", "Three"], [])
    conversation.close()
    assert (call.line.call_recorder, call.recorded_places) == (None, ["1.1 stereo"])


def test_a_step_is_recorded_beside_the_call(call, talk):
    conversation = talk({"record_call": True}, {"record": {"beep": False}}, {"say": "Thanks"})
    assert (call.line.recorder is None, call.line.call_recorder is None) == (False, False)
    call.line.key("#")
    assert (call.recorded_places, call.line.said) == (["1.1 mono"], ["Thanks"])
    conversation.close()
    assert call.recorded_places == ["1.1 mono", "0.1 stereo"]


def test_where_the_disk_takes_no_recording_the_flow_goes_on(call, talk):
    call.is_disk_full = True
    talk({"record_call": True}, {"record": {"beep": False}}, {"say": "Thanks"})
    assert (call.line.said, call.line.recorder, call.line.call_recorder, call.fault) == (["Thanks"], None, None, None)


def test_a_callee_who_hangs_up_is_parted_and_nobody_else_is_rung(call, talk):
    conversation = talk(SERVICE)
    conversation.connected_to(Other())
    conversation.close()
    conversation.connection_over(was_taken=True)
    assert (call.together, len(call.rung), call.has_ended) == (set(), 1, False)


def test_somebody_who_picks_up_too_late_is_not_connected(call, talk):
    conversation = talk(SERVICE)
    conversation.close()
    conversation.connected_to(Other())
    assert call.together == set()


def test_after_its_end_nothing_is_said_or_heard(call, talk):
    conversation = talk({"gather": ASK})
    conversation.close()
    conversation.close()
    call.line.key("1")
    conversation.press("1")
    assert (call.keys, call.closed) == ("", [call.line])


def test_a_fault_of_this_program_ends_the_call(call, talk, monkeypatch):
    talk({"gather": ASK})

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("campaigns.flow_interpreter.pressed", fail)
    call.line.key("1")
    assert isinstance(call.fault, ZeroDivisionError)
